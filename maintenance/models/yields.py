"""How many rows the runs of a schedule usually delete or store, and what is far from that (``maintenance/yields/``)."""

import math
from statistics import NormalDist
from typing import Final

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from adminkit.templatetags.display import local, number, zoned
from database import clock
from database.constraints import DatabaseOnDelete
from database.messages import Message, MessageField, MessagesQuerySet, PartsField, joined, ngettext

HOURS: Final = 168
# Of fewer rows chance says too much.
ROWS_MIN: Final = 20
# The bounds that people are shown hold nine runs out of ten; these are the 5th and 95th percentile.
SHOWN: Final = 1.645
# How many false alarms a schedule may have in 28 days by chance, on each side.
ALARMS_A_MONTH: Final = 0.2
# Two runs in a row must be far from usual. If runs were independent, both would be by chance with the square of the
# chance of one; they are not quite, because good and bad days last.
RUNS_IN_A_ROW: Final = 1.5
# A run is far from usual beyond this many standard deviations at least, and at most, or at least, this share of the
# expected rows.
FAR_MIN: Final = 1.5
FEWER_SHARE: Final = 0.7
MORE_SHARE: Final = 2.0
# Counts whose logarithm varies by more than this (1: by a factor of 2.7 either way) are called wild on that side.
WILD: Final = 1.0
# No runs are so alike that less than this can be relied on.
SPREAD_MIN: Final = 0.05


class UsualRows(models.Model):
    """What is usual for the runs of a schedule whose slot is in one hour of the week, from Monday 0:00 UTC."""

    schedule = models.ForeignKey(
        "django_celery_beat.PeriodicTask",
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        db_index=False,  # usualrows_one_per_hour
        related_name="usual_rows",
        verbose_name=_("schedule"),
    )
    hour_of_week = models.PositiveSmallIntegerField(_("hour of the week"))
    # How many runs the expected number comes from: those of this hour, or, while they are few, those of all hours.
    runs = models.PositiveIntegerField(_("runs"))
    expected = models.FloatField(_("expected rows"))
    # The spread of the logarithm of rows below and above what is expected, as standard deviations.
    spread_low = models.FloatField(_("spread below"))
    spread_high = models.FloatField(_("spread above"))
    # How often the schedule ran in 28 days: the more looks, the less chance each one may have.
    runs_a_month = models.FloatField(_("runs in 28 days"))
    learnt_at = models.DateTimeField(_("learnt"), default=clock.now)

    class Meta:
        verbose_name = _("usual rows of a schedule")
        verbose_name_plural = _("usual rows of schedules")
        default_permissions = ()
        constraints = [
            DatabaseOnDelete(name="usualrows_schedule_fk", field="schedule"),
            models.UniqueConstraint(fields=["schedule", "hour_of_week"], name="usualrows_one_per_hour"),
            models.CheckConstraint(
                name="usualrows_hour_of_week_known", condition=Q(hour_of_week__range=(0, HOURS - 1))
            ),
        ]

    def __str__(self) -> str:
        return f"#{self.schedule_id} {self.hour_of_week}"

    @property
    def low(self) -> int:
        """The lower bound of what is usual."""
        return max(math.floor(self.expected * math.exp(-SHOWN * self._deviation(self.spread_low))), 0)

    @property
    def high(self) -> int:
        """The upper bound of what is usual."""
        return math.ceil(self.expected * math.exp(SHOWN * self._deviation(self.spread_high)))

    @property
    def is_known(self) -> bool:
        """Whether there is enough to say what is usual, and it is not wild on both sides."""
        return self.expected >= ROWS_MIN and min(self.spread_low, self.spread_high) <= WILD

    @property
    def far(self) -> float:
        """Beyond how many standard deviations a run is far from usual."""
        allowed = (ALARMS_A_MONTH / max(self.runs_a_month, 1.0)) ** (1 / RUNS_IN_A_ROW)
        return max(-NormalDist().inv_cdf(allowed), FAR_MIN)

    def is_outside(self, rows: int) -> bool:
        """Whether so many rows are outside the bounds that people are shown."""
        return self.is_known and not self.low <= rows <= self.high

    def is_far_below(self, rows: int) -> bool:
        """Whether a run with so many rows did far fewer than usual."""
        is_few = rows <= FEWER_SHARE * self.expected
        return (
            self._is_judged(self.spread_low) and is_few and self._distance(rows, self.spread_low) < -self.far
        )

    def is_far_above(self, rows: int) -> bool:
        """Whether a run with so many rows did far more than usual."""
        is_many = rows >= MORE_SHARE * self.expected
        return (
            self._is_judged(self.spread_high)
            and is_many
            and self._distance(rows, self.spread_high) > self.far
        )

    def _is_judged(self, spread: float) -> bool:
        return self.expected >= ROWS_MIN and spread <= WILD

    def _distance(self, rows: int, spread: float) -> float:
        """Return how many standard deviations the rows are above what is expected."""
        return math.log((rows + 1) / (self.expected + 1)) / self._deviation(spread)

    def _deviation(self, spread: float) -> float:
        """Return the standard deviation: of runs, of counts by chance, and of what is expected, an estimate itself."""
        of_runs = max(spread, SPREAD_MIN) ** 2 + 1 / max(self.expected, 1.0)
        return math.sqrt(of_runs * (self.runs + 2) / max(self.runs - 1, 1))


class RowsVerdictQuerySet(MessagesQuerySet["RowsVerdict"]):
    """Selects verdicts by what holds now."""

    def in_force(self) -> "RowsVerdictQuerySet":
        """Return those of schedules that are on."""
        return self.filter(schedule__enabled=True)


class RowsVerdict(models.Model):
    """The latest two runs of a schedule did far fewer or far more rows than usual. No row: they did not."""

    class Kind(models.TextChoices):
        """How the rows compare with what is usual."""

        NOTHING = "nothing", _("nothing, unlike usual")
        FEWER = "fewer", _("fewer than usual")
        MORE = "more", _("more than usual")

    schedule = models.OneToOneField(
        "django_celery_beat.PeriodicTask",
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        primary_key=True,
        related_name="rows_verdict",
        verbose_name=_("schedule"),
    )
    kind = models.CharField(_("compared with usual"), max_length=7, choices=Kind)
    # The slot of the first run that was far from usual, and that of the latest.
    since = models.DateTimeField(_("since"))
    slot = models.DateTimeField(_("latest slot"))
    # Of the latest run.
    rows = models.BigIntegerField(_("rows"))
    low = models.BigIntegerField(_("usually at least"))
    high = models.BigIntegerField(_("usually at most"))
    cause = MessageField(_("likely cause"), blank=True)
    cause_parts = PartsField(of="cause")

    objects = RowsVerdictQuerySet.as_manager()

    class Meta:
        verbose_name = _("unusual rows of a schedule")
        verbose_name_plural = _("unusual rows of schedules")
        default_permissions = ()
        constraints = [
            DatabaseOnDelete(name="rowsverdict_schedule_fk", field="schedule"),
            models.CheckConstraint(
                name="rowsverdict_kind_known", condition=Q(kind__in=["nothing", "fewer", "more"])
            ),
        ]

    def __str__(self) -> str:
        return f"#{self.schedule_id} {self.kind}"

    @property
    def figures_text(self) -> Message:
        """What the latest run did, and what is usual."""
        text = ngettext(
            "%(rows)s row in the run of %(time)s, usually %(low)s to %(high)s; far from usual since %(since)s.",
            "%(rows)s rows in the run of %(time)s, usually %(low)s to %(high)s; far from usual since %(since)s.",
            self.rows,
        )
        return text % {
            "rows": number(self.rows),
            "time": zoned(local(self.slot)),
            "low": number(self.low),
            "high": number(self.high),
            "since": zoned(local(self.since)),
        }

    @property
    def text(self) -> Message:
        """The figures and the likely cause."""
        return joined([self.figures_text, self.cause]) if self.cause else self.figures_text
