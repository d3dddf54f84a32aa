"""Bots: read, add, change, delete, scrape now."""

from typing import Annotated, Any

from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from ninja import Field, Query, Router, Schema, Status

from api import idempotency, waiting
from api.answers import CHANGES, ERRORS, KEY_MAX, Page, Paging, caller, iso, page, require, row, tagged
from api.auth import OPERATE, RUN
from api.idempotency import KeyHeader
from api.problems import Problem
from api.runs import Run
from database.locks import locked
from maintenance.ledger.requests import request_run
from maintenance.ledger.run_json import as_json
from maintenance.models import JobRun
from maintenance.registry import get_job
from scraping.admin import bot_edits
from scraping.models import BotConfig, ScrapeSession

router = Router(tags=["bots"])
VIEW = "scraping.view_botconfig"
Lines = Annotated[list[Annotated[str, Field(max_length=200)]], Field(max_length=500)]
Whole = Annotated[int, Field(ge=0, le=2**31 - 1)]
Score = Annotated[int, Field(ge=-(2**31), le=2**31 - 1)]


class BotOut(Schema):
    """A bot: which subreddits it scrapes, and how."""

    id: int
    name: str
    owner: str
    app: int | None
    subreddits: list[str]
    sort: str
    time_filter: str
    query: str
    post_limit: int
    comment_policy: str
    comment_limit: int
    comment_depth: int
    comment_requests: int
    comment_min_score: int | None
    comment_refresh_hours: int
    nsfw: str
    min_score: int | None
    flairs_wanted: list[str]
    flairs_unwanted: list[str]
    domains_wanted: list[str]
    domains_unwanted: list[str]
    pattern_wanted: str
    pattern_unwanted: str
    is_active: bool
    auto_scrape: bool
    paused_at: str | None


class BotChange(Schema, extra="forbid"):
    """Values of a bot; what is left out stays, or is the default of a new bot."""

    name: Annotated[str, Field(min_length=1, max_length=100)] | None = None
    app: Annotated[int, Field(ge=1, le=KEY_MAX)] | None = None
    subreddits: Lines | None = None
    sort: BotConfig.Sort | None = None
    time_filter: BotConfig.TimeFilter | None = None
    query: Annotated[str, Field(max_length=512)] | None = None
    post_limit: Whole | None = None
    comment_policy: BotConfig.CommentPolicy | None = None
    comment_limit: Whole | None = None
    comment_depth: Whole | None = None
    comment_requests: Whole | None = None
    comment_min_score: Score | None = None
    comment_refresh_hours: Whole | None = None
    nsfw: BotConfig.Nsfw | None = None
    min_score: Score | None = None
    flairs_wanted: Lines | None = None
    flairs_unwanted: Lines | None = None
    domains_wanted: Lines | None = None
    domains_unwanted: Lines | None = None
    pattern_wanted: Annotated[str, Field(max_length=500)] | None = None
    pattern_unwanted: Annotated[str, Field(max_length=500)] | None = None
    is_active: bool | None = None
    auto_scrape: bool | None = None


class Scraped(Schema):
    """The end of a scrape that the caller waited for."""

    session_id: int | None
    status: str
    message: str
    total_posts: int
    total_comments: int


class BotFilters(Paging):
    """Which bots."""

    is_active: bool | None = None
    auto_scrape: bool | None = None


@router.get("bot-configs/", response={200: Page[BotOut], **ERRORS}, summary="Bots")
def list_bots(request: HttpRequest, filters: Query[BotFilters]) -> Any:
    """Return the bots that the caller may see."""
    rows = _rows(request)
    for name in ("is_active", "auto_scrape"):
        if (value := getattr(filters, name)) is not None:
            rows = rows.filter(**{name: value})
    return page(rows, filters, lambda found: [_told(bot) for bot in found])


@router.post("bot-configs/", auth=OPERATE, response={201: BotOut, **CHANGES}, summary="Add a bot")
def add_bot(request: HttpRequest, response: HttpResponse, body: BotChange) -> Any:
    """Add a bot of the caller."""
    bot = bot_edits.add_bot(body.dict(exclude_unset=True), by=caller(request))
    response["Location"] = f"/api/v1/bot-configs/{bot.pk}"
    return Status(201, _told(bot))


@router.get("bot-configs/{int:bot_id}", response={200: BotOut, 304: None, **ERRORS}, summary="One bot")
def get_bot(request: HttpRequest, response: HttpResponse, bot_id: int) -> Any:
    """Return a bot."""
    return tagged(request, response, _told(row(_rows(request), bot_id)))


@router.patch(
    "bot-configs/{int:bot_id}", auth=OPERATE, response={200: BotOut, **CHANGES}, summary="Change a bot"
)
def change_bot(request: HttpRequest, bot_id: int, body: BotChange) -> Any:
    """Change values of a bot of one's own."""
    bot = row(_rows(request), bot_id)
    return _told(bot_edits.change_bot(bot, body.dict(exclude_unset=True), by=caller(request)))


@router.delete(
    "bot-configs/{int:bot_id}", auth=OPERATE, response={204: None, **CHANGES}, summary="Delete a bot"
)
def delete_bot(request: HttpRequest, bot_id: int, schedules: bool = True) -> Any:
    """Delete a bot of one's own; what it found stays.

    Schedules that scrape with it are deleted too if the caller may delete schedules, unless `schedules` is false.
    """
    bot_edits.delete_bot(row(_rows(request), bot_id), by=caller(request), with_schedules=schedules)
    return Status(204, None)


@router.post(
    "bot-configs/{int:bot_id}/scrape-now",
    auth=RUN,
    response={200: Scraped, 202: Run, **CHANGES},
    summary="Scrape with a bot",
)
def scrape_now(
    request: HttpRequest,
    response: HttpResponse,
    bot_id: int,
    prefer: waiting.PreferHeader = None,
    idempotency_key: KeyHeader = None,
) -> Any:
    """Scrape now: 202 with the run; with ``Prefer: wait=N`` (at most 60 seconds) 200 with what was found.

    Only one caller at a time may wait in each web process; the others get 202 at once.
    """
    user, bot = caller(request), row(BotConfig.objects.visible_to(caller(request)), bot_id)
    first, run = idempotency.started(request, response, idempotency_key, lambda: _requested(bot, user))
    seconds = waiting.asked(prefer)
    if run is None or not seconds or not waiting.until_final(run, seconds):
        return first
    told = _scraped(run)
    idempotency.amend(request, idempotency_key, status=200, told=told)
    response["Preference-Applied"] = f"wait={seconds}"
    return Status(200, told)


def _requested(bot: BotConfig, user: User) -> JobRun:
    if not get_job("scrape_now").may_run(user, {"config": bot.pk}):
        raise PermissionDenied
    with transaction.atomic():
        bot = locked(bot)
        if not bot.is_active:
            raise Problem(409, detail="The bot is not active.")
        _refuse_second(bot)
        return request_run(job="scrape_now", trigger=JobRun.Trigger.API, by=user, params={"config": bot.pk})


def _refuse_second(bot: BotConfig) -> None:
    key = get_job("scrape_now").concurrency_key({"config": bot.pk})
    run = JobRun.objects.open().filter(concurrency_key=key).order_by("pk").first()
    if run is not None:
        raise Problem(409, detail="The bot is scraping already.", run=as_json(run))
    if ScrapeSession.objects.running().filter(config=bot).exists():
        raise Problem(409, detail="The bot is scraping already.")


def _scraped(run: JobRun) -> dict[str, Any]:
    session = ScrapeSession.objects.filter(run_id=run.pk).order_by("-pk").first()
    told = as_json(run)
    return {
        "session_id": session.pk if session else None,
        "status": run.status,
        "message": told["message"] or told["error"],
        "total_posts": session.posts_found if session else 0,
        "total_comments": session.comments_found if session else 0,
    }


def _rows(request: HttpRequest) -> Any:
    user = require(request, VIEW)
    return BotConfig.objects.visible_to(user).select_related("owner")


def _told(bot: BotConfig) -> dict[str, Any]:
    plain = {
        name: getattr(bot, name) for name in BotOut.model_fields if name not in ("owner", "app", "paused_at")
    }
    return {**plain, "owner": bot.owner.get_username(), "app": bot.app_id, "paused_at": iso(bot.paused_at)}
