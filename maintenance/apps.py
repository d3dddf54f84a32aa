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


def _seed(*, using: str, **_: Any) -> None:
    from django.db import connections
    from django_celery_beat.models import PeriodicTask

    from maintenance import schedules
    from maintenance.models import RetentionPolicy, ScheduleControl

    needed = {model._meta.db_table for model in (PeriodicTask, ScheduleControl, RetentionPolicy)}
    if needed <= set(connections[using].introspection.table_names()):  # not after `migrate maintenance zero`
        schedules.seed()


def _note_timing(*, instance: Any, raw: bool = False, **_: Any) -> None:
    from maintenance import schedules

    if not raw and not instance.no_changes:  # no_changes: beat's own bookkeeping
        schedules.note_timing(instance)
