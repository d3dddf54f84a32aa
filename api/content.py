"""Sessions, posts, comments: read and export."""

from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from django.http import HttpRequest, HttpResponse, QueryDict, StreamingHttpResponse
from ninja import Field, Query, Router, Schema
from pydantic import AwareDatetime

from api.answers import ERRORS, Key, Page, Paging, caller, iso, page, require, row, tagged
from api.problems import Problem
from database.messages import english_of
from scraping.content import export
from scraping.content.export_events import recorded
from scraping.models import BotConfig, RedditComment, RedditPost, ScrapeSession

router = Router(tags=["content"])
Name = Annotated[str, Field(max_length=50, pattern=r"^[A-Za-z0-9_]+$")]

EXPORT_TYPES = [export.CONTENT_TYPES[one] for one in (export.Format.CSV, export.Format.JSON_LINES)]


class SessionOut(Schema):
    """One scrape of one bot."""

    id: int
    config: int | None
    config_name: str
    run: int | None
    kind: str
    status: str
    started_at: str
    finished_at: str | None
    posts_found: int
    posts_new: int
    comments_found: int
    comments_new: int
    requests_used: int
    has_gap: bool
    error: str


class SessionFilters(Paging):
    """Which sessions."""

    config: Key | None = None
    status: ScrapeSession.Status | None = None
    kind: ScrapeSession.Kind | None = None


class PostOut(Schema):
    """A stored post."""

    id: int
    fullname: str
    subreddit: str
    title: str
    body: str
    author: str
    url: str
    score: int
    num_comments: int
    created_at: str
    first_seen_at: str
    state: str
    held: bool


class CommentOut(Schema):
    """A stored comment; ``post`` is the key of its post."""

    id: int
    fullname: str
    post: int
    parent_fullname: str
    depth: int
    body: str
    author: str
    score: int
    created_at: str
    first_seen_at: str
    state: str


class Selection(Schema):
    """Which posts, or comments by their posts."""

    subreddit: Name | None = None
    config: Key | None = None
    since: AwareDatetime | None = None
    until: AwareDatetime | None = None


class PostFilters(Selection, Paging):
    """Which posts."""


class CommentFilters(Selection, Paging):
    """Which comments."""

    post: Key | None = None


class ExportFilters(Selection):
    """Which rows, and as what."""

    format: Literal["csv", "jsonl"] = "jsonl"


@router.get("sessions/", response={200: Page[SessionOut], **ERRORS}, summary="Scrape sessions")
def list_sessions(request: HttpRequest, filters: Query[SessionFilters]) -> Any:
    """Return the sessions that the caller may see."""
    rows = _sessions(request)
    for name in ("config", "status", "kind"):
        if (value := getattr(filters, name)) is not None:
            rows = rows.filter(**{name: value})
    return page(rows, filters, lambda found: [_session(one) for one in found])


@router.get(
    "sessions/{int:session_id}", response={200: SessionOut, 304: None, **ERRORS}, summary="One session"
)
def get_session(request: HttpRequest, response: HttpResponse, session_id: int) -> Any:
    """Return a session."""
    return tagged(request, response, _session(row(_sessions(request), session_id)))


@router.get("posts/", response={200: Page[PostOut], **ERRORS}, summary="Posts")
def list_posts(request: HttpRequest, filters: Query[PostFilters]) -> Any:
    """Return the posts that the caller may see."""
    return page(_selected(request, RedditPost, filters), filters, lambda found: [_post(one) for one in found])


@router.get("posts/{int:post_id}", response={200: PostOut, 304: None, **ERRORS}, summary="One post")
def get_post(request: HttpRequest, response: HttpResponse, post_id: int) -> Any:
    """Return a post."""
    return tagged(request, response, _post(row(_selected(request, RedditPost, Selection()), post_id)))


@router.get("comments/", response={200: Page[CommentOut], **ERRORS}, summary="Comments")
def list_comments(request: HttpRequest, filters: Query[CommentFilters]) -> Any:
    """Return the comments that the caller may see."""
    rows = _selected(request, RedditComment, filters)
    if filters.post is not None:
        rows = rows.filter(post_id=filters.post)
    return page(rows, filters, lambda found: [_comment(one) for one in found])


@router.get("posts/export", response={200: str, **ERRORS}, summary="Export posts")
def export_posts(request: HttpRequest, filters: Query[ExportFilters]) -> Any:
    """Stream the live posts that the caller may see, in the order of their keys."""
    return _exported(request, RedditPost, filters)


@router.get("comments/export", response={200: str, **ERRORS}, summary="Export comments")
def export_comments(request: HttpRequest, filters: Query[ExportFilters]) -> Any:
    """Stream the live comments that the caller may see, in the order of their keys."""
    return _exported(request, RedditComment, filters)


def _exported(request: HttpRequest, model: Any, filters: ExportFilters) -> StreamingHttpResponse:
    rows = _selected(request, model, filters)
    query = QueryDict(mutable=True)
    told = filters.model_dump(mode="json", exclude_none=True, exclude={"format"})
    query.update({name: str(value) for name, value in told.items()})
    pieces = recorded(rows, format=filters.format, query=query, by=caller(request))
    return StreamingHttpResponse(pieces, content_type=export.CONTENT_TYPES[export.Format(filters.format)])


def _selected(request: HttpRequest, model: Any, chosen: Selection) -> Any:
    user = require(request, f"scraping.view_{model._meta.model_name}")
    if chosen.config is not None and not BotConfig.objects.visible_to(user).filter(pk=chosen.config).exists():
        raise Problem(404)
    rows = export.select(
        model,
        subreddits=[chosen.subreddit] if chosen.subreddit else [],
        since=_moment(chosen.since),
        until=_moment(chosen.until),
        config=chosen.config,
    )
    return rows.visible_to(user)  # type: ignore[attr-defined]  # both have it


def _moment(moment: datetime | None) -> datetime | None:
    # Others overflow when they are converted to the database's zone.
    if moment is not None and not 1 < moment.year < 9999:
        raise Problem(422, detail="The year must be from 2 to 9998.")
    # PostgreSQL takes offsets of less than 16 hours only.
    return moment.astimezone(UTC) if moment is not None else None


def _sessions(request: HttpRequest) -> Any:
    user = require(request, "scraping.view_scrapesession")
    return ScrapeSession.objects.visible_to(user)


def _session(one: ScrapeSession) -> dict[str, Any]:
    names = set(SessionOut.model_fields) - {"config", "run", "started_at", "finished_at", "error"}
    return {
        **{name: getattr(one, name) for name in names},
        "config": one.config_id,
        "run": one.run_id,
        "started_at": iso(one.started_at),
        "finished_at": iso(one.finished_at),
        "error": english_of(one.error),
    }


def _post(one: RedditPost) -> dict[str, Any]:
    names = set(PostOut.model_fields) - {"created_at", "first_seen_at", "held"}
    return {
        **{name: getattr(one, name) for name in names},
        "created_at": iso(one.created_at),
        "first_seen_at": iso(one.first_seen_at),
        "held": one.held_at is not None,
    }


def _comment(one: RedditComment) -> dict[str, Any]:
    names = set(CommentOut.model_fields) - {"created_at", "first_seen_at", "post"}
    return {
        **{name: getattr(one, name) for name in names},
        "post": one.post_id,
        "created_at": iso(one.created_at),
        "first_seen_at": iso(one.first_seen_at),
    }
