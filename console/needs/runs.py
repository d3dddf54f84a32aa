"""Runs that wait for a person, stalled runs, and missed slots."""

from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db.models import Exists, OuterRef, Q
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from adminkit.templatetags.display import duration, number
from console.needs.lines import Action, Line
from console.needs.world import World
from maintenance.admin.run_confirmation import run_url
from maintenance.models import FORCE_STOP_AFTER, JobRun
from maintenance.models.statuses import OPEN, WORKED
from maintenance.purging.kept_plan import tables_of
from maintenance.registry import InvalidParams, get_job, is_known, job_title, jobs
from maintenance.scheduling.recovery import SILENT_HEARTBEATS

BLOCKED_MAX = 10
MISSED_MAX = 50
# Older missed slots are not listed: nothing can be done about them.
MISSED_WITHIN = timedelta(days=2)


def page_of(run: JobRun) -> str:
    """Return the address of a run's page."""
    return reverse("admin:maintenance_jobrun_change", args=[run.pk])


def retry_url(world: World, run: JobRun) -> str | None:
    """Return the address at which the person can retry the run; None: they may not, or its job was removed."""
    if not is_known(run.job):
        return None
    job = get_job(run.job)
    try:
        params = job.clean({name: value for name, value in run.params.items() if name in job.params})
    except InvalidParams:
        return None
    return run_url(job, params) if job.may_run(world.person, params) else None


def blocked(world: World) -> list[Line]:
    """Return a line for each run that the safety cap has stopped, the one that has waited longest first."""
    label = _("Review") if world.may("maintenance.approve_run") else _("Open")
    return [
        Line(
            "blocked",
            _("%(job)s waits for approval") % {"job": job_title(run.job)},
            since=run.waiting_since,
            figures=_planned(run),
            actions=(Action(label, page_of(run)),),
        )
        for run in world.blocked[:BLOCKED_MAX]
    ]


def _planned(run: Any) -> tuple[str, ...]:
    """Return how much the run would delete, and by which rule."""
    figures = [
        f"{number(table.rows)} {table.verbose_name}"
        for table in tables_of(run.plan)
        if table.rows and table.cascaded_from is None
    ]
    asked, policy = run.params.get("days"), run.policy_days
    if asked is not None and policy is not None and asked != policy:
        figures.append(_("asked: %(asked)s d, policy: %(policy)s d") % {"asked": asked, "policy": policy})
    elif policy is not None:
        figures.append(_("policy: %(policy)s d") % {"policy": policy})
    return tuple(figures)


def stalled(world: World) -> list[Line]:
    """Return a line for each run whose worker is silent, and each cancelled run that does not stop."""
    lines = []
    patience = timedelta(seconds=SILENT_HEARTBEATS * settings.HEARTBEAT_SECONDS)
    for run in world.running:
        named = {"job": job_title(run.job), "run": run.pk}
        silent = world.now - run.heartbeat_at if run.heartbeat_at else None
        asked = run.cancel_requested_at
        if silent is not None and silent > patience:
            text = _("%(job)s #%(run)s stands still: its worker is silent") % named
            figures = (_("no heartbeat for %(time)s") % {"time": duration(silent)},)
        elif asked is not None and world.now - asked > FORCE_STOP_AFTER:
            text = _("%(job)s #%(run)s was cancelled and does not stop") % named
            figures = (_("asked %(time)s ago") % {"time": duration(world.now - asked)},)
        else:
            continue
        lines.append(Line("interrupted", text, run.started_at, figures, (Action(_("Open"), page_of(run)),)))
    return lines


def missed(world: World) -> list[Line]:
    """Return a line for each schedule whose slots passed without a scheduler, and that has not run since."""
    ran = Q(status__in=[*OPEN, *WORKED])
    later = JobRun.objects.filter(
        ran, schedule=OuterRef("schedule"), trigger="schedule", scheduled_for__gt=OuterRef("scheduled_for")
    )
    by_hand = JobRun.objects.filter(
        ran, job=OuterRef("job"), dry_run=False, schedule__isnull=True, pk__gt=OuterRef("pk")
    )
    plain = [job.slug for job in jobs() if job.concurrent_by is None]
    rows = (
        JobRun.objects.visible_to(world.person)
        .filter(status=JobRun.Status.MISSED, reason=JobRun.Reason.NO_SCHEDULER)
        .filter(queued_at__gte=world.now - MISSED_WITHIN, schedule__enabled=True)
        .exclude(Exists(later))
        .exclude(Exists(by_hand), job__in=plain)
        .order_by("-pk")
        .only("job", "schedule", "schedule_name", "scheduled_for", "counts", "params", "dry_run")
    )
    by_schedule: dict[int | None, list[JobRun]] = {}
    for run in rows[:MISSED_MAX]:
        by_schedule.setdefault(run.schedule_id, []).append(run)
    return [_missed_line(world, runs) for runs in by_schedule.values()]


def _missed_line(world: World, runs: list[JobRun]) -> Line:
    newest, slots = runs[0], sum(map(slots_of, runs))
    text = ngettext(
        "%(name)s: %(number)s slot was missed and not caught up",
        "%(name)s: %(number)s slots were missed and not caught up",
        slots,
    )
    actions = [Action(_("Why"), page_of(newest))]
    if again := retry_url(world, newest):
        actions.append(Action(_("Run…"), again))
    return Line(
        "missed",
        text % {"name": name_of(newest), "number": number(slots)},
        since=runs[-1].scheduled_for,
        actions=tuple(actions),
    )


def slots_of(run: JobRun) -> int:
    """Return how many slots a row of missed slots counts."""
    slots = run.counts.get("slots_missed")
    return slots if type(slots) is int else 1


def name_of(run: JobRun) -> str:
    """Return the schedule's name if somebody has given it one, otherwise the job's title in the reader's language."""
    if run.schedule_name and not (is_known(run.job) and run.schedule_name == get_job(run.job).english_title):
        return run.schedule_name
    return job_title(run.job)
