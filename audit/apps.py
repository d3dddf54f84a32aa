"""App configuration."""

from django.apps import AppConfig
from django.db.models.signals import post_migrate
from django.utils.translation import gettext_lazy as _


class AuditConfig(AppConfig):
    """See the package's modules."""

    name = "audit"
    verbose_name = _("Audit")

    def ready(self) -> None:
        """Connect the receiver for sign-outs; convert the entries of Django's log after each ``migrate``."""
        # Models are not loaded earlier. The web server runs no command, but shows the words for them.
        from audit import access, commands, history  # noqa: F401

        access.connect()
        post_migrate.connect(history.move_entries, sender=self)
