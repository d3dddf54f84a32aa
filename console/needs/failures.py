"""Failures grouped for operators: one line for repeated failures, and those that recovered without a person.

Runs of the same job with the same parameters form a group. A failing group is a line until a later run of it
succeeds; groups that failed in the last day and have recovered are collapsed. Only the newest failures are read: what
failed before a storm of others is said by its open alert.
"""

from collections.abc import Sequence
from datetime import timedelta

from django.urls import reverse
from django.utils.translation import gettext as _

from adminkit.templatetags.display import number, until
from alerts.conditions import name_of
from alerts.failures import Group, Groups, read_groups
from alerts.rules import subject_of
from console.needs.alerts import FAILING, Told, by_key, lines_of, may_mute
from console.needs.alerts import page_of as alert_page
from console.needs.lines import Action, Line, Recovered
from console.needs.runs import page_of, retry_url
from console.needs.world import World
from maintenance.models import JobRun
from maintenance.models.statuses import FAILURES
from maintenance.names import name_bots
from maintenance.registry import get_job, is_known

RECOVERED_WITHIN = timedelta(hours=24)
# From this many on, bots that fail with the same cause share one line.
ALIKE_MIN = 3


def failing(world: World) -> list[Line]:
    """Return a line for each job, with its parameters, whose latest run failed, unless somebody has muted it."""
    alike: dict[tuple[str, str, str], list[Group]] = {}
    read = groups(world)
    for group in read:
        told = _alert_of(world, group)
        if group.is_failing and not (told and told.muted_until):
            run = group.newest_failure
            alike.setdefault((run.job, run.status, group.cause), []).append(group)
    lines = []
    for same in alike.values():
        if len(same) >= ALIKE_MIN:
            lines.append(_together(same, are_all=read.is_complete))
        else:
            lines += [_line(world, group) for group in same]
    return lines if read.is_complete else [*lines, *_unread(world, read)]


def _unread(world: World, read: Groups) -> list[Line]:
    """Return the lines of failures that are too many, or too long ago, to be among those read: of their open alerts."""
    subjects = {(found.type, found.id) for found in (subject_of(group.newest_failure) for group in read)}
    return lines_of(
        told.alert
        for (rule, *subject), told in by_key(world).items()
        if rule in FAILING and tuple(subject) not in subjects and not told.muted_until
    )


def recovered(world: World) -> list[Recovered]:
    """Return the groups that failed in the last day and have recovered."""
    found, day = [], world.now - RECOVERED_WITHIN
    for group in groups(world):
        ended, fine_since = group.newest_failure.finished_at, group.fine_since
        if group.is_failing or ended is None or fine_since is None or ended < day:
            continue
        recent = [run for run in group.runs if run.finished_at and run.finished_at >= day]
        times = max(1, sum(run.status in FAILURES for run in recent))
        text = _("%(what)s: %(text)s") % {"what": name_of(group.newest_failure), "text": group.cause}
        found.append(
            Recovered(
                text,
                times,
                fine_since,
                page_of(group.newest_failure),
                or_more=not group.has_all_since(day),
                or_earlier=not group.first_success_is_read,
            )
        )
    return found


def _alert_of(world: World, group: Group) -> Told | None:
    """Return the open alert about the same failures."""
    run = group.newest_failure
    subject = subject_of(run)
    return by_key(world).get((run.status, subject.type, subject.id))


def _line(world: World, group: Group) -> Line:
    run = group.newest_failure
    text = _("%(name)s is failing") if run.status == JobRun.Status.FAILED else _("%(name)s does only a part")
    actions = [Action(_("Why"), page_of(run))]
    if url := retry_url(world, run):
        actions.append(Action(_("Retry…"), url))
    of_last = _("%(failed)s of the last %(number)s") % {"failed": group.failed, "number": group.of}
    figures = [of_last] if group.of > 1 else []
    if told := _alert_of(world, group):
        if may_mute(world, told.alert):
            actions.append(Action(_("Mute…"), f"{alert_page(told.alert)}#mute"))
        if told.alert.acknowledged_at:
            figures.append(_("%(name)s looks after it") % {"name": told.alert.acknowledged_by_name})
    if group.waits_for_retry:
        figures.append(_("is tried again %(time)s") % {"time": until(group.retry_at or world.now)})
    elif group.is_being_retried:
        figures.append(_("is being tried again"))
    return Line(
        run.status,
        text % {"name": name_of(run)},
        since=group.since,
        may_be_older=group.may_be_older,
        figures=tuple(figures),
        actions=tuple(actions),
        error=group.cause,
    )


def _together(same: Sequence[Group], *, are_all: bool) -> Line:
    """Return one line for bots, or parameters, that fail with the same cause; of more failures only some were read."""
    run = max((group.newest_failure for group in same), key=lambda one: one.pk)
    failed = run.status == JobRun.Status.FAILED
    if are_all and failed:
        text = _("%(name)s is failing for %(number)s sets of parameters")
    elif failed:
        text = _("%(name)s is failing for %(number)s or more sets of parameters")
    elif are_all:
        text = _("%(name)s does only a part for %(number)s sets of parameters")
    else:
        text = _("%(name)s does only a part for %(number)s or more sets of parameters")
    title = get_job(run.job).title if is_known(run.job) else run.job
    since = [group.since for group in same if group.since]
    keys = ",".join(str(group.newest_failure.pk) for group in same)
    every = reverse("admin:maintenance_jobrun_changelist") + f"?id__in={keys}"
    return Line(
        run.status,
        text % {"name": title, "number": number(len(same))},
        since=min(since, default=None),
        may_be_older=any(group.may_be_older for group in same),
        actions=(Action(_("Why"), page_of(run)), Action(_("Open"), every)),
        error=same[0].cause,
    )


def groups(world: World) -> Groups:
    """Return the groups with a failure, the latest failure first; read once per request, with two or three queries."""
    kept: dict[str, Groups] = vars(world)
    if "_failure_groups" not in kept:
        found = read_groups(JobRun.objects.visible_to(world.person), world.now)
        name_bots([group.newest_failure for group in found], world.person)
        kept["_failure_groups"] = found
    return kept["_failure_groups"]
