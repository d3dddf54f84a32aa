"""Addresses that start a schedule, called by systems that cannot sign in.

A call is signed with the secret of the address, over its time and its body, and works once. It has the authority of the
schedule: its stored parameters, the caps of every run, and nothing else.
"""

import hmac
import logging
import secrets
from datetime import UTC, datetime, timedelta
from uuid import UUID

from django.core.exceptions import PermissionDenied
from django.db import IntegrityError, transaction
from django.utils.translation import gettext_noop
from django_celery_beat.models import PeriodicTask

from audit import words
from audit.events import record
from audit.models import Event
from audit.snapshots import CHANGED
from database import clock
from database.fields import SecretUnreadable
from database.locks import locked
from database.messages import gettext as _
from maintenance.ledger.requests import request_run
from maintenance.models import HookCall, JobRun, ScheduleHook
from maintenance.registry import Person
from maintenance.scheduling.edits import PERMISSION
from maintenance.scheduling.maintenance_mode import Modes
from maintenance.scheduling.schedules import job_of

OPENED, CLOSED, CALLED = "schedule.address_opened", "schedule.address_closed", "schedule.address_called"
words.register(
    {
        OPENED: gettext_noop("gave it an address with a new secret"),
        CLOSED: gettext_noop("took its address away"),
        CALLED: gettext_noop("started by its address"),
    }
)
logger = logging.getLogger(__name__)

# A signature is good for so long, before and after its time; ``cleanup_tokens`` forgets it an hour after its call.
TOLERANCE = timedelta(minutes=5)


class CallRefused(Exception):
    """No such address, a wrong signature, or one of another time: the caller is not told which."""


class NotNow(Exception):
    """The call is good, and the schedule cannot start now; the text says why."""


def open_hook(task: PeriodicTask, *, by: Person) -> tuple[ScheduleHook, str]:
    """Give the schedule an address, or the address that it has a new secret; return it with the secret.

    Raises:
        PermissionDenied.
    """
    _permit(by)
    secret = secrets.token_urlsafe(32)
    with transaction.atomic():
        hook, _new = ScheduleHook.objects.update_or_create(
            schedule=task, defaults={"secret": secret, "since": clock.now()}
        )
        record(OPENED, task, by=by, after={"address": str(hook.public_id), "secret": CHANGED})
    return hook, secret


def close_hook(task: PeriodicTask, *, by: Person) -> None:
    """Take the schedule's address away.

    Raises:
        PermissionDenied.
    """
    _permit(by)
    with transaction.atomic():
        hook = ScheduleHook.objects.select_for_update().filter(schedule=task).first()
        if hook is not None:
            hook.delete()
            record(CLOSED, task, by=by, before={"address": str(hook.public_id)})


def signature_of(secret: str, sent_at: str, body: bytes) -> str:
    """Return the hex HMAC-SHA256 of the time (Unix seconds, as it is sent), a full stop and the body."""
    return hmac.new(secret.encode(), sent_at.encode() + b"." + body, "sha256").hexdigest()


def authenticate(public_id: UUID, *, sent_at: str, signature: str, body: bytes) -> ScheduleHook:
    """Return the address of a good call, and remember the call; the caller then uses ``start``.

    Raises:
        CallRefused.
    """
    hook = ScheduleHook.objects.select_related("schedule").filter(public_id=public_id).first()
    # As much work for an address that is not there.
    expected = signature_of(_secret_of(hook) if hook else "", sent_at, body)
    is_right = hmac.compare_digest(expected.encode(), signature.encode())
    if hook is None or not is_right or not _is_fresh(sent_at):
        raise CallRefused
    try:
        # Committed before the run: a call that was refused cannot be sent again later either.
        with transaction.atomic():
            HookCall.objects.create(hook=hook, signature=expected)
            ScheduleHook.objects.filter(pk=hook.pk).update(used_at=clock.now())
    except IntegrityError:
        raise CallRefused from None
    return hook


def start(hook: ScheduleHook) -> JobRun:
    """Request a run of the schedule.

    Raises:
        NotNow: it is paused, the console is in maintenance mode, or the run before is not finished.
        InvalidParams: the schedule's parameters cannot be used, or a group of jobs is paused.
    """
    with transaction.atomic():
        task = locked(hook.schedule)
        job = job_of(task)
        if job is None:
            raise NotNow(_("The schedule has no job."))
        if not task.enabled:
            raise NotNow(_("The schedule is paused."))
        if Modes().holds_of_group("").covers(clock.now()):
            raise NotNow(_("The console is in maintenance mode."))
        params = job.clean_stored(task.kwargs)
        key = job.concurrency_key(params)
        if key and JobRun.objects.open().filter(concurrency_key=key, dry_run=False).exists():
            raise NotNow(_("The run before is not finished."))
        run = request_run(job=job.slug, trigger=JobRun.Trigger.API, params=params, schedule=task)
        record(CALLED, task, kind=Event.ActorKind.TOKEN, parameters={"run": run.pk})
    return run


def _secret_of(hook: ScheduleHook) -> str:
    try:
        secret: str = hook.secret
    except SecretUnreadable:
        logger.exception("The secret of the address of schedule #%s cannot be read: make a new one.", hook.pk)
        raise CallRefused from None
    return secret


def _is_fresh(sent_at: str) -> bool:
    if not (sent_at.isascii() and sent_at.isdecimal() and len(sent_at) <= 11):
        return False
    return abs(clock.now() - datetime.fromtimestamp(int(sent_at), UTC)) <= TOLERANCE


def _permit(by: Person) -> None:
    if not (by.is_active and by.has_perm(PERMISSION)):
        raise PermissionDenied(_("You may not change schedules."))
