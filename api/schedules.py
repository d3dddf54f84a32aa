"""Schedules: read, retime, pause, resume."""

from datetime import UTC, datetime
from typing import Annotated, Any

from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django_celery_beat.models import PeriodicTask
from ninja import Field, Header, Query, Router, Schema

from api.answers import (
    CHANGES,
    ERRORS,
    Page,
    Paging,
    ProblemOut,
    Reason,
    etag_of,
    iso,
    page,
    require,
    row,
    tagged,
)
from api.auth import OPERATE
from api.problems import Problem
from database.messages import english_of
from maintenance.scheduling import edits, reading
from maintenance.scheduling.firetimes import Crontab, InvalidCrontab
from maintenance.scheduling.schedules import RELATED, control_or_default

router = Router(tags=["schedules"])
MatchHeader = Annotated[
    str | None,
    Header(
        alias="If-Match",
        description="The ETag that was read (else 412), or `*` for whatever it is now. Without it: 428.",
        examples=['"0f343b0931126a20f133d67c2b018a3b"', "*"],
    ),
]
VIEW = "django_celery_beat.view_periodictask"


class Paused(Schema):
    """Since when, until when and why a schedule is paused."""

    at: str | None
    until: str | None
    reason: str


class ScheduleOut(Schema):
    """A schedule. ``crontab``: minute, hour, day of month, month, day of week.

    ``catch_up_hours``, ``retries``, ``time_limit_seconds`` and ``pause_after_failures`` are null where it sets none.
    """

    id: int
    name: str
    job: str | None
    enabled: bool
    crontab: str | None
    timezone: str
    next_run_at: str | None
    paused: Paused | None
    fault: str
    misfire_policy: str
    misfire_limit: int
    catch_up_hours: int | None
    overlap_policy: str
    retries: int | None
    time_limit_seconds: int | None
    pause_after_failures: int | None


class Retiming(Schema):
    """The new time; what is left out stays."""

    crontab: Annotated[str, Field(min_length=9, max_length=300)] | None = None
    timezone: Annotated[str, Field(min_length=1, max_length=63)] | None = None
    reason: Annotated[str, Field(max_length=500)] = ""


class PauseIn(Schema):
    """Why, and until when; without an end, until somebody resumes it."""

    reason: Reason
    until: datetime | None = None


@router.get("schedules/", response={200: Page[ScheduleOut], **ERRORS}, summary="Schedules")
def list_schedules(request: HttpRequest, paging: Query[Paging]) -> Any:
    """Return the schedules."""
    return page(_rows(request), paging, _told)


@router.get(
    "schedules/{int:schedule_id}", response={200: ScheduleOut, 304: None, **ERRORS}, summary="One schedule"
)
def get_schedule(request: HttpRequest, response: HttpResponse, schedule_id: int) -> Any:
    """Return a schedule with its ETag."""
    return tagged(request, response, _told([row(_rows(request), schedule_id)])[0])


@router.patch(
    "schedules/{int:schedule_id}",
    auth=OPERATE,
    response={200: ScheduleOut, **CHANGES, frozenset({412, 428}): ProblemOut},
    summary="Retime a schedule",
)
def retime_schedule(
    request: HttpRequest,
    response: HttpResponse,
    schedule_id: int,
    body: Retiming,
    if_match: MatchHeader = None,
) -> Any:
    """Give the schedule another time. ``If-Match`` must be the ETag that the caller has read."""
    user = require(request, VIEW)
    if if_match is None:
        row(_rows(request), schedule_id)
        raise Problem(428)
    with transaction.atomic():
        row(PeriodicTask.objects.select_for_update().all(), schedule_id)
        task = row(_rows(request), schedule_id)
        told = _told([task])[0]
        if if_match not in (etag_of(told), "*"):
            raise Problem(412)
        try:
            crontab = Crontab.parse(body.crontab or told["crontab"] or "")
            edits.retime(
                task,
                by=user,
                crontab=crontab,
                timezone_name=body.timezone or told["timezone"],
                reason=body.reason,
            )
        except (InvalidCrontab, ValueError) as error:
            raise Problem(422, detail=str(error)) from None
    return _answer(request, response, schedule_id)


@router.post(
    "schedules/{int:schedule_id}/pause", auth=OPERATE, response={200: ScheduleOut, **CHANGES}, summary="Pause"
)
def pause_schedule(request: HttpRequest, response: HttpResponse, schedule_id: int, body: PauseIn) -> Any:
    """Stop the schedule from firing; change the pause of a paused one."""
    user, task = require(request, VIEW), row(_rows(request), schedule_id)
    until = body.until
    if until is not None and until.tzinfo is None:
        raise Problem(422, detail="until needs an offset, such as +00:00.")
    try:
        # PostgreSQL takes offsets of less than 16 hours only.
        until = until.astimezone(UTC) if until is not None else None
        edits.pause(task, by=user, reason=body.reason, until=until)
    except (ValueError, OverflowError) as error:
        raise Problem(422, detail=str(error)) from None
    return _answer(request, response, schedule_id)


@router.post(
    "schedules/{int:schedule_id}/resume",
    auth=OPERATE,
    response={200: ScheduleOut, **CHANGES},
    summary="Resume",
)
def resume_schedule(request: HttpRequest, response: HttpResponse, schedule_id: int) -> Any:
    """Let the schedule fire again from its next slot on."""
    user, task = require(request, VIEW), row(_rows(request), schedule_id)
    edits.resume(task, by=user)
    return _answer(request, response, schedule_id)


def _rows(request: HttpRequest) -> Any:
    require(request, VIEW)
    return PeriodicTask.objects.select_related(*RELATED)


def _answer(request: HttpRequest, response: HttpResponse, key: int) -> dict[str, Any]:
    told = _told([row(_rows(request), key)])[0]
    response["ETag"] = etag_of(told)
    return told


def _told(tasks: list[PeriodicTask]) -> list[dict[str, Any]]:
    found = []
    for task, read in zip(tasks, reading.read_all(tasks), strict=True):
        control = control_or_default(task)
        pause = {
            "at": iso(control.paused_at),
            "until": iso(control.paused_until),
            "reason": english_of(control.pause_reason),
        }
        found.append(
            {
                "id": task.pk,
                "name": task.name,
                "job": read.job.slug if read.job else None,
                "enabled": task.enabled,
                "crontab": str(read.crontab) if read.crontab else None,
                "timezone": read.zone,
                "next_run_at": iso(read.next_run_at),
                "paused": pause if control.paused_at else None,
                "fault": str(english_of(read.schedule_error)),
                "misfire_policy": control.misfire_policy,
                "misfire_limit": control.misfire_limit,
                "catch_up_hours": control.catch_up_hours,
                "overlap_policy": control.overlap_policy,
                "retries": control.retries,
                "time_limit_seconds": control.time_limit_seconds,
                "pause_after_failures": control.pause_after_failures,
            }
        )
    return found
