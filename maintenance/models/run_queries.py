"""Queries for runs by their state, and by who may see them."""

from collections.abc import Callable
from datetime import datetime, timedelta
from functools import reduce
from operator import or_
from typing import TYPE_CHECKING, Self

from django.contrib.auth.models import AnonymousUser, User
from django.db.models import Exists, OuterRef, Q
from django.db.models.functions import Now

from database import clock
from database.messages import MessagesQuerySet
from maintenance.models.groups import jobs_by_group
from maintenance.models.maintenance_mode import ALL, MaintenanceMode
from maintenance.models.planned_windows import PlannedWindow
from maintenance.models.statuses import OPEN, Status

if TYPE_CHECKING:
    from maintenance.models.runs import JobRun  # noqa: F401  (named in a string, as it is made of these)

Person = User | AnonymousUser

# One condition per job that also shows its runs to people without the permission. Filled by ``registry``.
_shown_to: list[Callable[[Person], Q]] = []


def show_runs(condition: Callable[[Person], Q]) -> None:
    """Show people without the permission the runs that fulfil the condition for them."""
    _shown_to.append(condition)


def _held(scope: str) -> Q:
    """Return the condition that the switch of this scope is on, or a planned window of it may be open."""
    switch = MaintenanceMode.objects.on().filter(scope=scope)
    return Q(Exists(switch)) | Q(Exists(PlannedWindow.objects.may_be_open().filter(scope=scope)))


class JobRunQuerySet(MessagesQuerySet["JobRun"]):
    """States of runs."""

    def visible_to(self, user: Person) -> Self:
        """Return the runs that the user may see: all with the permission, else those that jobs show to them."""
        if not user.is_active:
            return self.none()
        if user.has_perm("maintenance.view_jobrun"):
            return self
        conditions = [condition(user) for condition in _shown_to]
        return self.filter(reduce(or_, conditions)) if conditions else self.none()

    def running(self) -> Self:
        """Return runs that a worker has claimed and not ended."""
        return self.filter(status=Status.RUNNING)

    def queued(self) -> Self:
        """Return runs that wait for a worker."""
        return self.filter(status=Status.QUEUED)

    def due(self) -> Self:
        """Return runs whose time has come."""
        return self.filter(Q(not_before__isnull=True) | Q(not_before__lte=clock.now()))

    def may_start(self) -> Self:
        """Return queued runs that a worker may claim now, unless another run with their key is running."""
        runs = self.queued().due().filter(Q(scheduled_for__isnull=True) | ~_held(ALL))
        for scope, slugs in jobs_by_group().items():
            runs = runs.filter(~Q(job__in=slugs) | Q(dry_run=True) | ~_held(scope))
        return runs

    def could_start(self) -> Self:
        """Return queued runs that only wait for a worker."""
        same_key = self.model.objects.running().filter(concurrency_key=OuterRef("concurrency_key"))
        return self.may_start().filter(Q(concurrency_key="") | ~Exists(same_key))

    def blocked(self) -> Self:
        """Return runs that wait for a person, the one that has waited longest first."""
        return self.filter(status=Status.BLOCKED).order_by("waiting_since", "pk")

    def open(self) -> Self:
        """Return runs without an end: queued, running, or blocked until somebody approves or rejects."""
        return self.filter(status__in=OPEN)

    def finished(self) -> Self:
        """Return runs in a final state."""
        return self.filter(finished_at__isnull=False)

    def finished_before(self, cutoff: datetime) -> Self:
        """Return runs that ended before the cutoff (exclusive)."""
        return self.filter(finished_at__lt=cutoff)

    def silent_for(self, seconds: float) -> Self:
        """Return running runs whose last heartbeat is older than ``seconds``, by the database's clock."""
        return self.running().filter(heartbeat_at__lt=Now() - timedelta(seconds=seconds))
