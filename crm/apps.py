from django.apps import AppConfig
from django.contrib.admin.apps import SimpleAdminConfig


class CrmConfig(AppConfig):
    name = "crm"
    verbose_name = "Touchpoint"


class StaffAdminConfig(SimpleAdminConfig):
    """Django's admin, with what `crm.urls` names instead of all that installed packages bring."""

    default_site = "crm.staff_site.StaffSite"
