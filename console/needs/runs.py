"""Runs that wait for a person, stalled runs, and missed slots."""

from typing import Any

from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from adminkit.templatetags.display import duration, number
from alerts.conditions import by_schedule, does_not_stop, name_of, silence_of
from console.needs.lines import Action, Line
from console.needs.world import World
from maintenance.admin.run_confirmation import run_url
from maintenance.ledger.run_sums import slots_of
from maintenance.models import JobRun
from maintenance.purging.kept_plan import tables_of
from maintenance.registry import InvalidParams, get_job, is_known, job_title

BLOCKED_MAX = 10


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
    lines = [
        Line(
            "blocked",
            _("%(job)s waits for approval") % {"job": job_title(run.job)},
            since=run.waiting_since,
            figures=_planned(run),
            actions=(Action(label, page_of(run)),),
        )
        for run in world.blocked[:BLOCKED_MAX]
    ]
    return [*lines, *_more_blocked(world.number_blocked - len(lines))]


def _more_blocked(more: int) -> list[Line]:
    """Return a line that leads to all of them if there are more than have lines."""
    if more <= 0:
        return []
    text = ngettext("%(number)s more run waits for approval", "%(number)s more runs wait for approval", more)
    url = reverse("admin:maintenance_jobrun_changelist") + f"?status__exact={JobRun.Status.BLOCKED}"
    return [Line("blocked", text % {"number": number(more)}, actions=(Action(_("Open"), url),))]


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
    for run in world.running:
        named = {"job": job_title(run.job), "run": run.pk}
        silent, asked = silence_of(run, world.now), run.cancel_requested_at
        if silent is not None:
            text = _("%(job)s #%(run)s stands still: its worker is silent") % named
            figures = (_("no heartbeat for %(time)s") % {"time": duration(silent)},)
        elif asked is not None and does_not_stop(run, world.now):
            text = _("%(job)s #%(run)s was cancelled and does not stop") % named
            figures = (_("asked %(time)s ago") % {"time": duration(world.now - asked)},)
        else:
            continue
        lines.append(Line("interrupted", text, run.started_at, figures, (Action(_("Open"), page_of(run)),)))
    return lines


def missed(world: World) -> list[Line]:
    """Return a line for each schedule whose slots passed without a scheduler, and that has not run since."""
    return [_missed_line(world, runs) for runs in by_schedule(world.missed).values()]


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
