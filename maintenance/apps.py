"""App configuration: seeding after migrations, noticing edits of schedules."""

import logging
from collections.abc import Collection
from typing import Any

from django.apps import AppConfig
from django.apps import apps as installed_apps
from django.db import transaction
from django.db.models.signals import post_migrate, post_save, pre_save
from django.utils.translation import gettext_lazy as _

logger = logging.getLogger(__name__)


class MaintenanceConfig(AppConfig):
    """Jobs, schedules and the ledger of runs."""

    name = "maintenance"
    verbose_name = _("Operations")

    def ready(self) -> None:
        """Declare the jobs, and connect the signals."""
        from django_celery_beat import models as beat

        from audit import subject_names, values
        from audit.visibility import register_owned
        from database.zones import StoredTimeZoneField
        from maintenance.jobs import content_cutoffs  # declares all jobs
        from maintenance.models import JobRun, RetentionPolicy
        from maintenance.names import name_in_words
        from maintenance.registry import job_title
        from maintenance.scheduling.bot_schedules import BotSchedules
        from maintenance.scheduling.days_off import name_of_calendar
        from maintenance.scheduling.targets import title_of_task
        from maintenance.scrape_runs import ScrapeRuns
        from scraping.content.expiry import register_cutoffs
        from scraping.dependents import register_schedules
        from scraping.runs import register_runs

        StoredTimeZoneField.adopt(beat.CrontabSchedule._meta.get_field("timezone"))
        _name_as_the_glossary(beat)
        register_schedules(BotSchedules())
        register_runs(ScrapeRuns())
        # Owners of a bot see its runs without the permission to see all runs.
        register_owned(JobRun, needs_view_permission=False)
        register_cutoffs(content_cutoffs)
        models = (RetentionPolicy, JobRun, beat.PeriodicTask)
        for label in ("maintenance.Job", *(model._meta.label for model in models)):
            subject_names.register(label, name_in_words)
        values.register_columns("django_celery_beat.PeriodicTask", of="maintenance.ScheduleControl")
        values.register(
            "django_celery_beat.PeriodicTask", {"days_off": name_of_calendar, "task": title_of_task}
        )
        values.register("maintenance.JobRun", {"job": job_title})
        post_migrate.connect(_seed, sender=self)
        pre_save.connect(_refuse_ignored_fields, sender=beat.PeriodicTask)
        post_save.connect(_note_timing, sender=beat.PeriodicTask)
        for kind in (beat.CrontabSchedule, beat.IntervalSchedule, beat.ClockedSchedule, beat.SolarSchedule):
            post_save.connect(_note_timing_of_users, sender=kind)


def _name_as_the_glossary(beat: Any) -> None:
    """Name the library's models by our words in every language: it says "periodic task", 周期性任务, 计划任务."""
    from maintenance.scheduling.schedules import title

    names = {
        beat.PeriodicTask: (_("schedule"), _("schedules")),
        beat.CrontabSchedule: (_("crontab"), _("crontabs")),
    }
    for model, (one, many) in names.items():
        model._meta.verbose_name, model._meta.verbose_name_plural = one, many
    # The library's text has the crontab as it is stored; messages of the admin name the schedule by it.
    beat.PeriodicTask.__str__ = title
    installed_apps.get_app_config("django_celery_beat").verbose_name = _("Schedules")


def _seed(*, apps: Any = installed_apps, **_: Any) -> None:
    from maintenance.models import JobRun, RetentionPolicy, ScheduleControl
    from maintenance.scheduling import schedules, seeding

    # Not after a partial `migrate`: the tables must match the code.
    for model in (ScheduleControl, RetentionPolicy, JobRun):
        try:
            found = apps.get_model(model._meta.label)
        except LookupError:
            return
        if {field.name for field in found._meta.fields} != {field.name for field in model._meta.fields}:
            return
    seeding.seed()
    for line in schedules.drift_report():
        logger.warning("%s", line)


def _refuse_ignored_fields(
    *, instance: Any, raw: bool = False, update_fields: Collection[str] | None = None, **_: Any
) -> None:
    """Refuse fields without effect, whoever saves the row; a stored row that has them can still be paused."""
    from maintenance.scheduling import targets

    if not raw and (update_fields is None or {*update_fields} & {*targets.MESSAGE_FIELDS}):
        targets.refuse_ignored_fields(instance)


def _note_timing(*, instance: Any, raw: bool = False, **_: Any) -> None:
    from maintenance.scheduling import replanning

    if not raw and not instance.no_changes:  # no_changes: beat's own bookkeeping
        replanning.note_timing(instance)


def _note_timing_of_users(*, instance: Any, created: bool, raw: bool = False, **_: Any) -> None:
    """Update the timing of the schedules that share a row (such as a crontab) when that row is edited."""
    from maintenance.scheduling import replanning

    if raw or created:
        return
    with transaction.atomic():
        users = instance.periodictask_set.order_by("pk")
        list(users.select_for_update())  # the lock that a tick takes
        for task in users.select_related("control"):
            replanning.note_timing(task)
