"""App configuration: seeding after migrations, noticing edits of schedules."""

from typing import Any

from django.apps import AppConfig
from django.db.models.signals import post_migrate, post_save
from django.utils.translation import gettext_lazy as _


class MaintenanceConfig(AppConfig):
    """Jobs, schedules and the ledger of runs."""

    name = "maintenance"
    verbose_name = _("Operations")

    def ready(self) -> None:
        """Connect the signals."""
        from django_celery_beat.models import PeriodicTask

        post_migrate.connect(_seed, sender=self)
        post_save.connect(_note_timing, sender=PeriodicTask)


def _seed(**_: Any) -> None:
    from maintenance import schedules

    schedules.seed()


def _note_timing(*, instance: Any, raw: bool = False, **_: Any) -> None:
    from maintenance import schedules

    if not raw and not instance.no_changes:  # no_changes: beat's own bookkeeping
        schedules.note_timing(instance)
