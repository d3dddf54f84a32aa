"""The schedulers and workers that are alive, and which scheduler leads."""

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from database import clock


class BeatLease(models.Model):
    """The single row that says which scheduler ticks; its times are by the database's clock."""

    ROW = 1

    id = models.PositiveSmallIntegerField(primary_key=True, default=ROW)
    holder = models.CharField(_("holder"), max_length=200, blank=True)
    # Increases with each new holder; a write with an older token is refused.
    fence = models.BigIntegerField(_("fencing token"), default=0)
    expires_at = models.DateTimeField(_("expires"))
    acquired_at = models.DateTimeField(_("held since"), null=True, blank=True)
    ticked_at = models.DateTimeField(_("last tick"), null=True, blank=True)
    # How late the latest slots were ticked: the oldest of them, in seconds.
    lag_seconds = models.FloatField(_("lag"), null=True, blank=True)

    class Meta:
        verbose_name = _("scheduler lease")
        verbose_name_plural = _("scheduler leases")
        constraints = [models.CheckConstraint(name="beatlease_single_row", condition=Q(id=1))]

    def __str__(self) -> str:
        return self.holder or "–"


class BeatProcess(models.Model):
    """A scheduler that is alive, leading or standing by; ``seen_at`` is by the database's clock."""

    holder = models.CharField(_("holder"), max_length=200, primary_key=True)
    started_at = models.DateTimeField(_("started"), default=clock.now)
    seen_at = models.DateTimeField(_("last seen"))

    class Meta:
        verbose_name = _("scheduler")
        verbose_name_plural = _("schedulers")
        ordering = ["holder"]

    def __str__(self) -> str:
        return self.holder


class WorkerProcess(models.Model):
    """A worker that is alive, and what it does; its times are by the database's clock."""

    name = models.CharField(_("name"), max_length=200, primary_key=True)
    pid = models.PositiveIntegerField(_("process"), default=0)
    started_at = models.DateTimeField(_("started"))
    seen_at = models.DateTimeField(_("last seen"))
    # The queues that it takes messages from, comma-separated; empty: all, as workers of earlier releases.
    queues = models.CharField(_("queues"), max_length=200, blank=True, default="", db_default="")
    # When its event loop last ran, so that it could take a message; null: not yet.
    listening_at = models.DateTimeField(_("last listening"), null=True, blank=True)
    # When a process of its pool last took a message; null: not yet.
    taken_at = models.DateTimeField(_("last took a run"), null=True, blank=True)

    class Meta:
        verbose_name = _("worker")
        verbose_name_plural = _("workers")
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name

    def takes(self, queue: str) -> bool:
        """Whether it takes messages from the queue."""
        return not self.queues or queue in self.queues.split(",")
