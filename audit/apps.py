"""App configuration."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class AuditConfig(AppConfig):
    """See the package's modules."""

    name = "audit"
    verbose_name = _("Audit")

    def ready(self) -> None:
        """Keep the entries of people who are deleted."""
        from audit import history  # noqa: F401  # models are not loaded before
