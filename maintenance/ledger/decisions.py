"""People's decisions about runs: the plan they saw, the mandate they give, and the event that records it."""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.utils.translation import gettext_noop

from audit import words
from audit.events import events_of, record
from audit.models import Event
from database import clock
from database.messages import as_json, from_json
from database.messages import gettext as _
from database.text import row_key
from maintenance.models import JobRun
from maintenance.models.chain import attempts_of
from maintenance.purging import mandate as mandates
from maintenance.purging.kept_plan import made_at, tables_of
from maintenance.purging.mandate import Mandate
from maintenance.purging.plan import TablePlan
from maintenance.registry import InvalidParams, Person, get_job

# How long a plan may be used to request a run that does what it shows.
PLAN_FRESH = timedelta(minutes=15)

BLOCKED, APPROVED, REJECTED = "run.blocked", "run.approved", "run.rejected"
STOPPED_BY_FORCE = "run.stopped_by_force"
SUPERSEDED = "run.superseded"
REQUESTED, CANCELLED = "run.requested", "run.cancelled"
PLAN_USED, FORCED, PLAN_EXPIRED = "run.plan_used", "run.forced", "run.plan_expired"
# The texts of the verbs; a page fills in reason and message.
WORDS = {
    BLOCKED: gettext_noop("stopped and waits for approval: %(message)s"),
    APPROVED: gettext_noop("approved: %(reason)s"),
    REJECTED: gettext_noop("rejected: %(reason)s"),
    STOPPED_BY_FORCE: gettext_noop("stopped by force: its process was to be killed"),
    SUPERSEDED: gettext_noop("ended undecided: %(message)s"),
    PLAN_USED: gettext_noop("asked for what a plan showed"),
    FORCED: gettext_noop("asked for, past the caps: %(reason)s"),
    PLAN_EXPIRED: gettext_noop("approved a plan older than a day: it is planned again"),
    REQUESTED: gettext_noop("asked for"),
    CANCELLED: gettext_noop("cancelled"),
}
# Verbs whose reason is optional, with one.
WITH_REASON = {CANCELLED: gettext_noop("cancelled: %(reason)s")}
# The same for a list of events, which has columns for reason and message.
words.register(
    {
        BLOCKED: gettext_noop("stopped and waits for approval"),
        APPROVED: gettext_noop("approved"),
        REJECTED: gettext_noop("rejected"),
        STOPPED_BY_FORCE: gettext_noop("stopped by force: its process was to be killed"),
        SUPERSEDED: gettext_noop("ended undecided"),
        PLAN_USED: gettext_noop("asked for what a plan showed"),
        FORCED: gettext_noop("asked for, past the caps"),
        PLAN_EXPIRED: gettext_noop("approved a plan older than a day: it is planned again"),
        REQUESTED: gettext_noop("asked for"),
        CANCELLED: gettext_noop("cancelled"),
    }
)


def plan_of(run: JobRun) -> list[TablePlan]:
    """Return the plan that the run has made; empty for a job that deletes nothing."""
    return tables_of(run.plan)


def is_fresh(at: str) -> bool:
    """Whether a plan of that moment may still be used for a request."""
    return clock.now() - datetime.fromisoformat(at) <= PLAN_FRESH


def is_fresh_plan(run: JobRun) -> bool:
    """Whether the run is a dry run whose plan may still be used for a request."""
    at = made_at(run.plan)
    is_plan = run.dry_run and run.status == JobRun.Status.SUCCEEDED and bool(plan_of(run))
    return is_plan and at is not None and is_fresh(at.isoformat())


def shown_by_run(plan_id: Any, *, job: str, params: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return what the dry run with this id showed, for a run that is to do exactly that.

    Raises:
        UnknownJob; InvalidParams: it is no plan of this job with these parameters.
    """
    run = JobRun.objects.filter(pk=row_key(str(plan_id))).first()
    if run is None or not run.dry_run or run.job != job or run.params != get_job(job).clean(params):
        error = _("%(id)s is no dry run of this job with these parameters.") % {"id": plan_id}
        raise InvalidParams({"plan": error})
    if run.status != JobRun.Status.SUCCEEDED or run.plan is None or made_at(run.plan) is None:
        raise InvalidParams({"plan": _("Dry run %(id)s has no plan.") % {"id": plan_id}})
    return mandates.shown(run.plan, run=run.pk)


# --- Giving a mandate ------------------------------------------------------------------------


def mandate_asked_for(
    *, by: Person | None, shown: Mapping[str, Any] | None, force_reason: str
) -> Mandate | None:
    """Return the mandate of a person who requests a run; None: they saw no plan.

    Raises:
        PermissionDenied: they may not lift the caps.
        InvalidParams: the plan is too old.
    """
    if force_reason and by is not None:
        if not may_decide(by):
            raise PermissionDenied(_("You may not approve runs."))
        if not settings.APPROVE_OWN_RUNS:
            raise PermissionDenied(_("Somebody else must approve what you ask for: ask without force."))
    if shown and not is_fresh(shown["at"]):
        raise InvalidParams({"plan": _("The plan is older than 15 minutes: make a new one.")})
    name, at = by.get_username() if by else "", clock.now()
    if shown:
        # With force too: the plan's rows, past the caps.
        if force_reason:
            return mandates.of_approval(shown, by=name, reason=force_reason, at=at)
        return mandates.of_plan(shown, by=name, at=at)
    return mandates.of_force(by=name, reason=force_reason, at=at) if force_reason else None


def approval_of(run: JobRun, *, by: Person, reason: str) -> Mandate:
    """Return the mandate of a person who approves the run's plan."""
    at = clock.now()
    shown = mandates.shown(run.plan or {"at": at.isoformat(), "tables": []})
    return mandates.of_approval(shown, by=by.get_username(), reason=reason, at=at)


def may_decide(by: Person) -> bool:
    """Whether the person may approve and reject runs."""
    return by.is_active and by.has_perm("maintenance.approve_run")


def refuse_own(run: JobRun, *, by: Person) -> None:
    """Raise PermissionDenied if the person requested the run and therefore may not approve it."""
    if settings.APPROVE_OWN_RUNS or not run.requested_by_name:
        return
    # The name too: the row of who was deleted has no key, and a person may have been renamed since.
    has_its_key = isinstance(by, User) and run.requested_by_id is not None and run.requested_by_id == by.pk
    if has_its_key or run.requested_by_name == by.get_username():
        raise PermissionDenied(_("You asked for this run: somebody else must approve it."))


def is_plan_expired(run: JobRun) -> bool:
    """Whether the plan of a blocked run is too old to be approved, or has no time."""
    at = made_at(run.plan)
    return run.plan is not None and (at is None or clock.now() - at > mandates.VALID)


# --- Recording -------------------------------------------------------------------------------


def record_request(
    run: JobRun, *, by: Person | None, shown: Mapping[str, Any] | None, reason: str = ""
) -> None:
    """Write an event for a request of a run, if it was made with a plan or past the caps."""
    mandate = Mandate.from_json(run.mandate)
    if mandate is None:
        what = {"job": run.job, "dry_run": run.dry_run, "params": run.params}
        record(REQUESTED, run, by=_user(by), kind=_kind(by), reason=reason, parameters=what)
        return
    plan = {"plan": mandate.plan, "rows": dict(mandate.rows or {})}
    if shown:
        record(PLAN_USED, run, by=_user(by), kind=_kind(by), parameters=plan)
    if mandate.reason:
        record(FORCED, run, by=_user(by), kind=_kind(by), reason=mandate.reason, parameters=plan)


def record_decision(verb: str, run: JobRun, *, by: Person | None = None, reason: str = "") -> None:
    """Write an event for a decision about a run, with the rows of its plan."""
    rows = {table.model: table.rows for table in plan_of(run)}
    plan = {"plan_at": (run.plan or {}).get("at"), "rows": rows, "message": run.message}
    record(verb, run, by=_user(by), reason=reason, parameters=as_json(plan))


def decisions_about(run: JobRun, attempts: Iterable[JobRun] | None = None) -> list[Event]:
    """Return the decisions about a run in all its attempts, oldest first; the caller may have read the attempts."""
    keys = {run.pk, *(one.pk for one in (attempts_of(run).only("pk") if attempts is None else attempts))}
    return list(events_of(JobRun, keys).exclude(verb=REQUESTED))


def in_words(event: Event) -> str:
    """Return the text of a decision in the reader's language."""
    message = from_json(event.parameters or {}, "message") or ""
    words = WITH_REASON if event.reason and event.verb in WITH_REASON else WORDS
    return _(words.get(event.verb, event.verb)) % {"reason": event.reason, "message": message}


def _user(by: Person | None) -> User | None:
    return by if isinstance(by, User) else None


def _kind(by: Person | None) -> str | None:
    return Event.ActorKind.SHELL if by is None else None
