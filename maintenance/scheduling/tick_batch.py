"""One transaction of a tick: settle schedules one by one, then write all of them with set-based statements."""

import logging
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import (
    IntegrityError,
    InterfaceError,
    OperationalError,
    transaction,
)
from django.db.models import F
from django_celery_beat.models import PeriodicTask

from maintenance.ledger import requests
from maintenance.models import JobRun, ScheduleControl
from maintenance.registry import job_of_task
from maintenance.scheduling import replanning, slot_rows, slots
from maintenance.scheduling.firetimes import InvalidSchedule
from maintenance.scheduling.holds import Holds, Span
from maintenance.scheduling.maintenance_mode import Modes
from maintenance.scheduling.slots import Slots
from maintenance.scheduling.targets import slug_of
from maintenance.scheduling.timing import Timing

logger = logging.getLogger(__name__)

# The seconds for which one transaction computes; the next one does the rest. It must end before the lease does.
BATCH_SECONDS = 0.5
# A schedule that is held without an end is looked at again after this time.
LOOK_AGAIN = timedelta(days=1)


@dataclass(frozen=True)
class _Wanted:
    """The run of one slot before the overlap policy is applied."""

    run: JobRun
    task: PeriodicTask
    # It waits for its turn instead of being skipped: it catches up a slot, or is the only run of a one-off.
    waits: bool


class TickBatch:
    """One transaction of a tick: settle schedules one by one, then write all of them with set-based statements."""

    def __init__(self, now: datetime, modes: Modes) -> None:
        self.now = now
        self.settled: list[ScheduleControl] = []
        self.queued: list[JobRun] = []
        self.foreign: list[PeriodicTask] = []
        self._modes = modes
        # By identity, with the object itself so that no other one takes its place in memory.
        self._spans: dict[int, tuple[Holds, Span | None]] = {}
        self._rows: list[JobRun] = []
        self._wanted: list[_Wanted] = []
        self._began = time.monotonic()

    @property
    def is_long_enough(self) -> bool:
        """Whether the remaining schedules are left for the next transaction."""
        return time.monotonic() - self._began > BATCH_SECONDS

    def settle(self, task: PeriodicTask) -> None:
        """Decide about the due slots of one schedule; one that cannot be computed does not stop the others."""
        control = task.control
        try:
            self._settle(task, control)
        except (OperationalError, InterfaceError):
            raise
        except InvalidSchedule as error:
            logger.error("%s cannot fire: %s", task.name, error)
            control.next_slot_at = None
        except Exception:
            logger.exception("%s cannot fire: its schedule is invalid.", task.name)
            control.next_slot_at = None
        self.settled.append(control)

    def _settle(self, task: PeriodicTask, control: ScheduleControl) -> None:
        timing = Timing.of(task)
        if control.timing != str(timing):
            # Edited without a signal: it restarts from now.
            replanning.note_timing(task)
            return
        due = slots.due_slots(timing, control, now=self.now)
        if not due:
            # Planned too early: by rules of a time zone that have changed since, or by a clock that was ahead then.
            replanning.plan_next(control, timing)
            return
        holds = self._modes.holds_of(task)
        if (span := self._span_of(holds)) is not None:
            due = slots.before_the_hold(due, span, now=self.now)
            if not due:
                # All that is due is decided when nothing holds the schedule. Not put off until the end of the span: what
                # follows may be deleted until then.
                control.next_slot_at = span.current.end or self.now + LOOK_AGAIN
                return
        classified = slots.classify(due, now=self.now, control=control, holds=holds)
        if task.one_off:
            classified = classified.first_only()
        self._take(task, timing, classified, holds)
        control.last_slot_at = due[-1]
        replanning.plan_next(control, timing)

    def _take(self, task: PeriodicTask, timing: Timing, classified: Slots, holds: Holds) -> None:
        slug = slug_of(task)
        if slug is None:
            self.foreign += [task] if classified.run else []
            return
        cut_at = classified.cut_at
        if classified.paused:
            self._rows.append(
                slot_rows.paused_row(
                    task,
                    slug,
                    classified.paused,
                    timing=timing,
                    why=holds.reason_of(classified.paused[-1]),
                    cut_at=cut_at,
                )
            )
        if classified.missed:
            self._rows.append(
                slot_rows.missed_row(task, slug, classified.missed, timing=timing, cut_at=cut_at)
            )
        job = job_of_task(task.task)
        for slot in classified.run:
            run = (
                requests.slot_run(schedule=task, job=job, slot=slot)
                if job
                else slot_rows.no_job_run(task, slug, slot)
            )
            self._wanted.append(_Wanted(run, task, waits=bool(task.one_off) or slot in classified.caught_up))

    def _span_of(self, holds: Holds) -> Span | None:
        """Return what holds these schedules now; computed once for those that share it."""
        key = id(holds)
        if key not in self._spans:
            self._spans[key] = holds, holds.span_at(self.now)
        return self._spans[key][1]

    def write(self) -> None:
        """Write runs, schedules and controls in a fixed number of statements."""
        overlaps = requests.Overlaps(wanted.run.concurrency_key for wanted in self._wanted)
        for wanted in self._wanted:
            if wanted.run.status == JobRun.Status.QUEUED and not wanted.waits:
                overlaps.add(wanted.run, wanted.task.control.overlap_policy)
            elif wanted.run.status == JobRun.Status.QUEUED:
                overlaps.add_unconditionally(wanted.run)
            self._rows.append(wanted.run)
        written = _insert(self._rows)
        self.queued = [run for run in written if run.status == JobRun.Status.QUEUED]
        self._count()
        ScheduleControl.objects.bulk_create(
            self.settled,
            update_conflicts=True,
            unique_fields=["schedule"],
            update_fields=["last_slot_at", "next_slot_at", "timing"],
        )

    def _count(self) -> None:
        """Count the runs, but not those that were skipped or failed at once; a one-off that runs is over."""
        ran = [wanted.task for wanted in self._wanted if wanted.run.status == JobRun.Status.QUEUED]
        ran += self.foreign
        counts = Counter(task.pk for task in ran)
        # update(), not save(): this is bookkeeping, no edit. The task before its control, as an edit locks them.
        for number in sorted(set(counts.values())):
            pks = [pk for pk, count in counts.items() if count == number]
            PeriodicTask.objects.filter(pk__in=pks).update(
                last_run_at=self.now, total_run_count=F("total_run_count") + number
            )
        over = [task for task in ran if task.one_off]
        for task in over:
            task.control.timing, task.control.next_slot_at = "", None  # enabling it again is an edit
        if over:
            PeriodicTask.objects.filter(pk__in=[task.pk for task in over]).update(enabled=False)


def _insert(rows: Sequence[JobRun]) -> list[JobRun]:
    """Insert the rows of slots and return them; a slot that already has a row keeps it."""
    try:
        with transaction.atomic():
            return JobRun.objects.bulk_create(rows)
    except IntegrityError:
        fresh = slot_rows.without_those_that_have_a_row(rows)
        if len(fresh) == len(rows):
            raise  # it was another constraint, which is a fault of ours
        return JobRun.objects.bulk_create(fresh)
