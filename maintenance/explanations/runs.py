"""Why a run is in its state."""

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db.models import Count
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from adminkit.templatetags.display import ago, duration, lasted, moment, number, until
from database import clock
from maintenance.explanations.advice import advice_for
from maintenance.explanations.cause import Cause, between_quotes, last_event, who
from maintenance.explanations.held import explain_period, slot_held
from maintenance.explanations.own_limits import limits_of
from maintenance.explanations.recurrence import afterwards
from maintenance.ledger.attempts import judge
from maintenance.ledger.run_json import rows_gone
from maintenance.ledger.usual import usual_of
from maintenance.ledger.worker_health import GONE_HEARTBEATS, WorkersState, worker_health
from maintenance.models import JobRun, ScheduleControl
from maintenance.models.maintenance_mode import ALL
from maintenance.models.statuses import FAILURES, Reason, Status
from maintenance.names import name_in_words
from maintenance.registry import get_job, is_known
from maintenance.scheduling.maintenance_mode import Modes
from maintenance.scheduling.scheduler_health import scheduler_health
from scraping.models import ScrapeSession
from scraping.models.causes import ErrorKind

# A message is on its way for this long at most.
SENT_WITHIN = timedelta(seconds=10)
# A chain never follows more runs than this.
DEPTH_MAX = 3
KINDS_SHOWN = 3

_RUN = re.compile(r"#(\d{1,18})")


def explain_run(run: JobRun, *, depth: int = 0) -> list[Cause]:
    """Return why the run is in its state, the main cause first; at most ten queries."""
    explain = _BY_STATUS[run.status]
    causes = explain(run, depth)
    return causes if depth else _with_advice(run, causes)


def _with_advice(run: JobRun, causes: list[Cause]) -> list[Cause]:
    """Return the causes, of which the main one says what to do, if that is known."""
    if causes[0].remedy:
        return causes
    if any(cause.code == "recovered" for cause in causes):
        return [replace(causes[0], remedy=_("Nothing to do: a later run did the work.")), *causes[1:]]
    is_tried_again = run.status in FAILURES and JobRun.objects.filter(retry_of=run.pk).exists()
    advice = advice_for(run, is_tried_again=is_tried_again)
    if advice is None:
        return causes
    todo = _(advice.todo).replace("`", "").replace("*", "")
    return [replace(causes[0], remedy=_("What to do: %(todo)s.") % {"todo": todo}), *causes[1:]]


def _queued(run: JobRun, depth: int) -> list[Cause]:
    now = clock.now()
    if held := _held(run):
        return held
    if run.not_before is not None and run.not_before > now:
        return _waits(run)
    if run.concurrency_key:
        running = JobRun.objects.running().filter(concurrency_key=run.concurrency_key).first()
        if running is not None:
            text = _("It waits for run #%(id)s of the same job, which has been running for %(time)s.")
            told = text % {"id": running.pk, "time": duration(running.duration)}
            return [Cause("waits_for_run", told, about=running), *_deeper(running, depth)]
    return [_for_workers(run)]


def _held(run: JobRun) -> list[Cause]:
    """Return the switch, or the planned window, that keeps the run from starting."""
    for period in Modes().in_force(clock.now()):
        is_all = period.scope == ALL
        job = get_job(run.job) if is_known(run.job) else None
        of_group = job is not None and job.group == period.scope and not run.dry_run
        if (is_all and run.scheduled_for is not None) or (not is_all and of_group):
            return [explain_period(period, _("It waits: %(pause)s."))]
    return []


def _waits(run: JobRun) -> list[Cause]:
    told = {"time": moment(run.not_before), "until": until(run.not_before), "attempt": run.attempt}
    earlier = run.retry_of
    if earlier is None:
        return [Cause("not_before", _("It starts at %(time)s (%(until)s), not before.") % told)]
    if earlier.reason == Reason.WAITS:
        text = _(
            "It goes on at %(time)s (%(until)s): the Reddit app’s request allowance is used up until then."
        )
        return [Cause("budget", text % told, about=earlier)]
    text = _("Attempt %(attempt)s starts at %(time)s (%(until)s), after the one before it ended.")
    return [Cause("next_attempt", text % told, about=earlier), *explain_run(earlier, depth=DEPTH_MAX)]


def _for_workers(run: JobRun) -> Cause:
    health = worker_health()
    waited = lasted(run.queued_at)
    if is_known(run.job) and (queue := get_job(run.job).queue) in health.unserved and health.listening:
        text = _("No worker takes the queue %(queue)s; it has waited for %(time)s.")
        return Cause("queue_unserved", text % {"queue": queue, "time": waited}, _("Start a worker for it."))
    match health.state:
        case WorkersState.NONE:
            text = _("No worker is alive; it has waited for %(time)s.") % {"time": waited}
            return Cause("no_worker", text, _("Start a worker."))
        case WorkersState.UNRESPONSIVE:
            text = _("The workers do not listen to the broker; it has waited for %(time)s.")
            remedy = _("Look at the broker first; if it answers, the workers stand still: restart them.")
            return Cause("workers_unresponsive", text % {"time": waited}, remedy)
        case WorkersState.STUCK:
            text = _("The workers are idle and take nothing; it has waited for %(time)s.")
            return Cause("workers_stuck", text % {"time": waited}, _("Restart the workers."))
        case WorkersState.BUSY:
            text = ngettext(
                "All workers are busy; %(number)s run waits, for %(time)s.",
                "All workers are busy; %(number)s runs wait, the first one for %(time)s.",
                health.waiting,
            )
            told = text % {"number": number(health.waiting), "time": duration(health.queue_age)}
            return Cause("workers_busy", told, _("Wait, or start more workers."))
    if run.sent_at is None and clock.now() - run.queued_at > SENT_WITHIN:
        if not scheduler_health().is_alive:
            text = _(
                "Its message was not sent to the broker, and no scheduler ticks, which would send it again."
            )
            return Cause("not_sent", text, _("Look at the schedulers first."))
        text = _(
            "Its message could not be sent to the broker yet; recovery sends it again every few seconds."
        )
        return Cause("not_sent", text, _("Look at the broker."))
    return Cause("about_to_start", _("It was sent to the workers, and one takes it within seconds."))


def _running(run: JobRun, depth: int) -> list[Cause]:
    now = clock.now()
    silence = now - run.heartbeat_at if run.heartbeat_at else timedelta()
    causes = []
    if silence > timedelta(seconds=GONE_HEARTBEATS * settings.HEARTBEAT_SECONDS):
        causes.append(_silent(run, silence))
    if run.cancel_requested_at is not None:
        event = last_event(run, "run.cancelled")
        text = _("%(name)s asked it to stop %(time)s; it stops at its next checkpoint.")
        remedy = _("It did not stop: force it.") if run.may_be_forced else ""
        told = text % {"name": who(event), "time": ago(run.cancel_requested_at)}
        causes.append(Cause("stopping", told, remedy))
    usual = usual_of(run)
    if usual is not None and usual.is_far_exceeded_by(run.duration):
        text = _("It has been running for %(time)s; usually it takes %(usual)s.")
        causes.append(Cause("long", text % {"time": duration(run.duration), "usual": duration(usual.p50)}))
    if run.stage:
        causes.append(Cause("stage", _("Now: %(stage)s") % {"stage": run.stage}))
    if not causes:
        causes.append(
            Cause(
                "working",
                _("It is working, and its worker was heard %(time)s.") % {"time": ago(run.heartbeat_at)},
            )
        )
    return causes


def _silent(run: JobRun, silence: timedelta) -> Cause:
    """Return that its worker is silent, and what the recovery, which a scheduler does, will make of it."""
    verdict = judge(run, reason=Reason.WORKER_LOST, cursor=run.cursor)
    told = {"time": duration(silence), "status": Status(verdict.status).label}
    if not scheduler_health().is_alive:
        text = _("Its worker has been silent for %(time)s, and no scheduler ticks, which would recover it.")
        return Cause("worker_silent", text % told, _("Look at the schedulers first."))
    text = (
        _("Its worker has been silent for %(time)s: recovery will mark it interrupted and start it again.")
        if verdict.goes_on
        else _("Its worker has been silent for %(time)s: recovery will end it: %(status)s.")
    )
    return Cause("worker_silent", text % told)


def _skipped(run: JobRun, depth: int) -> list[Cause]:
    if run.reason == Reason.OVERLAP:
        return _overlapped(run, depth)
    if run.reason == Reason.PAUSED:
        return [slot_held(run) or _as_written(run, "paused")]
    return [_as_written(run, "skipped")]


def _overlapped(run: JobRun, depth: int) -> list[Cause]:
    named = _RUN.search(run.message)
    earlier = JobRun.objects.filter(pk=int(named[1])).first() if named else None
    if earlier is None:
        return [Cause("overlap", _("An earlier run of the job was not finished when this one was due."))]
    text = _("Run #%(id)s, which started at %(time)s, was not finished when this one was due.")
    told = text % {"id": earlier.pk, "time": moment(earlier.started_at or earlier.queued_at)}
    causes = [Cause("overlap", told, about=earlier)]
    usual, taken = usual_of(earlier), earlier.duration
    if usual is not None and usual.is_far_exceeded_by(taken):
        text = _("That one took %(time)s; usually it takes %(usual)s.")
        causes.append(
            Cause("long", text % {"time": duration(taken), "usual": duration(usual.p50)}, about=earlier)
        )
    return causes + (_deeper(earlier, depth) if not earlier.is_final or earlier.status in FAILURES else [])


def _missed(run: JobRun, depth: int) -> list[Cause]:
    slot = run.scheduled_for or run.queued_at
    if run.reason == Reason.EDITED:
        event = (
            last_event(
                run.schedule, "schedule.retimed", "schedule.resumed", "row.changed", until=run.finished_at
            )
            if run.schedule is not None
            else None
        )
        text = _("The schedule was changed by %(name)s before the slot of %(slot)s was ticked.")
        causes = [Cause("edited", text % {"name": who(event), "slot": moment(slot)}, about=run.schedule)]
    else:
        causes = [_without_scheduler(run, slot)]
    made_up = (
        JobRun.objects.filter(
            schedule=run.schedule_id, pk__gt=run.pk, status__in=(*FAILURES, Status.SUCCEEDED)
        )
        .order_by("pk")
        .first()
        if run.schedule_id
        else None
    )
    if made_up is not None:
        text = _("Run #%(id)s of %(time)s was the next one to do the work: %(status)s.")
        told = {"id": made_up.pk, "time": moment(made_up.queued_at), "status": made_up.get_status_display()}
        causes.append(Cause("next_run", text % told, about=made_up))
    return causes


def _without_scheduler(run: JobRun, slot: datetime) -> Cause:
    told: dict[str, Any] = {"slot": moment(slot), "time": moment(run.finished_at)}
    control = ScheduleControl.objects.filter(schedule=run.schedule_id).first() if run.schedule_id else None
    window = control.catch_up_window if control is not None else None
    if window is not None and run.finished_at is not None and run.finished_at - slot > window:
        text = _(
            "No scheduler ticked at %(slot)s; when one ticked again at %(time)s, the slot was older than"
            " the %(window)s within which slots are caught up."
        )
        remedy = _("Give the schedule a longer catch-up time, or run it now.")
        return Cause("too_old_to_catch_up", text % {**told, "window": duration(window)}, remedy, run.schedule)
    text = _("No scheduler ticked at %(slot)s; one ticked again at %(time)s.")
    return Cause("no_scheduler", text % told, _("Run a second scheduler: it takes over within seconds."))


def _blocked(run: JobRun, depth: int) -> list[Cause]:
    text = _("A safety cap stopped it before it deleted anything: %(message)s")
    if rows_gone(run):
        text = _("A safety cap stopped it before it deleted more: %(message)s")
    return [
        Cause("blocked", text % {"message": run.message}, _("Approve or reject it on its page.")),
        Cause("asked_by", _asked(run)),
    ]


def _asked(run: JobRun) -> str:
    if run.schedule_name:
        return _("The schedule %(name)s asked for it.") % {"name": name_in_words(run.schedule_name)}
    return _("%(name)s asked for it.") % {"name": run.requested_by_name or _("somebody")}


def _failed(run: JobRun, depth: int) -> list[Cause]:
    """Return what failed, by what the sessions say, the reason, or the error's own words; then what followed."""
    causes = _sessions(run)
    if not causes:
        known = run.reason and run.reason not in (Reason.TOO_MANY_ATTEMPTS, Reason.TIME_LIMIT)
        label = run.get_reason_display() if known else ""
        said = run.error or run.message
        text = _sentence(str(label), said) if label and said else (said or label)
        causes = [Cause(run.reason or "error", _with_memory(run, text) or _("It ended without a message."))]
    if run.attempt > 1:
        text = _("It was attempt %(attempt)s; the ones before it ended the same way or were interrupted.")
        causes.append(Cause("attempts", text % {"attempt": run.attempt}, about=run.retry_of))
    return causes + limits_of(run) + afterwards(run)


def _with_memory(run: JobRun, text: str) -> str:
    """Return the text with what a lost worker may mean: who is killed by the system leaves no other trace."""
    is_lost = run.reason == Reason.WORKER_LOST or (
        run.reason == Reason.TOO_MANY_ATTEMPTS and run.retry_of and run.retry_of.reason == Reason.WORKER_LOST
    )
    if not is_lost:
        return text
    told = _("%(cause)s. A process that the system kills, for example because of its memory, ends like this.")
    return told % {"cause": text.rstrip(".。")}


def _sessions(run: JobRun) -> list[Cause]:
    failed = (
        ScrapeSession.objects.filter(run_id=run.pk)
        .exclude(error_kind="")
        .values("error_kind")
        .annotate(number=Count("pk"))
        .order_by("-number", "error_kind")
    )
    causes = []
    for found in failed[:KINDS_SHOWN]:
        kind = ErrorKind(found["error_kind"])
        text = ngettext(
            "%(number)s session failed: %(kind)s.", "%(number)s sessions failed: %(kind)s.", found["number"]
        )
        told = text % {"number": number(found["number"]), "kind": kind.label}
        causes.append(Cause(kind.value, told, kind.remedy))
    return causes


def _interrupted(run: JobRun, depth: int) -> list[Cause]:
    causes = [
        Cause(
            run.reason or "interrupted",
            _with_memory(
                run,
                _sentence(
                    str(run.get_reason_display() if run.reason else run.get_status_display()),
                    run.error or run.message,
                ),
            ),
        )
    ]
    following = JobRun.objects.filter(retry_of=run.pk).first()
    if following is not None:
        text = _("Attempt %(attempt)s, run #%(id)s, goes on from where it stopped: %(status)s.")
        told = {"attempt": following.attempt, "id": following.pk, "status": following.get_status_display()}
        causes.append(Cause("next_attempt", text % told, about=following))
    return causes


def _cancelled(run: JobRun, depth: int) -> list[Cause]:
    if run.reason == Reason.SUPERSEDED:
        return [_as_written(run, "superseded")]
    event = last_event(run, "run.cancelled", "run.rejected", "run.stopped_by_force")
    if event is None:
        return [_as_written(run, "cancelled")]
    text = {
        "run.rejected": _("%(name)s rejected it at %(time)s: “%(reason)s”."),
        "run.stopped_by_force": _("%(name)s stopped it by force at %(time)s: “%(reason)s”."),
    }.get(event.verb, _("%(name)s cancelled it at %(time)s: “%(reason)s”."))
    told = {
        "name": who(event),
        "time": moment(event.at),
        "reason": between_quotes(event.reason or _("no reason given")),
    }
    return [Cause(event.verb.removeprefix("run."), text % told)]


def _succeeded(run: JobRun, depth: int) -> list[Cause]:
    if not any(run.counts.values()):
        return [Cause("nothing_to_do", _("It succeeded, and found nothing to do."))]
    return [Cause("succeeded", _sentence(_("it did its work"), run.message))]


def _as_written(run: JobRun, code: str) -> Cause:
    label = run.get_reason_display() if run.reason else run.get_status_display()
    return Cause(run.reason or code, _sentence(str(label), run.message or run.error))


def _sentence(label: str, said: str) -> str:
    first = f"{label[:1].upper()}{label[1:]}"
    return (
        _("%(what)s: %(text)s") % {"what": first, "text": said} if said else _("%(what)s.") % {"what": first}
    )


def _deeper(run: JobRun, depth: int) -> list[Cause]:
    return explain_run(run, depth=depth + 1) if depth < DEPTH_MAX else []


_BY_STATUS: Mapping[str, Callable[[JobRun, int], list[Cause]]] = {
    Status.QUEUED: _queued,
    Status.RUNNING: _running,
    Status.SUCCEEDED: _succeeded,
    Status.PARTIAL: _failed,
    Status.FAILED: _failed,
    Status.CANCELLED: _cancelled,
    Status.INTERRUPTED: _interrupted,
    Status.SKIPPED: _skipped,
    Status.MISSED: _missed,
    Status.BLOCKED: _blocked,
}
