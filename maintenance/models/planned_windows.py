"""Maintenance windows that are planned in advance: once, or every week at the same wall-clock times."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Self

from django.conf import settings
from django.db import models, transaction
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from database import clock, zones
from database.constraints import DatabaseOnDelete
from database.weekly import Weekly

# Slots of a window that ended longer ago are recorded by now; a scheduler that was dead for longer calls them missed.
REMEMBERED = timedelta(days=35)
WEEK = timedelta(days=7)

# One stretch of time: from its beginning to its end (exclusive), in UTC.
Occurrence = tuple[datetime, datetime]


class PlannedWindowQuerySet(models.QuerySet["PlannedWindow"]):
    """States of windows."""

    def planned(self) -> Self:
        """Return those that hold something now or later."""
        return self.filter(ended_at__isnull=True)

    def over(self, now: datetime) -> Self:
        """Return those whose stored occurrence is over, of every week or not."""
        return self.planned().filter(ends_at__lte=now)

    def may_be_open(self) -> Self:
        """Return those that hold something now, and weekly ones of which it is not known before they are moved on."""
        now = clock.now()
        return self.planned().filter(Q(ends_at__gt=now) | ~Q(weekdays=""), starts_at__lte=now)

    def move_on(self, now: datetime) -> int:
        """Let weekly windows whose stored occurrence is over show their next one, and end the others; return how many."""
        keys = list(self.over(now).values_list("pk", flat=True))
        moved = 0
        for key in keys:
            with transaction.atomic():
                row = self.select_for_update().filter(pk=key).first()
                if row is None or row.ended_at is not None or row.ends_at > now:
                    continue
                row.settle(now)
                row.save(update_fields=["starts_at", "ends_at", "ended_at"])
                moved += 1
        return moved


class PlannedWindow(models.Model):
    """A time in which nothing scheduled starts, or no run of a group: like a switch that was set in advance.

    When a weekly window is open is computed (``occurrence_at``, ``occurrences_after``). ``starts_at`` and ``ends_at`` are
    its only occurrence, or of a weekly one the current or next, as far as a scheduler or worker has moved it on: only SQL
    reads them. Rows that have ended stay: slots that passed in them may not be recorded yet.
    """

    # Empty: all schedules; else a group of jobs.
    scope = models.CharField(_("scope"), max_length=20, blank=True)
    reason = models.CharField(_("reason"), max_length=500)
    starts_at = models.DateTimeField(_("starts"))
    ends_at = models.DateTimeField(_("ends"))  # exclusive
    # The weekdays on which a weekly window begins, as digits, Monday 0; empty: it happens once.
    weekdays = models.CharField(_("weekdays"), max_length=7, blank=True)
    # Wall-clock times in the zone; an end that is not later than the beginning is on the next day.
    from_time = models.TimeField(_("from"), null=True, blank=True)
    to_time = models.TimeField(_("to"), null=True, blank=True)
    timezone = models.CharField(_("time zone"), max_length=63)
    planned_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.DO_NOTHING,
        db_constraint=False,  # plannedwindow_planned_by_fk
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("planned by"),
    )
    # It holds nothing before this moment.
    planned_at = models.DateTimeField(_("planned"), default=clock.now)
    # The last occurrence that somebody ended early ended at this moment; the release before reads only this.
    cut_at = models.DateTimeField(null=True, blank=True, editable=False)
    # The moments of all that were ended early lately, as ISO texts: each stays ended.
    cuts = models.JSONField(default=list, db_default=[], blank=True, editable=False)
    # From this moment on it holds nothing: its only occurrence is over, or somebody deleted it.
    ended_at = models.DateTimeField(_("ended"), null=True, blank=True)

    objects = PlannedWindowQuerySet.as_manager()

    class Meta:
        verbose_name = _("planned window")
        verbose_name_plural = _("planned windows")
        constraints = [
            DatabaseOnDelete(name="plannedwindow_planned_by_fk", field="planned_by", action="SET NULL"),
            models.CheckConstraint(name="plannedwindow_has_reason", condition=~Q(reason="")),
            models.CheckConstraint(
                name="plannedwindow_ends_after_start", condition=Q(ends_at__gt=F("starts_at"))
            ),
            models.CheckConstraint(
                name="plannedwindow_weekly_has_times",
                condition=Q(weekdays="", from_time__isnull=True, to_time__isnull=True)
                | (~Q(weekdays="") & Q(from_time__isnull=False, to_time__isnull=False)),
            ),
        ]
        indexes = [
            # recovery, every two seconds: WHERE ended_at IS NULL AND ends_at <= now
            models.Index(
                fields=["ends_at"], name="plannedwindow_planned", condition=Q(ended_at__isnull=True)
            ),
            # every tick: those that ended in the last weeks
            models.Index(fields=["ended_at"], name="plannedwindow_ended"),
        ]

    def __str__(self) -> str:
        return self.reason

    @property
    def is_weekly(self) -> bool:
        """Whether it happens every week."""
        return bool(self.weekdays)

    @property
    def days(self) -> frozenset[int]:
        """The weekdays on which it begins, Monday 0."""
        return frozenset(int(digit) for digit in self.weekdays)

    @property
    def weekly(self) -> Weekly | None:
        """How it repeats; None: it happens once, or this host does not know its time zone."""
        zone = zones.find(self.timezone)
        if not self.weekdays or self.from_time is None or self.to_time is None or zone is None:
            return None
        return Weekly(self.days, self.from_time, self.to_time, zone)

    def occurrence_at(self, moment: datetime) -> Occurrence | None:
        """Return the occurrence that contains the moment, as short as somebody has made it."""
        weekly = self.weekly
        found = (self.starts_at, self.ends_at) if weekly is None else weekly.at(moment)
        start, end = self._held(found) if found is not None else (moment, moment)
        return (start, end) if start <= moment < end else None

    def occurrences_after(self, moment: datetime) -> Iterator[Occurrence]:
        """Yield the occurrences that end after the moment, ascending; endless for a weekly window."""
        weekly = self.weekly
        spans = iter([(self.starts_at, self.ends_at)]) if weekly is None else weekly.after(moment)
        for span in spans:
            if self.ended_at is not None and span[0] >= self.ended_at:
                return
            start, end = self._held(span)
            if start < end and end > moment:
                yield start, end

    def next_occurrence(self, now: datetime) -> Occurrence | None:
        """Return the occurrence that is open now, or the next one; None: it is over."""
        return next(self.occurrences_after(now), None)

    def _held(self, span: Occurrence) -> Occurrence:
        """Return the part of the occurrence in which it holds something."""
        start, end = span
        ends = [end, *(cut for cut in self._cut_at if start <= cut < end)]
        return max(start, self.planned_at), min(ends if self.ended_at is None else [*ends, self.ended_at])

    @property
    def _cut_at(self) -> list[datetime]:
        return [*([self.cut_at] if self.cut_at else []), *map(datetime.fromisoformat, self.cuts)]

    def cut(self, now: datetime) -> None:
        """End the occurrence that is open now; not saved."""
        span = self.occurrence_at(now)
        lately = [cut for cut in self._cut_at if now - cut < REMEMBERED]
        self.cut_at, self.cuts = now, [cut.isoformat() for cut in sorted({*lately, now})]
        if span is not None and (not self.is_weekly or not self.show_next(after=span[1])):
            self.ended_at = now

    def show_next(self, *, after: datetime) -> bool:
        """Store the first occurrence that ends after the moment; return whether there is one. Not saved."""
        found = next(self.weekly.after(after), None) if self.weekly is not None else None
        if found is not None:
            self.starts_at, self.ends_at = found
        return found is not None

    def settle(self, now: datetime) -> None:
        """Store the current or next occurrence of a weekly window; one that happens once, and is over, ends. Not saved."""
        if not self.is_weekly:
            self.ended_at = self.ends_at
        elif not self.show_next(after=now):
            # Nobody can tell without the rules of its zone: so many whole weeks later is right most of the year.
            weeks = (now - self.ends_at) // WEEK + 1
            self.starts_at, self.ends_at = self.starts_at + weeks * WEEK, self.ends_at + weeks * WEEK
