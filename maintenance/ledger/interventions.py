"""What people can do with an existing run: cancel, stop by force, approve, reject, run again."""

from django.core.exceptions import PermissionDenied
from django.db import transaction

from database.messages import gettext as _
from maintenance.ledger import decisions
from maintenance.ledger.dispatch import publish
from maintenance.ledger.requests import request_run
from maintenance.models import FORCE_STOP_AFTER, JobRun, RunLogLine
from maintenance.names import name_in_words
from maintenance.registry import Person, is_known


class NotPossible(Exception):
    """The run's state does not allow the action; the message says why."""


class PlanExpired(NotPossible):
    """The plan was too old to be approved; the run makes a new one."""


def state_of(run: JobRun) -> str:
    """Say in which state a run is that somebody may have seen in another."""
    told = {"run": name_in_words(str(run)), "status": run.get_status_display()}
    if run.is_final:
        return _("%(run)s has already ended: %(status)s.") % told
    return _("%(run)s is %(status)s.") % told


def refuse_decided(run: JobRun) -> None:
    """Raise NotPossible, with the run's state, if it waits for nobody's decision."""
    if not run.is_blocked:
        raise NotPossible(_("%(state)s It waits for no decision any more.") % {"state": state_of(run)})


def cancel_run(run: JobRun, *, by: Person, reason: str = "") -> None:
    """Cancel a queued run at once, a running one at its next checkpoint; the reason is optional.

    Does nothing to a run that is being cancelled.

    Raises:
        PermissionDenied; NotPossible when the run is over.
    """
    if not _may(by, "maintenance.cancel_jobrun"):
        raise PermissionDenied(_("You may not cancel runs."))
    message = (
        _("Cancelled by %(name)s: %(reason)s") % {"name": by.get_username(), "reason": reason}
        if reason
        else _("Cancelled by %(name)s.") % {"name": by.get_username()}
    )
    with transaction.atomic():
        if run.cancel_queued(message=message) or run.ask_to_cancel():
            decisions.record_decision(decisions.CANCELLED, run, by=by, reason=reason)
            return
    run.refresh_from_db()
    if not (run.is_running and run.cancel_requested_at):  # else a second click, and the 30 seconds go on
        raise NotPossible(state_of(run))


def force_stop_run(run: JobRun, *, by: Person) -> None:
    """Have the process of a run killed that was cancelled but reaches no checkpoint; other processes go on.

    Raises:
        PermissionDenied; NotPossible when the run is over, or was not cancelled at least 30 seconds ago.
    """
    if not _may(by, "maintenance.cancel_jobrun"):
        raise PermissionDenied(_("You may not cancel runs."))
    run.refresh_from_db()
    if run.status == JobRun.Status.RUNNING and not run.may_be_forced and run.force_stop_at is None:
        seconds = {"seconds": round(FORCE_STOP_AFTER.total_seconds())}
        raise NotPossible(_("Cancel it first, and give it %(seconds)s seconds to stop by itself.") % seconds)
    with transaction.atomic():
        if not run.ask_to_force_stop():
            run.refresh_from_db()
            if run.is_running:
                return  # a second click
            raise NotPossible(state_of(run))
        text = _("%(name)s has it stopped by force.") % {"name": by.get_username()}
        RunLogLine.objects.create(run=run, level=RunLogLine.Level.WARNING, text=text)
        decisions.record_decision(decisions.STOPPED_BY_FORCE, run, by=by)


def approve_run(run: JobRun, *, by: Person, reason: str, plan_at: str | None = None) -> None:
    """Approve a BLOCKED run: let it delete what its plan shows.

    ``plan_at``: the time of the plan that the person has seen, as written in that plan.

    Raises:
        PermissionDenied; NotPossible when it is not blocked, or has a newer plan; PlanExpired.
    """
    if not decisions.may_decide(by):
        raise PermissionDenied(_("You may not approve runs."))
    decisions.refuse_own(run, by=by)
    if plan_at is not None and plan_at != (run.plan or {}).get("at", ""):
        text = _("%(run)s was planned anew meanwhile: look at the plan again.")
        raise NotPossible(text % {"run": name_in_words(str(run))})
    refuse_decided(run)
    is_expired = decisions.is_plan_expired(run)
    mandate = run.mandate if is_expired else decisions.approval_of(run, by=by, reason=reason).as_json()
    message = (
        _("The plan was more than a day old when %(name)s approved it: it is planned again.")
        if is_expired
        else _("Approved by %(name)s: %(reason)s")
    ) % {"name": by.get_username(), "reason": reason}
    with transaction.atomic():
        if not run.approve(mandate=mandate, message=message):
            run.refresh_from_db()
            refuse_decided(run)
            raise NotPossible(state_of(run))  # blocked again: planned anew
        verb = decisions.PLAN_EXPIRED if is_expired else decisions.APPROVED
        decisions.record_decision(verb, run, by=by, reason=reason)
        transaction.on_commit(lambda: publish(run))
    if is_expired:
        raise PlanExpired(
            _("The plan of %(run)s is more than a day old. It is planned again: look at the new plan.")
            % {"run": name_in_words(str(run))}
        )


def reject_run(run: JobRun, *, by: Person, reason: str) -> None:
    """End a BLOCKED run without doing its work.

    Raises:
        PermissionDenied; NotPossible when it is not blocked.
    """
    if not decisions.may_decide(by):
        raise PermissionDenied(_("You may not reject runs."))
    message = _("Rejected by %(name)s: %(reason)s") % {"name": by.get_username(), "reason": reason}
    with transaction.atomic():
        if not run.reject(message=message):
            run.refresh_from_db()
            refuse_decided(run)
            raise NotPossible(state_of(run))  # blocked again: planned anew
        decisions.record_decision(decisions.REJECTED, run, by=by, reason=reason)


def refuse_retry(run: JobRun) -> None:
    """Raise NotPossible if the run cannot be requested again now: it is open, or its job is gone or is waiting to run."""
    if not is_known(run.job):
        raise NotPossible(_("No job is named %(job)s any more.") % {"job": run.job})
    if not run.is_final:
        raise NotPossible(state_of(run))
    same = JobRun.objects.open().filter(job=run.job, params=run.params, dry_run=run.dry_run)
    if (waiting := same.order_by("pk").first()) is not None:
        raise NotPossible(_("#%(id)s does the same and is not over.") % {"id": waiting.pk})


def retry_run(run: JobRun, *, by: Person, reason: str = "", trigger: str = JobRun.Trigger.ADMIN) -> JobRun:
    """Request another run of the same job with the same parameters; the reason goes into the event.

    It has no mandate of its own: the caps stop it as they stop a scheduled one.

    Raises:
        PermissionDenied; InvalidParams; JobsPaused; NotPossible (``refuse_retry``).
    """
    with transaction.atomic():
        # Of two clicks at once, the second waits here, and then finds the run of the first.
        list(JobRun.objects.select_for_update().filter(pk=run.pk).values_list("pk"))
        refuse_retry(run)
        return request_run(
            job=run.job,
            trigger=trigger,
            by=by,
            dry_run=run.dry_run,
            params=run.params,
            reason=reason,
        )


def _may(user: Person, permission: str) -> bool:
    return user.is_active and user.has_perm(permission)
