"""Switches that stop many schedules at once: all of them, or those of a group of jobs."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, Self

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _


class MaintenanceModeQuerySet(models.QuerySet["MaintenanceMode"]):
    """States of the switch."""

    def on(self) -> Self:
        """Return the switches that are on."""
        return self.filter(started_at__isnull=False, ended_at__isnull=True)

    def of_all(self) -> Self:
        """Return the switch of all schedules: maintenance mode."""
        return self.filter(scope=MaintenanceMode.Scope.ALL)


class MaintenanceMode(models.Model):
    """One switch per scope. While the one for all schedules is on, nothing scheduled starts; manual runs still may.

    While the switch of a group of jobs is on, none of their runs starts, not even manual ones. A row remembers its
    latest period, so that slots which passed in it are not counted as missed.
    """

    class Scope(models.TextChoices):
        """What a switch stops."""

        ALL = "", _("all schedules")
        SCRAPING = "scraping", _("scraping")

    ROW = 1
    # One row per scope, which is its key.
    ROWS: ClassVar = {Scope.ALL: ROW, Scope.SCRAPING: 2}

    id = models.PositiveSmallIntegerField(primary_key=True, default=ROW)
    scope = models.CharField(
        _("scope"), max_length=20, choices=Scope, default=Scope.ALL, db_default=Scope.ALL, blank=True
    )
    started_at = models.DateTimeField(_("on since"), null=True, blank=True)
    started_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("switched on by"),
    )
    reason = models.CharField(_("reason"), max_length=500, blank=True)
    until = models.DateTimeField(_("until"), null=True, blank=True)
    ended_at = models.DateTimeField(_("ended"), null=True, blank=True)

    objects = MaintenanceModeQuerySet.as_manager()

    class Meta:
        verbose_name = _("maintenance mode")
        verbose_name_plural = _("maintenance mode")
        constraints = [
            models.CheckConstraint(
                name="maintenancemode_one_row_per_scope",
                condition=Q(id=1, scope="") | Q(id=2, scope="scraping"),
            ),
            models.CheckConstraint(
                name="maintenancemode_has_reason", condition=Q(started_at__isnull=True) | ~Q(reason="")
            ),
            models.CheckConstraint(
                name="maintenancemode_ends_after_start",
                condition=Q(ended_at__isnull=True)
                | Q(started_at__isnull=False, ended_at__gte=F("started_at")),
            ),
        ]

    def __str__(self) -> str:
        return str(self._meta.verbose_name if self.scope == self.Scope.ALL else _("pause of scraping"))

    @property
    def is_on(self) -> bool:
        """Whether it is in force now."""
        return self.started_at is not None and self.ended_at is None

    def holds(self, group: str) -> bool:
        """Whether the switch applies to jobs of this group."""
        return self.scope in (self.Scope.ALL, group)

    def covers(self, slot: datetime) -> bool:
        """Whether the slot, which has passed, was in the latest period; a slot at its exact end is not."""
        return (
            self.started_at is not None
            and self.started_at < slot
            and (self.ended_at is None or slot < self.ended_at)
        )


@dataclass(frozen=True)
class Window:
    """The latest periods of all switches that apply to one schedule."""

    modes: Sequence[MaintenanceMode] = ()

    def covers(self, slot: datetime) -> bool:
        """Whether the slot, which has passed, was in one of them."""
        return any(mode.covers(slot) for mode in self.modes)

    def reason_of(self, slot: datetime) -> str:
        """Return why the slot did not fire."""
        return next((mode.reason for mode in self.modes if mode.covers(slot)), "")
