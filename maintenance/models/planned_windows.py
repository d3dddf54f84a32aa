"""Maintenance windows that are planned in advance: once, or every week at the same wall-clock times."""

from datetime import datetime
from typing import Self

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from database import clock


class PlannedWindowQuerySet(models.QuerySet["PlannedWindow"]):
    """States of windows."""

    def planned(self) -> Self:
        """Return those that hold something now or later."""
        return self.filter(ended_at__isnull=True)

    def open(self) -> Self:
        """Return those that hold something now."""
        now = clock.now()
        return self.planned().filter(starts_at__lte=now, ends_at__gt=now)


class PlannedWindow(models.Model):
    """A time in which nothing scheduled starts, or no run of a group: like a switch that was set in advance.

    ``starts_at`` and ``ends_at`` are its only occurrence, or the current or next one of a weekly window. Rows that have
    ended stay: slots that passed in them may not be recorded yet.
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
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("planned by"),
    )
    # It holds nothing before this moment.
    planned_at = models.DateTimeField(_("planned"), default=clock.now)
    # The last occurrence that somebody ended early ended at this moment.
    cut_at = models.DateTimeField(null=True, blank=True, editable=False)
    # From this moment on it holds nothing: its only occurrence is over, or somebody deleted it.
    ended_at = models.DateTimeField(_("ended"), null=True, blank=True)

    objects = PlannedWindowQuerySet.as_manager()

    class Meta:
        verbose_name = _("planned window")
        verbose_name_plural = _("planned windows")
        constraints = [
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
            # recovery, every two seconds, and each claim of a run: WHERE ended_at IS NULL AND ends_at <= now
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

    def is_open_at(self, moment: datetime) -> bool:
        """Whether its stored occurrence contains the moment."""
        return self.ended_at is None and self.starts_at <= moment < self.ends_at
