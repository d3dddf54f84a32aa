"""Retentions, holds and events: read."""

from typing import Annotated, Any

from django.http import HttpRequest
from ninja import Field, Query, Router, Schema

from api.answers import ERRORS, Page, Paging, caller, iso, page, require
from audit.models import Event
from audit.visibility import Candidate, sees_all, visible_among
from database.messages import english_of
from maintenance.models import RetentionPolicy
from scraping.models import RedditPost

router = Router(tags=["records"])


class RetentionOut(Schema):
    """How many days the rows of a job's table are kept."""

    id: int
    job: str
    days: int
    keeps_live_threads: bool
    updated_at: str


class HoldOut(Schema):
    """A post that no purge deletes while it is held."""

    post: int
    fullname: str
    subreddit: str
    held_at: str
    held_until: str | None
    reason: str


class EventOut(Schema):
    """A change or decision. ``address`` is null unless the caller sees all events."""

    id: int
    at: str
    actor_kind: str
    actor: str
    address: str | None
    verb: str
    subject_type: str
    subject_id: str
    subject_name: str
    reason: str
    before: dict[str, Any] | None
    after: dict[str, Any] | None


class EventFilters(Paging):
    """Which events. A page may have fewer rows than the limit although others follow."""

    verb: Annotated[str, Field(max_length=60, pattern=r"^[a-z_.]+$")] | None = None
    subject_type: Annotated[str, Field(max_length=100, pattern=r"^[A-Za-z_.]+$")] | None = None


@router.get("retentions/", response={200: Page[RetentionOut], **ERRORS}, summary="Retentions")
def list_retentions(request: HttpRequest, paging: Query[Paging]) -> Any:
    """Return the retentions."""
    require(request, "maintenance.view_retentionpolicy")
    return page(RetentionPolicy.objects.all(), paging, lambda found: [_retention(one) for one in found])


@router.get("holds/", response={200: Page[HoldOut], **ERRORS}, summary="Held posts")
def list_holds(request: HttpRequest, paging: Query[Paging]) -> Any:
    """Return the held posts that the caller may see."""
    user = require(request, "scraping.view_redditpost")
    rows = RedditPost.objects.visible_to(user).filter(held_at__isnull=False)
    return page(rows, paging, lambda found: [_hold(one) for one in found])


@router.get("events/", response={200: Page[EventOut], **ERRORS}, summary="Events")
def list_events(request: HttpRequest, filters: Query[EventFilters]) -> Any:
    """Return the events that the caller may see."""
    user, rows = caller(request), Event.objects.all()
    for name in ("verb", "subject_type"):
        if (value := getattr(filters, name)) is not None:
            rows = rows.filter(**{name: value})

    def told(found: list[Event]) -> list[dict[str, Any]]:
        asked = [Candidate(one.pk, one.subject_type, one.subject_id, one.actor_id) for one in found]
        shown, has_all = visible_among(asked, user), sees_all(user)
        return [_event(one, has_address=has_all) for one in found if one.pk in shown]

    return page(rows, filters, told)


def _retention(one: RetentionPolicy) -> dict[str, Any]:
    return {
        "id": one.pk,
        "job": one.job,
        "days": one.days,
        "keeps_live_threads": one.keeps_live_threads,
        "updated_at": iso(one.updated_at),
    }


def _hold(one: RedditPost) -> dict[str, Any]:
    return {
        "post": one.pk,
        "fullname": one.fullname,
        "subreddit": one.subreddit,
        "held_at": iso(one.held_at),
        "held_until": iso(one.held_until),
        "reason": one.hold_reason,
    }


def _event(one: Event, *, has_address: bool) -> dict[str, Any]:
    return {
        "id": one.pk,
        "at": iso(one.at),
        "actor_kind": one.actor_kind,
        "actor": one.actor_name,
        "address": one.address if has_address else None,
        "verb": one.verb,
        "subject_type": one.subject_type,
        "subject_id": one.subject_id,
        "subject_name": one.subject_name,
        "reason": english_of(one.reason),
        "before": one.before,
        "after": one.after,
    }
