"""Minimal valid bots, sessions, content and what Reddit said of it."""

from typing import Any

from django.utils import timezone

from scraping.models import (
    AccessToken,
    BotConfig,
    DueWalk,
    Erasure,
    Freshness,
    PostSighting,
    RedditApp,
    RedditComment,
    RedditPost,
    RequestBudget,
    ScrapeSession,
    Watermark,
)
from scraping.models.set_aside import Doubt, SetAside, SweepTally
from tests.kit.factories.numbers import numbers
from tests.kit.factories.people import user


def reddit_app(**fields: Any) -> RedditApp:
    number = next(numbers)
    return RedditApp.objects.create(
        **{
            "name": f"app{number}",
            "client_id": f"id{number}",
            "user_agent": "tests:app:1 (by /u/tests)",
            **fields,
        }
    )


def bot_config(**fields: Any) -> BotConfig:
    values = {"name": f"bot{next(numbers)}", "subreddits": ["python"], **fields}
    values["owner"] = values.get("owner") or user()
    return BotConfig.objects.create(**values)


def watermark(**fields: Any) -> Watermark:
    now, name = timezone.now(), f"subreddit{next(numbers)}"
    values = {"subreddit": name, "name": name, "listing": "new", "newest_at": now, "listed_at": now, **fields}
    values["config"] = values.get("config") or bot_config()
    return Watermark.objects.create(**values)


def freshness(**fields: Any) -> Freshness:
    values = {"subreddit": f"subreddit{next(numbers)}", **fields}
    return Freshness.objects.create(config=values.pop("config", None) or bot_config(), **values)


def due_walk(**fields: Any) -> DueWalk:
    values = {"subreddit": "python", "fullname": f"t3_{next(numbers)}", **fields}
    return DueWalk.objects.create(config=values.pop("config", None) or bot_config(), **values)


def access_token(**fields: Any) -> AccessToken:
    return AccessToken.objects.create(**{"client_id": f"id{next(numbers)}", **fields})


def set_aside(*, doubt: dict[str, Any] | None = None, **fields: Any) -> SetAside:
    values = {
        "cause": "missing",
        "scope": "2",
        "items": 120,
        "checked": 480,
        "gone": 120,
        "usual_share": 0.01,
    }
    made = SetAside.objects.create(**values | fields)
    if doubt is not None:
        doubt_of(set_aside=made, **doubt)
    return made


def doubt_of(**fields: Any) -> Doubt:
    now = timezone.now()
    values = {"fullname": f"t3_{next(numbers)}", "reason": "missing", "since": now, "ask_after": now}
    return Doubt.objects.create(**values | fields)


def sweep_tally(**fields: Any) -> SweepTally:
    return SweepTally.objects.create(**{"swept_at": timezone.now(), "age": 0, "checked": 10} | fields)


def erasure(**fields: Any) -> Erasure:
    return Erasure.objects.create(
        **{"kind": 3, "number": next(numbers), "at": timezone.now(), "rule": "retention", "days": 90} | fields
    )


def request_budget(**fields: Any) -> RequestBudget:
    values = {
        "client_id": f"id{next(numbers)}",
        "window_requests": 1000,
        "ends_at": timezone.now(),
        **fields,
    }
    return RequestBudget.objects.create(**values)


def session(**fields: Any) -> ScrapeSession:
    values = {"status": "succeeded", **fields}
    values["config"] = values.get("config") or bot_config()
    values.setdefault("config_name", values["config"].name)
    if values["status"] != "running":
        values.setdefault("finished_at", timezone.now())
    return ScrapeSession.objects.create(**values)


def unsaved_post(**fields: Any) -> RedditPost:
    number = next(numbers)
    return RedditPost(
        **{
            "fullname": f"t3_{number}",
            "subreddit": "python",
            "title": f"Post {number}",
            "created_at": timezone.now(),
            **fields,
        }
    )


def post(**fields: Any) -> RedditPost:
    made = unsaved_post(**fields)
    made.save()
    return made


def sighting(**fields: Any) -> PostSighting:
    values = {**fields}
    values["post"] = values.get("post") or post()
    values["config"] = values.get("config") or bot_config()
    return PostSighting.objects.create(**values)


def comment(**fields: Any) -> RedditComment:
    number = next(numbers)
    values = {"fullname": f"t1_{number}", "body": f"Comment {number}", "created_at": timezone.now(), **fields}
    values["post"] = values.get("post") or post()
    values.setdefault("parent_fullname", values["post"].fullname)
    return RedditComment.objects.create(**values)
