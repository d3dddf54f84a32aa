"""Each recorded post and comment, through real PRAW to its row."""

from collections import defaultdict
from datetime import UTC, datetime
from typing import Any

import pytest

from scraping.content.normalise import BLANK_POST
from scraping.models import ContentState, RedditComment, RedditContent, RedditPost, ScrapeSession
from scraping.progress import SilentProgress
from scraping.sessions.scrape import scrape_config
from tests import recorded
from tests.kit.scraped import make_config, raw_post
from tests.scraping.reddit_replay import RedditReplay

pytestmark = [pytest.mark.django_db, recorded.needed]

GONE_TEXTS = {"[deleted]", "[removed]"}


def scrape(**fields: Any) -> ScrapeSession:
    config = make_config(post_limit=1000, **fields)
    return scrape_config(config, run_id=None, kind=ScrapeSession.Kind.MANUAL, progress=SilentProgress())


def moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def is_gone(raw: dict[str, Any]) -> bool:
    """Return whether a recorded post carries a mark of removal."""
    return bool(
        raw.get("removed_by_category")
        or raw["selftext"] in GONE_TEXTS
        or raw.get("is_robot_indexable") is False
    )


def expected_post(raw: dict[str, Any]) -> dict[str, Any]:
    """Return the expected columns of a recorded post, by the marks as MANIFEST.md describes them, not by our code."""
    gone = is_gone(raw)
    nobody = raw["author"] == "[deleted]"
    return expected_parts(raw) | {
        "fullname": raw["name"],
        "subreddit": raw["subreddit"],
        "author": "" if nobody else raw["author"],
        "author_fullname": raw.get("author_fullname", ""),
        "is_author_deleted": nobody and not gone,
        "title": "" if gone else raw["title"],
        "body": "" if gone else raw["selftext"],
        "url": "" if gone else raw["url"],
        "permalink": "" if gone else raw["permalink"],
        "domain": "" if gone else raw["domain"],
        "flair": "" if gone else raw["link_flair_text"] or "",
        "score": raw["score"],
        "num_comments": raw["num_comments"],
        "upvote_ratio": raw.get("upvote_ratio"),
        "created_at": moment(raw["created_utc"]),
        "edited_at": None if isinstance(raw["edited"], bool) else moment(raw["edited"]),
        "is_edited": raw["edited"] is not False,
        "distinguished": raw["distinguished"] or "",
        "is_stickied": raw["stickied"],
        "is_self": raw["is_self"],
        "is_over_18": raw["over_18"],
        "is_spoiler": raw.get("spoiler", False),
        "is_locked": raw.get("locked", False),
        "removed_by_category": raw.get("removed_by_category") or "",
    }


def expected_parts(raw: dict[str, Any]) -> dict[str, Any]:
    """Return the expected parts of a recorded post; for a crosspost, those of its parent."""
    if is_gone(raw):
        return {"gallery": None, "poll": None, "crosspost_parent": "", "crosspost_body": ""}
    parent = (raw.get("crosspost_parent_list") or [None])[0]
    if parent and is_gone(parent):
        parent = None
    shown = [raw, *([parent] if parent else [])]
    items = next((post["gallery_data"]["items"] for post in shown if post.get("gallery_data")), None)
    known = next((post["media_metadata"] for post in shown if post.get("gallery_data")), {})
    poll = next((post["poll_data"] for post in shown if post.get("poll_data")), None)
    return {
        "gallery": items
        and [
            {
                "id": item["media_id"],
                # An animated picture has no "u".
                "url": (source := known[item["media_id"]].get("s", {})).get("u") or source.get("gif", ""),
                "caption": item.get("caption") or "",
                "link": item.get("outbound_url") or "",
            }
            for item in items
        ],
        "poll": poll
        and {
            "options": [{"text": each["text"], "votes": each.get("vote_count")} for each in poll["options"]],
            "votes": poll["total_vote_count"],
            "ends_at": moment(poll["voting_end_timestamp"] / 1000).isoformat(),
        },
        "crosspost_parent": raw.get("crosspost_parent") or "",
        "crosspost_body": parent["selftext"] if parent else "",
    }


def expected_comment(raw: dict[str, Any]) -> dict[str, Any]:
    gone, nobody = raw["body"] in GONE_TEXTS, raw["author"] == "[deleted]"
    return {
        "fullname": raw["name"],
        "post__fullname": raw["link_id"],
        "parent_fullname": raw["parent_id"],
        "author": "" if nobody else raw["author"],
        "author_fullname": raw.get("author_fullname", ""),
        "is_author_deleted": nobody and not gone,
        "body": "" if gone else raw["body"],
        "score": raw["score"],
        "created_at": moment(raw["created_utc"]),
        "edited_at": None if isinstance(raw["edited"], bool) else moment(raw["edited"]),
        "is_edited": raw["edited"] is not False,
        "distinguished": raw["distinguished"] or "",
        "is_stickied": raw.get("stickied", False),
        "is_submitter": raw.get("is_submitter", False),
        "is_score_hidden": raw["score_hidden"],
    }


def differences(model: type[RedditContent], expected: dict[str, dict[str, Any]]) -> list[str]:
    """Return each column of a stored row that differs from the recording, and each row without a counterpart."""
    columns = list(next(iter(expected.values())))
    stored = {row["fullname"]: row for row in model._default_manager.values(*columns)}
    found = [f"{name}: stored only here or there" for name in stored.keys() ^ expected.keys()]
    for name in stored.keys() & expected.keys():
        found += [
            f"{name}.{column}: {stored[name][column]!r} for {value!r}"
            for column, value in expected[name].items()
            if stored[name][column] != value
        ]
    return found


@pytest.mark.slow
def test_every_recorded_post_is_stored_as_it_was(reddit: RedditReplay) -> None:
    posts = list(recorded.posts())
    listings = [f"listing{number}" for number in range(-(-len(posts) // 1000))]
    for number, name in enumerate(listings):
        reddit.add_posts(name, posts[number * 1000 : (number + 1) * 1000])
    session = scrape(subreddits=listings)
    assert (session.status, session.error, session.items_skipped) == ("succeeded", "", 0)
    assert session.posts_found == session.posts_new == len(posts) == RedditPost.objects.count()
    expected = {raw["name"]: expected_post(raw) for raw in posts}
    assert differences(RedditPost, expected) == []
    gone = RedditPost.objects.exclude(state=ContentState.LIVE)
    assert gone.count() == sum(not row["permalink"] for row in expected.values()) > 60
    assert not gone.exclude(**BLANK_POST).exists()
    stored = RedditPost.objects.filter(state=ContentState.LIVE)
    assert stored.filter(poll__isnull=False).count() > 40
    assert stored.filter(gallery__isnull=False).count() > 20
    assert stored.exclude(crosspost_parent="").count() > 190
    assert stored.exclude(crosspost_body="").count() > 60
    assert stored.filter(is_spoiler=True).count() > 5
    assert RedditPost.objects.filter(media__isnull=False).count() > 3000


@pytest.mark.slow
def test_every_recorded_comment_is_stored_as_it_was(reddit: RedditReplay) -> None:
    comments = defaultdict(list)
    for raw in recorded.comments():
        comments[raw["link_id"]].append(raw)
    posts = [
        raw_post(id=fullname.partition("_")[2], num_comments=len(below))
        for fullname, below in comments.items()
    ]
    listings = [f"listing{number}" for number in range(-(-len(posts) // 1000))]
    for number, name in enumerate(listings):
        reddit.add_posts(name, posts[number * 1000 : (number + 1) * 1000])
    for post in posts:
        reddit.add_tree(post, comments[post["name"]])
    session = scrape(subreddits=listings, comment_policy="complete", comment_limit=100_000, comment_depth=100)
    expected = {raw["name"]: expected_comment(raw) for below in comments.values() for raw in below}
    assert (session.status, session.error, session.items_skipped) == ("succeeded", "", 0)
    assert session.comments_new == len(expected) == RedditComment.objects.count()
    assert differences(RedditComment, expected) == []
    # A synthetic id in one recording; it is valid base 36, so it is kept.
    assert RedditComment.objects.filter(fullname="t1_MISMATCH", post__fullname="t3_54hhwl").exists()
