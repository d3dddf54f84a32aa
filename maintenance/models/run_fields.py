"""The columns of a run."""

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from database import clock
from database.fields import RedactedTextField
from database.json_fields import JSONObjectField
from database.kept_keys import KeptForeignKey
from database.messages import MessageField, PartsField, ShortMessageField
from maintenance.models import statuses


class RunFields(models.Model):
    """The columns of a run; ``JobRun`` adds its states and the verbs that change them."""

    job = models.CharField(_("job"), max_length=100)
    status = models.CharField(
        _("status"), max_length=12, choices=statuses.Status, default=statuses.Status.QUEUED
    )
    reason = models.CharField(
        _("reason"), max_length=20, choices=statuses.Reason, default=statuses.Reason.NONE, blank=True
    )
    trigger = models.CharField(_("trigger"), max_length=8, choices=statuses.Trigger)
    # History outlives its subjects: each key that may become null has a name stored beside it.
    requested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("requested by"),
    )
    requested_by_name = models.CharField(_("requested by"), max_length=150, blank=True)
    # No constraint: deleting a schedule of 100,000 runs would rewrite them all. ``forget_deleted_schedules`` does later.
    schedule = KeptForeignKey(
        "django_celery_beat.PeriodicTask", related_name="runs", verbose_name=_("schedule")
    )
    schedule_name = models.CharField(_("schedule's name"), max_length=200, blank=True)
    scheduled_for = models.DateTimeField(_("slot"), null=True, blank=True)
    dry_run = models.BooleanField(_("dry run"), default=False)
    params = JSONObjectField(_("parameters"), default=dict, blank=True)
    # Two running runs never share a key; empty: any number of runs of this job may run at once.
    concurrency_key = models.CharField(_("concurrency key"), max_length=140, blank=True)
    queued_at = models.DateTimeField(pgettext_lazy("time", "queued"), default=clock.now)
    # No worker may begin earlier; null: at once.
    not_before = models.DateTimeField(_("not before"), null=True, blank=True)
    # When the message was last sent to the broker; null: not yet.
    sent_at = models.DateTimeField(_("sent"), null=True, blank=True)
    started_at = models.DateTimeField(_("started"), null=True, blank=True)
    heartbeat_at = models.DateTimeField(_("last heartbeat"), null=True, blank=True)
    finished_at = models.DateTimeField(_("finished"), null=True, blank=True)
    # Since when it, or the run that it superseded, waits for a person's decision.
    waiting_since = models.DateTimeField(_("waiting since"), null=True, blank=True)
    cancel_requested_at = models.DateTimeField(_("cancel requested"), null=True, blank=True)
    # It did not stop: its process must be killed.
    force_stop_at = models.DateTimeField(_("force stop requested"), null=True, blank=True)
    worker = models.CharField(_("worker"), max_length=200, blank=True)
    # Of its schedule when the run was created, for all attempts; null: its job's.
    retries = models.PositiveSmallIntegerField(_("retries"), null=True, blank=True)
    time_limit_seconds = models.PositiveIntegerField(_("time limit in seconds"), null=True, blank=True)
    # The process id of its session on PostgreSQL, as of the claim or the last heartbeat.
    backend_pid = models.PositiveIntegerField(null=True, blank=True, editable=False)
    # Until when somebody watches it from inside (the database's clock); null: nobody has.
    watched_until = models.DateTimeField(null=True, blank=True, editable=False)
    # Written with a heartbeat while somebody watches: ledger.process_state.ProcessState.as_json()
    process_state = JSONObjectField(null=True, blank=True, editable=False)
    attempt = models.PositiveSmallIntegerField(_("attempt"), default=1)
    progress_done = models.BigIntegerField(_("done"), default=0)
    progress_total = models.BigIntegerField(_("total"), null=True, blank=True)
    stage = ShortMessageField(_("stage"), max_length=200, blank=True)
    stage_parts = PartsField(of="stage")
    # Rows by model label, such as {"scraping.RedditPost": 12}; some jobs use names of their own.
    counts = JSONObjectField(_("counts"), default=dict, blank=True)
    cursor = JSONObjectField(_("cursor"), null=True, blank=True)
    # What a purge would delete, or planned to delete: {"at": ISO 8601, "tables": [plan.TablePlan.as_json(), ...]}
    plan = JSONObjectField(_("plan"), null=True, blank=True)
    # What it may delete: purging.mandate.Mandate.as_json(); null: set by its first attempt.
    mandate = JSONObjectField(_("mandate"), null=True, blank=True)
    message = MessageField(_("message"), blank=True)
    message_parts = PartsField(of="message")
    error = MessageField(_("error"), blank=True)
    error_parts = PartsField(of="error")
    traceback = RedactedTextField(_("traceback"), blank=True)

    class Meta:
        abstract = True
