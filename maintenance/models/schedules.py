"""What the console adds to a schedule."""

from datetime import datetime, timedelta

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from database import clock
from database.constraints import DatabaseOnDelete
from database.messages import PartsField, ShortMessageField

# The broker gives a message to another worker after 7,200 s (visibility_timeout): the work must end before.
TIME_LIMIT_SECONDS_MIN, TIME_LIMIT_SECONDS_MAX = 10, 7_000
RETRIES_MAX, FAILURES_MAX, CATCH_UP_HOURS_MAX = 10, 100, 8_760

# What people choose about a schedule besides its time and job: its form shows it, a copy takes it over.
POLICY_FIELDS = (
    "misfire_policy",
    "misfire_limit",
    "catch_up_hours",
    "catch_up_after_pause",
    "overlap_policy",
    "days_off",
    "days_off_weekends",
    "retries",
    "time_limit_seconds",
    "pause_after_failures",
)


class ScheduleControl(models.Model):
    """What the console adds to a schedule, which is a PeriodicTask of django-celery-beat."""

    class MisfirePolicy(models.TextChoices):
        """What happens to slots that passed while no scheduler ticked."""

        SKIP = "skip", _("skip")
        RUN_ONCE = "run_once", _("run once")
        RUN_ALL = "run_all", _("run all, up to a limit")

    class OverlapPolicy(models.TextChoices):
        """What happens at a slot if the previous run is not finished."""

        SKIP = "skip", _("skip")
        QUEUE_ONE = "queue_one", _("queue one")

    schedule = models.OneToOneField(
        "django_celery_beat.PeriodicTask",
        on_delete=models.DO_NOTHING,
        db_constraint=False,  # schedulecontrol_schedule_fk
        primary_key=True,
        related_name="control",
        verbose_name=_("schedule"),
    )
    # The default at the last seeding, as "minute hour day-of-month month day-of-week".
    default_crontab = models.CharField(_("default crontab"), max_length=255, blank=True)
    misfire_policy = models.CharField(
        _("missed slots"), max_length=8, choices=MisfirePolicy, default=MisfirePolicy.RUN_ONCE
    )
    misfire_limit = models.PositiveSmallIntegerField(
        _("catch up at most"), default=10, validators=[MinValueValidator(1), MaxValueValidator(1000)]
    )
    catch_up_hours = models.PositiveSmallIntegerField(
        _("catch up slots of the last hours"),
        null=True,
        blank=True,
        validators=[MinValueValidator(1), MaxValueValidator(CATCH_UP_HOURS_MAX)],
        help_text=_("Older slots are not caught up. Empty: no limit."),
    )
    overlap_policy = models.CharField(
        _("overlap"), max_length=9, choices=OverlapPolicy, default=OverlapPolicy.SKIP
    )
    # A run takes these two when it is created; null: its job's.
    retries = models.PositiveSmallIntegerField(
        _("retries"),
        null=True,
        blank=True,
        validators=[MaxValueValidator(RETRIES_MAX)],
        help_text=_("After a failure whose cause may pass. Empty: as the job declares; 0: none."),
    )
    time_limit_seconds = models.PositiveIntegerField(
        _("time limit in seconds"),
        null=True,
        blank=True,
        validators=[MinValueValidator(TIME_LIMIT_SECONDS_MIN), MaxValueValidator(TIME_LIMIT_SECONDS_MAX)],
        help_text=_("For one attempt. Empty: as the job declares."),
    )
    pause_after_failures = models.PositiveSmallIntegerField(
        _("pause after failures in a row"),
        null=True,
        blank=True,
        validators=[MinValueValidator(1), MaxValueValidator(FAILURES_MAX)],
        help_text=_("The schedule pauses itself when so many runs in a row failed. Empty: never."),
    )
    # Runs that ended before this moment, at which the schedule was last resumed, do not count as failures in a row.
    failures_counted_from = models.DateTimeField(null=True, blank=True, editable=False)
    paused_at = models.DateTimeField(_("paused"), null=True, blank=True)
    paused_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.DO_NOTHING,
        db_constraint=False,  # schedulecontrol_paused_by_fk
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("paused by"),
    )
    pause_reason = ShortMessageField(_("reason of the pause"), max_length=500, blank=True)
    pause_reason_parts = PartsField(of="pause_reason")
    paused_until = models.DateTimeField(_("paused until"), null=True, blank=True)
    catch_up_after_pause = models.BooleanField(
        _("catch up after a pause"),
        default=False,
        help_text=_("Treat slots that passed during a pause like missed ones, instead of leaving them out."),
    )
    # A calendar of ``scheduling.days_off``, such as CN or DE-BY; empty: it runs on all days.
    days_off = models.CharField(
        _("not on holidays of"),
        max_length=20,
        blank=True,
        db_default="",
        default="",
        help_text=_("Slots on public holidays of this country are skipped, and not caught up."),
    )
    days_off_weekends = models.BooleanField(
        _("nor on weekends"),
        default=False,
        db_default=False,
        help_text=_("With a country: its make-up workdays count as workdays."),
    )
    # The latest slot that is settled: run, skipped or missed.
    last_slot_at = models.DateTimeField(_("last slot"), null=True, blank=True)
    # Slots up to this moment are not due: it is that of the last retime, resume or creation.
    effective_from = models.DateTimeField(_("in force since"), default=clock.now)
    # What decides the fire times (timing.Timing), to notice every edit, however it was made.
    timing = models.TextField(_("timing"), blank=True)
    # The first slot that is not settled: computed from the above, stored so that a tick need not read all
    # schedules. Null: it never fires, or not now.
    next_slot_at = models.DateTimeField(_("next slot"), null=True, blank=True)

    class Meta:
        verbose_name = _("schedule control")
        verbose_name_plural = _("schedule controls")
        constraints = [
            DatabaseOnDelete(name="schedulecontrol_schedule_fk", field="schedule"),
            DatabaseOnDelete(name="schedulecontrol_paused_by_fk", field="paused_by", action="SET NULL"),
            models.CheckConstraint(
                name="schedulecontrol_misfire_known",
                condition=Q(misfire_policy__in=["skip", "run_once", "run_all"]),
            ),
            models.CheckConstraint(
                name="schedulecontrol_overlap_known", condition=Q(overlap_policy__in=["skip", "queue_one"])
            ),
            models.CheckConstraint(
                name="schedulecontrol_misfire_limit_from_1", condition=Q(misfire_limit__gte=1)
            ),
            models.CheckConstraint(
                name="schedulecontrol_catch_up_hours_in_range",
                condition=Q(catch_up_hours__isnull=True) | Q(catch_up_hours__range=(1, CATCH_UP_HOURS_MAX)),
            ),
            models.CheckConstraint(
                name="schedulecontrol_retries_in_range",
                condition=Q(retries__isnull=True) | Q(retries__range=(0, RETRIES_MAX)),
            ),
            models.CheckConstraint(
                name="schedulecontrol_time_limit_in_range",
                condition=Q(time_limit_seconds__isnull=True)
                | Q(time_limit_seconds__range=(TIME_LIMIT_SECONDS_MIN, TIME_LIMIT_SECONDS_MAX)),
            ),
            models.CheckConstraint(
                name="schedulecontrol_failures_in_range",
                condition=Q(pause_after_failures__isnull=True)
                | Q(pause_after_failures__range=(1, FAILURES_MAX)),
            ),
            models.CheckConstraint(
                name="schedulecontrol_pause_has_reason",
                condition=Q(paused_at__isnull=True, pause_reason="", paused_until__isnull=True)
                | (Q(paused_at__isnull=False) & ~Q(pause_reason="")),
            ),
        ]
        indexes = [
            # every tick: WHERE next_slot_at <= now ORDER BY next_slot_at
            models.Index(
                fields=["next_slot_at"],
                name="schedulecontrol_next_slot",
                condition=Q(next_slot_at__isnull=False),
            ),
            # the dashboard: what is enabled and will not fire
            models.Index(
                fields=["schedule"],
                name="schedulecontrol_no_slot",
                condition=Q(next_slot_at__isnull=True),
            ),
            # recovery, every two seconds: those that pause themselves
            models.Index(
                fields=["schedule"],
                name="schedulecontrol_pauses_itself",
                condition=Q(pause_after_failures__isnull=False),
            ),
            # recovery, every two seconds: pauses that have ended
            models.Index(
                fields=["paused_until"],
                name="schedulecontrol_paused_until",
                condition=Q(paused_until__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return str(self.schedule)

    @property
    def catch_up_window(self) -> timedelta | None:
        """How old a slot may be that is caught up; None: of any age."""
        return None if self.catch_up_hours is None else timedelta(hours=self.catch_up_hours)

    @property
    def resumed_at(self) -> datetime | None:
        """When the schedule was last resumed, which is the end of its pause if that had one; None: never."""
        return self.failures_counted_from

    @property
    def settled_until(self) -> datetime:
        """The moment up to which all slots are settled."""
        if self.last_slot_at is None:
            return self.effective_from
        return max(self.last_slot_at, self.effective_from)
