"""What the console adds to a schedule."""

from datetime import datetime

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from database import clock


class ScheduleControl(models.Model):
    """What the console adds to a schedule, which is a PeriodicTask of django-celery-beat."""

    class MisfirePolicy(models.TextChoices):
        """What happens to slots that passed while no scheduler was alive."""

        SKIP = "skip", _("skip")
        RUN_ONCE = "run_once", _("run once")
        RUN_ALL = "run_all", _("run all, up to a limit")

    class OverlapPolicy(models.TextChoices):
        """What happens at a slot if the previous run is not finished."""

        SKIP = "skip", _("skip")
        QUEUE_ONE = "queue_one", _("queue one")

    schedule = models.OneToOneField(
        "django_celery_beat.PeriodicTask",
        on_delete=models.CASCADE,
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
    overlap_policy = models.CharField(
        _("overlap"), max_length=9, choices=OverlapPolicy, default=OverlapPolicy.SKIP
    )
    paused_at = models.DateTimeField(_("paused"), null=True, blank=True)
    paused_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("paused by"),
    )
    pause_reason = models.CharField(_("reason of the pause"), max_length=500, blank=True)
    paused_until = models.DateTimeField(_("paused until"), null=True, blank=True)
    catch_up_after_pause = models.BooleanField(
        _("catch up after a pause"),
        default=False,
        help_text=_("Treat slots that passed during a pause like missed ones, instead of leaving them out."),
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
    def settled_until(self) -> datetime:
        """The moment up to which all slots are settled."""
        if self.last_slot_at is None:
            return self.effective_from
        return max(self.last_slot_at, self.effective_from)
