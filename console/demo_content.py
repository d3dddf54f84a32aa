"""What the bots of the made-up history have found: posts, who found them, comments, freshness."""

import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.contrib.auth.models import User

from scraping.models import (
    BotConfig,
    ContentState,
    Freshness,
    PostSighting,
    RedditComment,
    RedditPost,
    ScrapeSession,
)

DAYS = 14
SUBREDDITS = ("TinyGardens", "SlowCooking", "HomeWorkshop", "NightSkyNotes", "OldMaps", "RainSounds")
# How old the newest post of each is, in hours.
NEWEST_HOURS: Mapping[str, float] = dict(zip(SUBREDDITS, (0.2, 9, 0.6, 1.5, 70, 30), strict=True))
POSTS, COMMENTS_A_POST_MAX, POSTS_DAYS = 900, 4, 100


@dataclass
class Life:
    """Whose the history is, its end, and its chance."""

    owner: User
    now: datetime
    random: random.Random

    def ago(self, **span: float) -> datetime:
        """Return the moment that long before the end."""
        return self.now - timedelta(**span)


def make(life: Life, bots: list[BotConfig]) -> None:
    """Create what the sessions of the bots are said to have found."""
    _content(life, bots)
    _freshness(life, bots)


def _content(life: Life, bots: list[BotConfig]) -> None:
    finders = {name: bot for bot in bots for name in bot.subreddits}
    sessions = {bot.pk: list(bot.sessions.order_by("started_at")) for bot in bots}
    posts = []
    for number in range(POSTS):
        subreddit = SUBREDDITS[number % len(SUBREDDITS)]
        newest = NEWEST_HOURS[subreddit]
        # The first post of each subreddit is its newest.
        hours = newest if number < len(SUBREDDITS) else life.random.uniform(newest, POSTS_DAYS * 24)
        made, bot = life.ago(hours=hours), finders[subreddit]
        # The history has no older sessions.
        later = [one for one in sessions[bot.pk] if one.started_at >= made] if hours < DAYS * 24 else []
        posts.append(_post(life, number, subreddit, made, bot, later[0] if later else None))
    RedditPost.objects.bulk_create(posts, batch_size=500)
    PostSighting.objects.bulk_create(
        (PostSighting(post=post, config=post.config) for post in posts), batch_size=500
    )
    RedditComment.objects.bulk_create(_comments(life, posts), batch_size=500)


def _post(
    life: Life, number: int, subreddit: str, made: datetime, bot: BotConfig, session: ScrapeSession | None
) -> RedditPost:
    """Return a post; a few are held, and a few were removed by a moderator."""
    comments = life.random.randint(0, COMMENTS_A_POST_MAX)
    post = RedditPost(
        fullname=f"t3_demo{number:x}",
        subreddit=subreddit,
        title=f"A made-up post, number {number}",
        author=f"made_up_{life.random.randint(1, 60)}",
        score=life.random.randint(1, 2500),
        num_comments=comments,
        comments_fetched=comments,
        created_at=made,
        first_seen_at=session.started_at if session else made,
        checked_at=life.ago(hours=life.random.uniform(0, 50)),
        config=bot,
        session=session,
    )
    if number % 80 == 10:
        post.title, post.author, post.state = "", "", ContentState.REMOVED_BY_MODERATOR
        post.removed_by_category = "moderator"
    if number % 200 == 20:
        post.held_at, post.held_by, post.hold_reason = (
            life.ago(days=1),
            life.owner,
            "Asked for by the archive",
        )
    return post


def _comments(life: Life, posts: Iterable[RedditPost]) -> list[RedditComment]:
    return [
        RedditComment(
            fullname=f"t1_demo{post.pk:x}x{number}",
            post=post,
            parent_fullname=post.fullname,
            body="A made-up comment.",
            author=f"made_up_{life.random.randint(1, 60)}",
            created_at=min(post.created_at + timedelta(hours=number + 1), life.now),
            checked_at=post.checked_at,
        )
        for post in posts
        for number in range(post.comments_fetched)
    ]


def _freshness(life: Life, bots: list[BotConfig]) -> None:
    def add(bot: BotConfig, subreddit: str, *, due: float, **fields: Any) -> None:
        newest = NEWEST_HOURS[subreddit]
        Freshness.objects.update_or_create(
            config=bot,
            subreddit=subreddit.lower(),
            defaults={
                "newest_at": life.ago(hours=newest),
                "listed_at": life.ago(hours=min(newest, 2)),
                "due_at": life.now + timedelta(hours=due),
                **fields,
            },
        )

    def compared(verdict: str, *, posts: int = 0, **fields: Any) -> dict[str, Any]:
        if verdict == "silent":
            fields |= {"why": "quiet"}
        figures = {"counted_from": life.ago(hours=24), "posts": posts, "usual_low": 22, "usual_high": 41}
        return {"verdict": verdict, **figures, **fields}

    add(bots[0], "TinyGardens", due=3, **compared("usual", posts=31))
    add(bots[0], "SlowCooking", due=-2, **compared("silent", silent_since=life.ago(hours=9)))
    add(bots[1], "HomeWorkshop", due=5, **compared("fewer", posts=9))
    add(bots[2], "NightSkyNotes", due=8)
    add(bots[3], "OldMaps", due=-40, silent_since=life.ago(hours=62), why="private")
    add(bots[4], "RainSounds", due=-9, silent_since=life.ago(hours=21), why="private")
