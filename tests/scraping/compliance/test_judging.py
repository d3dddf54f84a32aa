"""The outcome of a stored item, by Reddit's answer about it."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from django.utils import timezone

from scraping.compliance.sweep import refresh_stored_content
from scraping.content.normalise import TOMBSTONE_COMMENT, TOMBSTONE_POST, comment_values, post_values
from scraping.models import ContentState, RequestBudget
from scraping.models.set_aside import Doubt
from scraping.progress import SilentProgress
from scraping.reddit.errors import OutOfBudget
from tests.kit.scraped import make_comment, make_config, make_post, make_session, raw_comment, raw_post
from tests.scraping.compliance.stored import LONG_AGO, content, known, make_full_post, refresh, shown
from tests.scraping.reddit_replay import Answer, RedditReplay
from tests.scraping.sweeps import later, missed

pytestmark = pytest.mark.django_db
# Reddit's data of a post with a gallery and a poll, and of one with all parts.
PARTS: dict[str, Any] = {
    "gallery_data": {"items": [{"media_id": "x"}]},
    "poll_data": {"options": [{"text": "Yes"}], "total_vote_count": 1},
}
FULL: dict[str, Any] = PARTS | {
    "domain": "a.b",
    "link_flair_text": "news",
    "thumbnail": "https://a.b/c",
    "is_self": False,
    "crosspost_parent": "t3_parent",
    "crosspost_parent_list": [raw_post(id="parent")],
}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("changes", "state", "outcome"),
    [
        ({"removed_by_category": "deleted"}, ContentState.DELETED_BY_AUTHOR, "deleted"),
        ({"removed_by_category": "moderator"}, ContentState.REMOVED_BY_MODERATOR, "removed"),
        ({"removed_by_category": "reddit"}, ContentState.REMOVED_BY_REDDIT, "removed"),
        ({"is_robot_indexable": False}, ContentState.REMOVED_BY_MODERATOR, "removed"),
    ],
)
def test_a_post_gone_on_reddit_is_blanked_and_the_others_are_not(
    reddit: RedditReplay, changes: dict[str, Any], state: ContentState, outcome: str
) -> None:
    gone, survivor = make_full_post(), make_full_post()
    known(reddit, gone, **changes)
    known(reddit, survivor, **FULL)
    assert refresh()[outcome] == 1
    assert not any(content(gone))
    assert gone.state == state
    assert all(content(survivor))
    assert survivor.state == ContentState.LIVE


@pytest.mark.slow
@pytest.mark.parametrize(
    "gone",
    [
        [],
        [raw_post(id="parent", selftext="[deleted]", author="[deleted]")],
        [raw_post(id="parent", selftext="A text", removed_by_category="moderator", **PARTS)],
    ],
)
def test_parts_of_a_parent_are_deleted_with_the_parent(reddit: RedditReplay, gone: list[Any]) -> None:
    taken = {"gallery": [{"id": "x"}], "poll": {"options": []}, "crosspost_body": "A text"}
    first, second = (make_post(crosspost_parent="t3_parent", **taken) for _ in range(2))
    known(reddit, first, crosspost_parent="t3_parent", crosspost_parent_list=gone)
    known(
        reddit, second, crosspost_parent="t3_parent", crosspost_parent_list=[raw_post(id="parent", **PARTS)]
    )
    refresh()
    for post in (first, second):
        post.refresh_from_db()
    assert (first.gallery, first.poll, first.crosspost_body) == (None, None, "")
    assert (first.title, first.state, first.crosspost_parent) == ("A title", ContentState.LIVE, "t3_parent")
    assert (second.gallery or [{}])[0]["id"] == "x"
    assert (second.poll or {})["votes"] == 1
    assert second.crosspost_body == "A text"


@pytest.mark.parametrize(
    ("body", "state", "outcome"),
    [
        ("[deleted]", ContentState.DELETED_BY_AUTHOR, "deleted"),
        ("[removed]", ContentState.REMOVED_BY_MODERATOR, "removed"),
    ],
)
def test_a_comment_gone_on_reddit_is_blanked_and_the_others_are_not(
    reddit: RedditReplay, body: str, state: ContentState, outcome: str
) -> None:
    post = make_post()
    gone, survivor = make_comment(post, depth=3), make_comment(post)
    known(reddit, post)
    known(reddit, gone, body=body, author="[deleted]")
    known(reddit, survivor)
    assert refresh()[outcome] == 1
    assert content(gone) == [""]
    assert (gone.state, gone.author, gone.author_fullname, gone.is_author_deleted) == (state, "", "", False)
    assert gone.depth == 3  # /api/info says nothing of it
    assert content(survivor) == ["A comment"]
    assert survivor.author == "somebody"


def test_a_deleted_account_loses_only_its_name(reddit: RedditReplay) -> None:
    post = make_post()
    comment = make_comment(post)
    for item in (post, comment):
        known(reddit, item, author="[deleted]", author_fullname=None)
    assert refresh()["account_deleted"] == 2
    for item in (post, comment):
        assert any(content(item))
        assert (item.author, item.author_fullname, item.is_author_deleted) == ("", "", True)
        assert item.state == ContentState.LIVE


@pytest.mark.slow
def test_missing_once_is_kept_and_twice_is_a_tombstone(reddit: RedditReplay) -> None:
    post, survivor = make_full_post(), make_full_post()
    comment = make_comment(post)
    known(reddit, survivor)
    assert refresh() == {"requests": 1, "checked": 3, "missing": 2, "updated": 1}
    assert all(content(post))
    assert (post.missing_count, post.state) == (1, ContentState.LIVE)
    # Hours apart: two misses soon after each other count as one.
    later(hours=5.9)
    assert refresh() == {"requests": 1, "checked": 1, "unchanged": 1}
    assert all(content(post))
    later(hours=0.2)
    assert refresh() == {"requests": 2, "checked": 3, "tombstoned": 2, "unchanged": 1}
    for item in (post, comment):
        assert not any(content(item))
        assert (item.author, item.author_fullname, item.state) == ("", "", ContentState.MISSING)
    assert content(survivor)[0] == "A title"
    assert refresh() == {"requests": 1, "checked": 3, "unchanged": 3}
    assert not Doubt.objects.exists()


@pytest.mark.slow
def test_two_misses_not_in_a_row_do_not_count(reddit: RedditReplay) -> None:
    post, _survivor = make_post(), shown(reddit)
    for _ in range(2):
        reddit.known.pop(post.fullname, None)
        assert refresh()["missing"] == 1
        known(reddit, post)
        later(hours=7)
        refresh()
    assert content(post)[0] == "A title"
    assert post.missing_count == 0


@pytest.mark.slow
@pytest.mark.parametrize("state", [ContentState.MISSING, ContentState.REMOVED_BY_MODERATOR])
def test_an_item_that_reddit_shows_again_is_restored(reddit: RedditReplay, state: ContentState) -> None:
    blank = {"title": "", "body": "", "url": "", "permalink": "", "author": ""}
    post = make_post(state=state, missing_count=2, created_at=timezone.now(), **blank)
    known(reddit, post)
    assert refresh()["restored"] == 1
    assert content(post)[:2] == ["A title", "A text"]
    assert (post.state, post.author, post.missing_count) == (ContentState.LIVE, "somebody", 0)


def test_a_hold_does_not_stop_blanking_and_stays(reddit: RedditReplay) -> None:
    held_at = timezone.now()
    post = make_full_post(held_at=held_at, hold_reason="evidence")
    known(reddit, post, removed_by_category="deleted")
    refresh()
    assert not any(content(post))
    assert (post.held_at, post.hold_reason) == (held_at, "evidence")


def test_a_tombstone_keeps_ids_and_times_and_nothing_else_of_reddit(reddit: RedditReplay) -> None:
    held_at, config = timezone.now(), make_config()
    session = make_session(config)
    fields = {
        "score": 7, "edited_at": LONG_AGO, "is_edited": True, "distinguished": "moderator", "is_stickied": True,
        "missing_count": 1,
    }  # fmt: skip
    post = make_full_post(
        subreddit="u_somebody", upvote_ratio=0.9, num_comments=3, comments_fetched=1, is_self=True, is_over_18=True,
        is_spoiler=True, is_locked=True, removed_by_category="x", session=session, held_at=held_at,
        hold_reason="evidence", **fields,
    )  # fmt: skip
    comment = make_comment(post, is_submitter=True, is_score_hidden=True, depth=2, **fields)
    survivor = make_comment(post, score=5)
    known(reddit, survivor, score=5)
    for item in (post, comment):
        missed(item)
    assert refresh()["tombstoned"] == 2
    left = {}
    for item in (post, comment):
        item.refresh_from_db()
        left[item.fullname] = {
            field.attname: getattr(item, field.attname)
            for field in item._meta.concrete_fields
            if getattr(item, field.attname) not in ("", None, 0, False)
        }
    for item in (post, comment):
        kept = left[item.fullname]
        assert kept.pop("state") == ContentState.MISSING
        assert kept.pop("missing_count") == 2
        for name in (
            "id",
            "fullname",
            "created_at",
            "edited_at",
            "first_seen_at",
            "last_seen_at",
            "checked_at",
        ):
            assert kept.pop(name)
    # Our own columns stay; the name of a user's own subreddit does not.
    assert left[post.fullname] == {
        "subreddit": "u_[deleted]", "session_id": session.pk, "comments_fetched": 1, "held_at": held_at,
        "hold_reason": "evidence",
    }  # fmt: skip
    assert left[comment.fullname] == {"post_id": post.pk, "parent_fullname": post.fullname, "depth": 2}
    survivor.refresh_from_db()
    assert (survivor.body, survivor.score) == ("A comment", 5)


@pytest.mark.parametrize(
    ("make_row", "tombstone", "kept"),
    [
        (raw_post, TOMBSTONE_POST, {"fullname", "subreddit", "created_at", "edited_at"}),
        (
            lambda: raw_comment(raw_post()),
            TOMBSTONE_COMMENT,
            {"fullname", "parent_fullname", "depth", "created_at", "edited_at"},
        ),
    ],
)
def test_a_tombstone_forgets_every_column_that_comes_from_reddit(
    make_row: Callable[[], dict[str, Any]], tombstone: dict[str, Any], kept: set[str]
) -> None:
    raw = make_row()
    values = post_values(raw) if raw["name"].startswith("t3_") else comment_values(raw)
    assert values.keys() - tombstone.keys() == kept


@pytest.mark.slow
@pytest.mark.parametrize(
    ("about", "outcome"),
    [
        (Answer(403, {}, b'{"reason": "private", "message": "Forbidden", "error": 403}'), "hidden"),
        (Answer(403, {}, b'{"reason": "quarantined", "message": "Forbidden", "error": 403}'), "hidden"),
        (Answer(500), "hidden"),  # proves nothing either
        (Answer(404, {}, b'{"reason": "banned", "message": "Not Found", "error": 404}'), "tombstoned"),
        (Answer.of({"kind": "t5", "data": {"display_name": "closing"}}), "tombstoned"),
    ],
)
def test_items_hidden_by_a_closed_subreddit_are_no_tombstones(
    reddit: RedditReplay, about: Answer, outcome: str
) -> None:
    reddit.answers["/r/closing/about"] = [about]
    posts = [make_full_post(subreddit="closing") for _ in range(3)]
    items = [*posts, *(make_comment(post) for post in posts)]
    for item in items:
        missed(item)
    survivor = make_post(subreddit="open")
    known(reddit, survivor)
    counts = refresh()
    assert counts[outcome] == 6
    asked = reddit.asked(path="/about")
    assert len(asked) == (3 if about.status == 500 else 1)  # PRAW repeats after a 500
    assert all(any(content(item)) == (outcome == "hidden") for item in items)
    assert content(survivor)[0] == "A title"


@pytest.mark.slow
def test_a_failed_request_for_the_subreddit_hides_nothing(
    reddit: RedditReplay, monkeypatch: pytest.MonkeyPatch
) -> None:
    items = [make_full_post(subreddit="closing"), make_full_post(subreddit="open")]
    known(reddit, items[1])
    missed(items[0])
    reddit.answers["/r/closing/about"] = [Answer(429, {"retry-after": "600"}, b"")]
    counts: Counter[str] = Counter()
    with pytest.raises(OutOfBudget):
        refresh_stored_content(SilentProgress(), counts=counts)
    assert counts["requests"] == 2  # an interrupted sweep has sent its requests all the same
    for item in items:
        item.refresh_from_db()
    assert (items[0].state, items[0].missing_count, items[0].title) == (ContentState.LIVE, 1, "A title")
    checked_before = items[0].checked_at
    del reddit.answers["/r/closing/about"]
    RequestBudget.objects.update(blocked_until=None)
    assert refresh()["tombstoned"] == 1
    items[0].refresh_from_db()
    assert items[0].checked_at != checked_before


@pytest.mark.slow
def test_after_a_subreddit_opens_again_deleted_items_are_found(reddit: RedditReplay) -> None:
    gone, survivor, _elsewhere = make_post(subreddit="closing"), make_post(subreddit="closing"), shown(reddit)
    closed = b'{"reason": "private", "message": "Forbidden", "error": 403}'
    reddit.answers["/r/closing/about"] = [Answer(403, {}, closed)]
    for expected in ("missing", "hidden", "hidden"):
        assert refresh()[expected] == 2
        later(hours=13)
    reddit.answers["/r/closing/about"] = [Answer.of({"kind": "t5", "data": {}})]
    known(reddit, survivor, subreddit="closing")
    assert refresh()["tombstoned"] == 1
    assert not any(content(gone))
    assert content(survivor)[0] == "A title"


def test_an_account_that_is_back_counts_as_restored(reddit: RedditReplay) -> None:
    post = make_post(author="", author_fullname="", is_author_deleted=True, created_at=timezone.now())
    known(reddit, post)
    assert refresh() == {"requests": 1, "checked": 1, "restored": 1}
    post.refresh_from_db()
    assert (post.author, post.is_author_deleted) == ("somebody", False)
