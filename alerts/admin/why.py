"""Why the condition of an alert holds: the first causes that ``maintenance.explanations`` finds for its subject."""

from django.contrib.auth.models import AnonymousUser, User
from django_celery_beat.models import PeriodicTask

from alerts.models import Alert
from database.text import row_key
from maintenance.explanations import Cause, explain_bot, explain_run, explain_schedule
from maintenance.models import JobRun
from maintenance.models.run_queries import JobRunQuerySet
from maintenance.models.statuses import FAILURES
from scraping.models import BotConfig

CAUSES_MAX = 3


def causes_of(alert: Alert, person: User | AnonymousUser) -> list[Cause]:
    """Return the first causes that the person may see; none for an alert that is over."""
    return [] if alert.closed_at else _causes(alert, person)[:CAUSES_MAX]


def _causes(alert: Alert, person: User | AnonymousUser) -> list[Cause]:
    key, runs = row_key(alert.subject_id), JobRun.objects.visible_to(person)
    match alert.subject_type:
        case "maintenance.JobRun":
            run = runs.filter(pk=key).first()
            return explain_run(run) if run else []
        case "scraping.BotConfig":
            bot = BotConfig.objects.named_to(person).filter(pk=key).first()
            return explain_bot(bot) if bot else []
        case "django_celery_beat.PeriodicTask" if alert.rule not in ("failed", "partial"):
            task = PeriodicTask.objects.filter(pk=key).first()
            may = person.has_perm("django_celery_beat.view_periodictask")
            return explain_schedule(task) if task and may else []
        case "django_celery_beat.PeriodicTask":
            return _of_latest(runs.filter(schedule=key))
        case "maintenance.Job" if alert.rule in ("failed", "partial"):
            return _of_latest(runs.filter(job=alert.subject_id))
    return []


def _of_latest(runs: JobRunQuerySet) -> list[Cause]:
    run = runs.filter(status__in=FAILURES, dry_run=False).order_by("-pk").first()
    return explain_run(run) if run else []
