"""What a run's page and its polls show."""

from collections import Counter
from functools import partial
from typing import Any, Final

from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest
from django_celery_beat.models import PeriodicTask

from adminkit.parameters import require_text
from database.percents import percent
from maintenance.admin.run_confirmation import run_url, shown
from maintenance.admin.run_figures import count_name, pace, percent_done
from maintenance.admin.run_params import parameters
from maintenance.explanations import Cause, explain_run
from maintenance.failed_parts import retry_params
from maintenance.ledger import decisions, run_json
from maintenance.ledger.beside_policy import beside_policy
from maintenance.ledger.usual import usual_of
from maintenance.models import JobRun, Person, RunLogLine
from maintenance.models.chain import attempts_of
from maintenance.names import name_bots, name_in_words
from maintenance.purging.plan import differences
from maintenance.registry import InvalidParams, Job, UnknownJob, get_job
from maintenance.scheduling import schedules
from maintenance.yields.rows import rows_of
from maintenance.yields.shown import rows_beside_usual
from scraping.models import ScrapeSession

SESSIONS_SHOWN: Final = 50
# The last attempts; a run that waits for its Reddit app may have hundreds.
ATTEMPTS_SHOWN: Final = 50
# Their long texts are not shown.
ATTEMPT_FIELDS: Final = (
    "job",
    "status",
    "reason",
    "attempt",
    "queued_at",
    "not_before",
    "started_at",
    "finished_at",
    "heartbeat_at",
    "counts",
    "error",
    "error_parts",
    "retry_of",
)


# The query parameter with the words that log lines must contain.
LOG_WORDS: Final = "log"


def log_words(request: HttpRequest) -> str:
    """Return the words for which the reader searches the log; empty: none.

    Raises:
        RefusedParameter: no log contains such characters, or so many.
    """
    words = request.GET.get(LOG_WORDS, "").strip()
    require_text(LOG_WORDS, words)
    return words


def run_context(request: HttpRequest, run: JobRun, lines: list[RunLogLine], *, after: int) -> dict[str, Any]:
    """Return the context of a run's page; ``after``: the last log line that the reader has, if there are no ``lines``."""
    user = request.user
    name_bots([run], user)
    usual = usual_of(run)
    attempts = list(attempts_of(run).visible_to(user).only(*ATTEMPT_FIELDS).order_by("-attempt", "-pk"))
    return {
        **_of_plan(run, user),
        **_of_attempts(run, attempts),
        **_buttons(run, user),
        # Only the parts that show it ask for it.
        "causes": partial(_causes, run, user),
        "run": run,
        "sessions": _sessions(attempts[:ATTEMPTS_SHOWN], user),
        "log_lines": lines,
        "log_words": log_words(request),
        "last_line": lines[-1].pk if lines else after,
        "usual": usual,
        "rows_beside_usual": rows_beside_usual(run),
        "percent": percent_done(run),
        "pace": pace(run, usual),
        "parameters": parameters(run),
        **_of_schedule(run, user),
    }


def _of_schedule(run: JobRun, user: Person) -> dict[str, Any]:
    """Return the schedule that started the run, and the one to which its page leads: that, or its job's first."""
    context: dict[str, Any] = {"schedule_title": name_in_words(run.schedule_name)}
    if not user.has_perm("django_celery_beat.view_periodictask"):
        return context
    own = PeriodicTask.objects.filter(pk=run.schedule_id).first() if run.schedule_id else None
    # The first schedule of a job that is about one bot may be another bot's.
    schedule = own or (None if "config" in run.params else schedules.for_job(run.job))
    return {**context, "own_schedule": own, "schedule": schedule}


# What ends the wait for a decision.
OUTCOMES: Final = (decisions.APPROVED, decisions.REJECTED, decisions.PLAN_EXPIRED, decisions.SUPERSEDED)


def _of_attempts(run: JobRun, attempts: list[JobRun]) -> dict[str, Any]:
    """Return what is about all attempts, which are given newest first."""
    together = Counter[str]()
    for one in attempts:
        together.update({name: number for name, number in one.counts.items() if type(number) is int})
    # What was deleted by attempts that the history no longer has.
    together |= Counter(run_json.totals(run))
    events = decisions.decisions_about(run, attempts)
    pairs = [(event, {"event": event, "text": decisions.in_words(event)}) for event in events]
    return {
        "attempts": [(one, rows_of(one)) for one in attempts[:ATTEMPTS_SHOWN]],
        "attempts_left_out": max(0, len(attempts) - ATTEMPTS_SHOWN),
        "next_attempt": next((one for one in attempts if one.retry_of_id == run.pk), None),
        "counts": [(count_name(name), number) for name, number in run.counts.items()],
        "totals": [(count_name(name), number) for name, number in together.items()]
        if len(attempts) > 1 or run.retry_of_id
        else [],
        "decisions": [told for _event, told in pairs],
        "outcome": next((told for event, told in reversed(pairs) if event.verb in OUTCOMES), None),
    }


def _of_plan(run: JobRun, user: Person) -> dict[str, Any]:
    tables = decisions.plan_of(run)
    refusal = ""
    if run.is_blocked:
        try:
            decisions.refuse_own(run, by=user)
        except PermissionDenied as error:
            refusal = str(error)
    return {
        # Why it is blocked, in numbers; and why the reader may not approve it.
        "shares": [(table, percent(table.rows / table.total)) for table in tables if table.total],
        "decision_refusal": refusal,
        "beside_policy": beside_policy(run) if run.is_blocked else None,
        "deleted_before": run_json.rows_gone(run),
        "plan": shown(tables, user),
        "planned_rows": sum(table.rows for table in tables),
        "differences": [] if run.dry_run else differences((run.mandate or {}).get("rows"), tables),
    }


def _buttons(run: JobRun, user: Person) -> dict[str, Any]:
    try:
        job: Job | None = get_job(run.job)
    except UnknownJob:
        job = None
    params = _params_again(run, job)
    may_run = job is not None and params is not None and job.may_run(user, params)
    may_cancel = user.has_perm("maintenance.cancel_jobrun")
    return {
        "job": job,
        "run_plan_url": run_url(job, {**(params or {}), "plan": run.pk})
        if job and may_run and decisions.is_fresh_plan(run)
        else None,
        "run_again_url": run_url(job, params) if job and may_run else None,
        "retry_failed_url": _retry_failed_url(run, user) if job and may_run else None,
        "may_cancel": may_cancel and (run.is_queued or run.is_running) and run.cancel_requested_at is None,
        "may_look_inside": may_cancel and run.is_running,
        "may_force_stop": may_cancel and run.may_be_forced,
        "may_approve": run.is_blocked and user.has_perm("maintenance.approve_run"),
    }


def _causes(run: JobRun, user: Person) -> list[Cause]:
    """Return why the run did not succeed; only for people who see all runs, because others may be named."""
    if run.status == JobRun.Status.SUCCEEDED or not user.has_perm("maintenance.view_jobrun"):
        return []
    causes = explain_run(run)
    if run.is_blocked:
        # The page says why, and how to decide, above.
        return [cause for cause in causes if cause.code not in ("blocked", "asked_by")]
    # The page says this already.
    said = (run.message, run.error)
    return [] if len(causes) == 1 and causes[0].text in said and not causes[0].remedy else causes


def _retry_failed_url(run: JobRun, user: Person) -> str | None:
    wanted = retry_params(run)
    if wanted is None:
        return None
    job = get_job(wanted[0])
    return run_url(job, wanted[1]) if job.may_run(user, wanted[1]) else None


def _params_again(run: JobRun, job: Job | None) -> dict[str, Any] | None:
    """Return the parameters to request the run again; None: its job is gone, or does not accept them any more."""
    if job is None:
        return None
    try:
        return job.clean({name: value for name, value in run.params.items() if name in job.params})
    except InvalidParams:
        return None


def _sessions(attempts: list[JobRun], user: Any) -> QuerySet[ScrapeSession]:
    """Return the last scrape sessions of these attempts that the user may see, newest first."""
    return ScrapeSession.objects.named_to(user).filter(run__in=attempts).order_by("-pk")[:SESSIONS_SHOWN]
