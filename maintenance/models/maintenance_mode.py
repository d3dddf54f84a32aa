"""The global switch: nothing scheduled starts while it is on."""

from datetime import datetime
from typing import Self

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _


class MaintenanceModeQuerySet(models.QuerySet["MaintenanceMode"]):
    """States of the switch."""

    def on(self) -> Self:
        """Return the row while nothing scheduled may start."""
        return self.filter(started_at__isnull=False, ended_at__isnull=True)


class MaintenanceMode(models.Model):
    """The single row of the global switch: while it is on, nothing scheduled starts; manual runs still may.

    The row remembers its latest period, by which the slots that passed in it are told from missed ones.
    """

    ROW = 1

    id = models.PositiveSmallIntegerField(primary_key=True, default=ROW)
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
            models.CheckConstraint(name="maintenancemode_single_row", condition=Q(id=1)),
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
        return str(self._meta.verbose_name)

    @property
    def is_on(self) -> bool:
        """Whether nothing scheduled may start now."""
        return self.started_at is not None and self.ended_at is None

    def covers(self, slot: datetime) -> bool:
        """Whether the slot, which has passed, did so in the latest period; one at its very end starts again."""
        return (
            self.started_at is not None
            and self.started_at < slot
            and (self.ended_at is None or slot < self.ended_at)
        )
