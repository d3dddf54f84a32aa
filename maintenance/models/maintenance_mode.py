"""Switches that stop many schedules at once: all of them, or those of a group of jobs."""

from typing import Self

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from database.constraints import DatabaseOnDelete
from maintenance.models.groups import group_title

# The scope of all schedules. Any other scope is the slug of a group of jobs.
ALL = ""


class MaintenanceModeQuerySet(models.QuerySet["MaintenanceMode"]):
    """States of the switch."""

    def on(self) -> Self:
        """Return the switches that are on."""
        return self.filter(started_at__isnull=False, ended_at__isnull=True)


class MaintenanceMode(models.Model):
    """One switch per scope. While the one for all schedules is on, nothing scheduled starts; manual runs still may.

    While the switch of a group of jobs is on, none of their runs starts, not even manual ones. A row remembers its
    latest period, so that slots which passed in it are not counted as missed.
    """

    # The key of the switch of all schedules; that of a group has the next one that is free.
    ROW = 1

    id = models.PositiveSmallIntegerField(primary_key=True, default=ROW)
    scope = models.CharField(_("scope"), max_length=20, default=ALL, db_default=ALL, blank=True)
    started_at = models.DateTimeField(_("on since"), null=True, blank=True)
    started_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.DO_NOTHING,
        db_constraint=False,  # maintenancemode_started_by_fk
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
            DatabaseOnDelete(name="maintenancemode_started_by_fk", field="started_by", action="SET NULL"),
            models.UniqueConstraint(fields=["scope"], name="maintenancemode_one_row_per_scope"),
            models.CheckConstraint(
                name="maintenancemode_first_row_is_of_all",
                condition=Q(id=1, scope="") | (~Q(id=1) & ~Q(scope="")),
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
        if self.scope == ALL:
            return str(self._meta.verbose_name)
        return _("pause of %(group)s") % {"group": group_title(self.scope)}

    @property
    def is_on(self) -> bool:
        """Whether it is in force now."""
        return self.started_at is not None and self.ended_at is None
