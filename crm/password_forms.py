"""allauth's password forms, with the rules for passwords as sentences (Django gives them as markup)."""

from __future__ import annotations

from typing import Any

from allauth.account import forms as account
from django.contrib.auth.password_validation import password_validators_help_texts


def _say_rules(form: Any) -> None:
    form.fields["password1"].help_text = " ".join(password_validators_help_texts())


class ChangePasswordForm(account.ChangePasswordForm):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        _say_rules(self)


class SetPasswordForm(account.SetPasswordForm):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        _say_rules(self)


class ResetPasswordKeyForm(account.ResetPasswordKeyForm):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        _say_rules(self)
