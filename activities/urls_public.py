"""The hosted pages of public forms."""

from django.urls import path

from activities import views_public

urlpatterns = [
    path("<str:token>/", views_public.public_form, name="public_form"),
    path("<str:token>/thanks/", views_public.public_thanks, name="public_thanks"),
]
