"""What pages show of usual rows: beside the rows of a run, and for the next run of a schedule."""

from dataclasses import dataclass
from datetime import datetime

from maintenance.models import JobRun, RowsVerdict, UsualRows
from maintenance.yields.learning import hour_of_week
from maintenance.yields.rows import rows_of


@dataclass(frozen=True)
class RowsOfRun:
    """The rows of a run that succeeded, beside what is usual for its schedule in its hour of the week."""

    rows: int
    usual: UsualRows

    @property
    def is_outside(self) -> bool:
        """Whether the run is not among the nine of ten that are as usual."""
        return self.usual.is_outside(self.rows)


def rows_beside_usual(run: JobRun) -> RowsOfRun | None:
    """Return the rows of a run with what is usual; None: it did not succeed at a slot, or nothing is known to be usual."""
    of_slot = run.trigger == JobRun.Trigger.SCHEDULE and run.attempt == 1 and not run.dry_run
    if not of_slot or run.status != JobRun.Status.SUCCEEDED:
        return None
    usual = usual_at(run.schedule_id, run.scheduled_for)
    return RowsOfRun(rows_of(run) or 0, usual) if usual else None


def usual_at(schedule: int | None, slot: datetime | None) -> UsualRows | None:
    """Return what is usual for a run of the schedule in this slot; None: nothing is known to be."""
    if schedule is None or slot is None:
        return None
    usual = UsualRows.objects.filter(schedule=schedule, hour_of_week=hour_of_week(slot)).first()
    return usual if usual is not None and usual.is_known else None


def verdict_of(schedule: int) -> RowsVerdict | None:
    """Return what holds of the latest two runs of a schedule; None: they were as usual, or cannot be judged."""
    return RowsVerdict.objects.filter(schedule=schedule).first()
