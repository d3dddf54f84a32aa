"""Judges schedules by their latest two runs: when both did far fewer, or far more, rows than usual, that is a verdict."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from django.db.models import F, Window
from django.db.models.functions import RowNumber

from maintenance.models import JobRun, RowsVerdict, UsualRows
from maintenance.yields.causes import likely_cause
from maintenance.yields.learning import BACK, COUNTS, LATEST, hour_of_week
from maintenance.yields.rows import RowsDone

LOW, HIGH = "low", "high"
# Of the expected rows, this share and less is nothing.
NOTHING_SHARE: Final = 0.05


@dataclass(frozen=True)
class Judged:
    """One run: what it did, what is usual in its hour of the week, and on which side it is far from that."""

    slot: datetime
    rows: int
    usual: UsualRows

    @property
    def side(self) -> str:
        """LOW or HIGH; empty if it is not far from usual, or cannot be judged."""
        if self.usual.is_far_below(self.rows):
            return LOW
        return HIGH if self.usual.is_far_above(self.rows) else ""

    @property
    def kind(self) -> str:
        """The kind of a verdict that this run is the latest of."""
        if self.side == HIGH:
            return RowsVerdict.Kind.MORE
        is_nothing = self.rows <= NOTHING_SHARE * self.usual.expected
        return RowsVerdict.Kind.NOTHING if is_nothing else RowsVerdict.Kind.FEWER


def judge(schedules: Sequence[int], *, now: datetime) -> None:
    """Store the verdicts of these schedules, by runs whose slots were not after ``now``."""
    latest = _latest(schedules, now)
    standing = RowsVerdict.objects.in_bulk(schedules)
    for schedule in schedules:
        runs = latest.get(schedule, [])
        agree = len(runs) == LATEST and bool(runs[0].side) and len({run.side for run in runs}) == 1
        if agree:
            _store(schedule, runs, standing.get(schedule))
        elif schedule in standing:
            standing[schedule].delete()


def _latest(schedules: Sequence[int], now: datetime) -> Mapping[int, list[Judged]]:
    """Return the latest two runs of each schedule, newest first; those whose hour has nothing usual are missing."""
    usual = {
        (one.schedule_id, one.hour_of_week): one for one in UsualRows.objects.filter(schedule__in=schedules)
    }
    runs = JobRun.objects.filter(
        COUNTS, schedule__in=schedules, scheduled_for__gt=now - BACK, scheduled_for__lte=now
    )
    numbered = runs.annotate(
        rows=RowsDone("counts"),
        newest=Window(RowNumber(), partition_by=F("schedule_id"), order_by=F("scheduled_for").desc()),
    )
    newest = numbered.filter(newest__lte=LATEST).order_by("schedule_id", "newest")
    found: dict[int, list[Judged]] = {}
    for schedule, slot, rows in newest.values_list("schedule_id", "scheduled_for", "rows"):
        assert slot is not None  # filtered above
        if of_hour := usual.get((schedule, hour_of_week(slot))):
            found.setdefault(schedule, []).append(Judged(slot, rows, of_hour))
    return found


def _store(schedule: int, runs: Sequence[Judged], standing: RowsVerdict | None) -> None:
    latest, first = runs[0], runs[-1]
    if standing is not None and standing.slot == latest.slot:
        return  # no run since
    is_same = standing is not None and (standing.kind == RowsVerdict.Kind.MORE) == (latest.side == HIGH)
    since = standing.since if standing is not None and is_same else first.slot
    RowsVerdict.objects.update_or_create(
        schedule_id=schedule,
        defaults={
            "kind": latest.kind,
            "since": since,
            "slot": latest.slot,
            "rows": latest.rows,
            "low": latest.usual.low,
            "high": latest.usual.high,
            "cause": likely_cause(schedule, latest.kind, since),
        },
    )
