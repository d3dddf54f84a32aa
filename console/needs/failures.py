"""Failures grouped for operators: one line for repeated failures, and those that recovered without a person.

Runs of the same job with the same parameters form a group. A failing group is a line until a later run of it
succeeds; groups that failed in the last day and have recovered are collapsed.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from adminkit.templatetags.display import number
from console.needs.lines import Action, Line, Recovered
from console.needs.runs import name_of, page_of, retry_url
from console.needs.world import World
from database.slices import first_of_each
from maintenance.models import JobRun
from maintenance.models.statuses import FAILURES
from maintenance.registry import get_job, is_known

# Older failures are not listed.
WITHIN = timedelta(days=7)
# Somebody who requested a run has seen how it ended, so it is not listed for a week.
BY_HAND_WITHIN = timedelta(days=1)
RECOVERED_WITHIN = timedelta(hours=24)
# How many of the newest failures of each state are read; and how many latest runs decide about a group.
FAILURES_MAX = 50
RUNS_MAX = 20
RUNS_OF_A_SCHEDULE = 10
JUDGED_BY = 10
GROUPS_MAX = 30
CAUSE_LENGTH = 160
# From this many on, bots that fail with the same cause share one line.
ALIKE_MIN = 3

_ENDED = (JobRun.Status.SUCCEEDED, *FAILURES)
_FIELDS = (
    "job",
    "params",
    "status",
    "schedule",
    "schedule_name",
    "queued_at",
    "finished_at",
    "dry_run",
    "trigger",
)
Key = tuple[str, str]


@dataclass(frozen=True)
class Group:
    """The ended runs of one job with the same parameters, newest first."""

    newest_failure: JobRun
    runs: Sequence[JobRun]

    @property
    def is_failing(self) -> bool:
        """Whether the latest of them failed."""
        return not self.runs or self.runs[0].status in FAILURES

    @property
    def failed(self) -> int:
        """How many of the latest runs failed."""
        return max(1, sum(run.status in FAILURES for run in self.runs[:JUDGED_BY]))

    @property
    def of(self) -> int:
        """How many runs were read."""
        return max(1, len(self.runs[:JUDGED_BY]))

    @property
    def since(self) -> datetime | None:
        """When the first of the consecutive failures ended."""
        since = self.newest_failure.finished_at
        for run in self.runs:
            if run.status not in FAILURES:
                break
            since = run.finished_at
        return since

    @property
    def cause(self) -> str:
        """The message of the latest failure, as one line."""
        run = self.newest_failure
        text = " ".join((run.error or run.message or str(run.get_reason_display())).split())
        return text if len(text) <= CAUSE_LENGTH else f"{text[:CAUSE_LENGTH]}…"


def key_of(run: JobRun) -> Key:
    """Return the key of the run's group."""
    return run.job, json.dumps(run.params, sort_keys=True)


def failing(world: World) -> list[Line]:
    """Return a line for each job, with its parameters, whose latest run failed."""
    alike: dict[tuple[str, str], list[Group]] = {}
    for group in groups(world):
        if group.is_failing:
            alike.setdefault((group.newest_failure.job, group.cause), []).append(group)
    lines = []
    for same in alike.values():
        lines += [_together(same)] if len(same) >= ALIKE_MIN else [_line(world, group) for group in same]
    return lines


def recovered(world: World) -> list[Recovered]:
    """Return the groups that failed in the last day and have recovered."""
    found = []
    for group in groups(world):
        ended = group.newest_failure.finished_at
        if group.is_failing or ended is None or ended < world.now - RECOVERED_WITHIN:
            continue
        later = [run for run in group.runs if run.pk > group.newest_failure.pk]
        fine_since = min(run.finished_at for run in later if run.finished_at)
        recent = [
            run for run in group.runs if run.finished_at and run.finished_at >= world.now - RECOVERED_WITHIN
        ]
        times = max(1, sum(run.status in FAILURES for run in recent))
        text = f"{name_of(group.newest_failure)}: {group.cause}"
        found.append(Recovered(text, times, fine_since, page_of(group.newest_failure)))
    return found


def _line(world: World, group: Group) -> Line:
    run = group.newest_failure
    text = _("%(name)s is failing") if run.status == JobRun.Status.FAILED else _("%(name)s does only a part")
    actions = [Action(_("Why"), page_of(run))]
    if again := retry_url(world, run):
        actions.append(Action(_("Retry…"), again))
    of_last = _("%(failed)s of the last %(number)s") % {"failed": group.failed, "number": group.of}
    return Line(
        run.status,
        text % {"name": name_of(run)},
        since=group.since,
        figures=(of_last,) if group.of > 1 else (),
        actions=tuple(actions),
        error=group.cause,
    )


def _together(same: Sequence[Group]) -> Line:
    """Return one line for bots, or parameters, that fail with the same cause."""
    run = max((group.newest_failure for group in same), key=lambda one: one.pk)
    text = ngettext(
        "%(name)s is failing for %(number)s set of parameters",
        "%(name)s is failing for %(number)s sets of parameters",
        len(same),
    )
    title = get_job(run.job).title if is_known(run.job) else run.job
    since = [group.since for group in same if group.since]
    every = reverse("admin:maintenance_jobrun_changelist") + f"?job={run.job}&status__exact={run.status}"
    return Line(
        run.status,
        text % {"name": title, "number": number(len(same))},
        since=min(since, default=None),
        actions=(Action(_("Why"), page_of(run)), Action(_("Open"), every)),
        error=same[0].cause,
    )


def groups(world: World) -> list[Group]:
    """Return the groups with a failure, the latest failure first; read once per request, with two queries."""
    kept: dict[str, list[Group]] = vars(world)
    if "_failure_groups" not in kept:
        kept["_failure_groups"] = _read(world)
    return kept["_failure_groups"]


def _read(world: World) -> list[Group]:
    newest: dict[Key, JobRun] = {}
    for run in sorted(_failures(world), key=lambda one: -one.pk):
        newest.setdefault(key_of(run), run)
    if not newest:
        return []
    by_key: dict[Key, dict[int, JobRun]] = {}
    chosen = dict(list(newest.items())[:GROUPS_MAX])
    for run in _later(list(chosen.values())):
        by_key.setdefault(key_of(run), {})[run.pk] = run
    found = []
    for key, run in chosen.items():
        runs = {run.pk: run, **by_key.get(key, {})}
        found.append(Group(run, sorted(runs.values(), key=lambda one: -one.pk)))
    return found


def _failures(world: World) -> list[JobRun]:
    # By the index of state and number, without a condition on time: that would read all failures ever stored.
    visible = JobRun.objects.visible_to(world.person).filter(dry_run=False)
    fields = (*_FIELDS, "reason", "error", "error_parts", "message", "message_parts")
    newest = first_of_each(
        [visible.filter(status=status).order_by("-pk").only(*fields)[:FAILURES_MAX] for status in FAILURES]
    )
    return [run for run in newest if _is_recent(run, world.now)]


def _is_recent(run: JobRun, now: datetime) -> bool:
    within = WITHIN if run.schedule_id else BY_HAND_WITHIN
    return run.finished_at is not None and run.finished_at >= now - within


def _later(failures: Sequence[JobRun]) -> list[JobRun]:
    """Return the latest runs of the failed jobs, and of their schedules if a job has one for each bot."""
    ended = JobRun.objects.filter(dry_run=False, status__in=_ENDED).only(*_FIELDS)
    parts = [
        ended.filter(job=slug).order_by("-pk")[:RUNS_MAX]
        for slug in dict.fromkeys(run.job for run in failures)
    ]
    of_bots = {
        run.schedule_id
        for run in failures
        if run.schedule_id and is_known(run.job) and get_job(run.job).concurrent_by
    }
    parts += [
        ended.filter(schedule=schedule, trigger=JobRun.Trigger.SCHEDULE).order_by("-scheduled_for")[
            :RUNS_OF_A_SCHEDULE
        ]
        for schedule in sorted(of_bots)
    ]
    return first_of_each(parts)
