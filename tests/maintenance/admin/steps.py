"""Steps that the tests of the admin share: addresses, posted forms, messages of a page."""

from django.urls import reverse

LIST = "admin:django_celery_beat_periodictask_changelist"
CHANGE = "admin:django_celery_beat_periodictask_change"
PREVIEW = "admin:maintenance_schedule_preview"
CRONTAB = {"minute": "5", "hour": "4", "day_of_month": "*", "month_of_year": "*", "day_of_week": "mon-fri"}
FORM = {
    **CRONTAB,
    "timezone": "Europe/Berlin",
    "name": "Purge",
    "task": "maintenance.purge_old_content",
    "description": "",
    "kwargs": "{}",
    "misfire_policy": "skip",
    "misfire_limit": "3",
    "overlap_policy": "queue_one",
}
RUN, CANCEL, APPROVE = "maintenance.run_job", "maintenance.cancel_jobrun", "maintenance.approve_run"
SEE_RUNS, SEE, EDIT = (
    "maintenance.view_jobrun",
    "django_celery_beat.view_periodictask",
    "django_celery_beat.change_periodictask",
)


def job_page(slug, query=""):
    return reverse("admin:maintenance_job_run", args=[slug]) + query
