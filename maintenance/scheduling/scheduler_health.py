"""Whether schedules are being ticked: by which scheduler, how late, and which ones stand by."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db.models import Count, Subquery, Value
from django.db.models.functions import Now

from database import clock
from maintenance.models import BeatLease, BeatProcess, ScheduleControl
from maintenance.scheduling.lease import GONE_LEASES, LEASE_MAX
from maintenance.scheduling.maintenance_mode import Modes
from maintenance.scheduling.slots import MISFIRE_SECONDS


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
    # Schedules whose slot passed more than a minute ago without being ticked.
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


def scheduler_health(modes: Modes | None = None) -> SchedulerHealth:
    """Return the schedulers' health, in three small queries; who knows the switches as they are saves one: ``modes``."""
    now = clock.now()
    late = ScheduleControl.objects.filter(next_slot_at__lt=now - timedelta(seconds=MISFIRE_SECONDS))
    late = late.exclude(schedule__task__in=(modes or Modes()).task_names_held)
    # Counted in the same query; where nobody has ever held the lease there is no row to count beside.
    counted = (
        late.order_by().annotate(one=Value(1)).values("one").annotate(number=Count("*")).values("number")
    )
    lease: Any = BeatLease.objects.filter(pk=BeatLease.ROW).annotate(overdue=Subquery(counted)).first()
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
        overdue=late.count() if lease is None else lease.overdue or 0,
    )
