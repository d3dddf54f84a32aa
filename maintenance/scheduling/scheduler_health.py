"""Whether schedules are being ticked: by which scheduler, how late, and which ones stand by."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db.models import Count, QuerySet, Subquery, Value
from django.db.models.functions import Now

from database import clock
from maintenance.models import BeatLease, BeatProcess, ScheduleControl
from maintenance.scheduling.lease import GONE_LEASES, LEASE_MAX
from maintenance.scheduling.maintenance_mode import Modes
from maintenance.scheduling.slots import MISFIRE_SECONDS
from maintenance.scheduling.targets import group_of_task

GRACE = timedelta(seconds=MISFIRE_SECONDS)


@dataclass(frozen=True)
class SchedulerHealth:
    """The schedulers as the database knows them; all times are by its clock."""

    leader: str  # host:pid:random part; empty: nobody ticks
    leading_since: datetime | None
    standbys: list[str]
    # Seconds since the leader last showed that it ticks; None: it never did.
    tick_age_seconds: float | None
    # How late the latest slots were ticked; None: there were none.
    lag_seconds: float | None
    # Schedules whose slot passed more than a minute ago without being ticked, although nothing holds them.
    overdue: int

    @property
    def tick_age(self) -> timedelta | None:
        """``tick_age_seconds`` as a duration."""
        return None if self.tick_age_seconds is None else timedelta(seconds=self.tick_age_seconds)

    @property
    def lag(self) -> timedelta | None:
        """``lag_seconds`` as a duration."""
        return None if self.lag_seconds is None else timedelta(seconds=self.lag_seconds)

    @property
    def is_alive(self) -> bool:
        """Whether a scheduler ticks."""
        return bool(self.leader)

    @property
    def has_lost_its_lease(self) -> bool:
        """Whether none ticks although one is alive. A free lease is taken within seconds: it cannot write, or hangs."""
        return not self.is_alive and bool(self.standbys)


def scheduler_health(modes: Modes | None = None) -> SchedulerHealth:
    """Return the schedulers' health, in a few small queries; who knows the switches as they are saves one: ``modes``."""
    now = clock.now()
    late = ScheduleControl.objects.filter(next_slot_at__lt=now - GRACE)
    # Counted in the same query, because there are none almost always.
    counted = (
        late.order_by().annotate(one=Value(1)).values("one").annotate(number=Count("*")).values("number")
    )
    lease: Any = BeatLease.objects.filter(pk=BeatLease.ROW).annotate(overdue=Subquery(counted)).first()
    may_be_overdue = lease is None or lease.overdue
    alive = lease is not None and bool(lease.holder) and now < lease.expires_at <= now + LEASE_MAX
    gone = timedelta(seconds=GONE_LEASES * settings.BEAT_LEASE_SECONDS)
    leader = lease.holder if lease and alive else ""
    seen = BeatProcess.objects.filter(seen_at__gt=Now() - gone).exclude(pk=leader)
    return SchedulerHealth(
        leader=leader,
        leading_since=lease.acquired_at if lease and alive else None,
        standbys=list(seen.order_by("pk").values_list("pk", flat=True)),
        tick_age_seconds=(now - lease.ticked_at).total_seconds() if lease and lease.ticked_at else None,
        lag_seconds=lease.lag_seconds if lease else None,
        overdue=_overdue(late, modes or Modes(), now) if may_be_overdue else 0,
    )


def _overdue(late: QuerySet[ScheduleControl], modes: Modes, now: datetime) -> int:
    """Return how many of the late schedules nothing holds, nor has held until less than a minute ago.

    Whatever is due in a hold, also from before it, is decided at its end.
    """
    kinds = ("schedule__task", "days_off", "days_off_weekends", "schedule__crontab__timezone")
    found = 0
    counted = late.order_by().values_list(*kinds).annotate(number=Count("*"))
    for task, calendar, with_weekends, zone, number in counted:
        zone_name = str(zone or "")
        holds = modes.holds_of_many(group_of_task(task), calendar, zone_name, with_weekends=with_weekends)
        if not (holds.now(now) or holds.covers(now - GRACE)):
            found += number
    return found
