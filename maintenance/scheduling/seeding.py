"""Creates the schedules that the jobs declare; never overwrites one."""

import logging
from itertools import chain, count

from django.conf import settings
from django.db import IntegrityError, transaction
from django_celery_beat.models import PeriodicTask

from audit.events import record
from database.messages import gettext as _
from maintenance.models import RetentionPolicy
from maintenance.registry import Job, Person, jobs
from maintenance.scheduling.edit_events import CREATED, permit, state_of
from maintenance.scheduling.firetimes import Crontab
from maintenance.scheduling.schedules import control_of, for_job
from maintenance.scheduling.time_rows import crontab_row

logger = logging.getLogger(__name__)


# --- Seeding ---------------------------------------------------------------------------------


def seed() -> list[str]:
    """Create missing schedules and retentions for the jobs that declare them; change nothing else.

    Returns the slugs of the jobs whose schedule was created.
    """
    created = []
    with transaction.atomic():
        for job in jobs():
            if job.retention_days is not None:
                RetentionPolicy.objects.get_or_create(job=job.slug, defaults={"days": job.retention_days})
            if job.crontab is not None and for_job(job.slug) is None:
                _seed_schedule(job, job.crontab)
                created.append(job.slug)
    return created


def _seed_schedule(job: Job, default: str) -> PeriodicTask:
    # An operator may have given this name to the schedule of another job.
    title = job.english_title
    names = chain([title, f"{title} ({job.slug})"], (f"{title} ({number})" for number in count(2)))
    name = next(name for name in names if not PeriodicTask.objects.filter(name=name).exists())
    task = PeriodicTask.objects.create(
        name=name,
        task=job.task_name,
        crontab=crontab_row(Crontab.parse(default), settings.TIME_ZONE),
        description=job.english_summary,
    )
    control = control_of(task)
    control.default_crontab = default
    control.save(update_fields=["default_crontab"])
    return task


def create_default(job: Job, *, by: Person | None) -> PeriodicTask | None:
    """Create the default schedule of a job that has none, as seeding does; None if somebody else has just done so.

    Raises:
        PermissionDenied; ValueError when the job has no default.
    """
    permit(by)
    if job.crontab is None:
        raise ValueError(_("%(name)s has no default schedule.") % {"name": job.title})
    try:
        with transaction.atomic():
            if for_job(job.slug) is None:
                task = _seed_schedule(job, job.crontab)
                record(CREATED, task, by=by, after=state_of(task))
                return task
    except IntegrityError:  # the name exists
        logger.info("The default schedule of %s was created meanwhile.", job.slug)
    return None
