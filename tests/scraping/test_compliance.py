"""What is deleted on Reddit is deleted here."""

from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from pytest_django import Settings

from scraping.compliance import sweep
from scraping.compliance.coverage import coverage
from scraping.compliance.sweep import refresh_stored_content
from scraping.content.normalise import (
    BLANK_POST,
    TOMBSTONE_COMMENT,
    TOMBSTONE_POST,
    comment_values,
    post_values,
)
from scraping.content.storage import store_posts
from scraping.models import ContentState, RedditApp, RedditComment, RedditContent, RedditPost, RequestBudget
from scraping.models.set_aside import Doubt
from scraping.progress import SilentProgress
from scraping.reddit.errors import OutOfBudget, RedditError, RedditNotConfigured
from tests.scraping.factories import (
    make_comment,
    make_config,
    make_post,
    make_session,
    raw_comment,
    raw_post,
)
from tests.scraping.reddit_replay import Answer, RedditReplay, listing, thing
from tests.scraping.sweeps import later, missed

pytestmark = pytest.mark.django_db

LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)


class Stop(BaseException):
    """What a worker that must stop raises."""


class StopAtSecondCheckpoint(SilentProgress):
    def __init__(self) -> None:
        self.checkpoints = 0

    def checkpoint(self) -> None:
        self.checkpoints += 1
        if self.checkpoints == 2:
            raise Stop


def refresh(**limits: int) -> dict[str, int]:
    counts = refresh_stored_content(SilentProgress(), **limits).counts
    return {name: count for name, count in counts.items() if count}


def known(reddit: RedditReplay, item: RedditContent, **changes: Any) -> None:
    """Let /api/info know the item, as stored but for the changes."""
    raw = (
        raw_post(id=item.id36)
        if isinstance(item, RedditPost)
        else raw_comment({"name": item.post.fullname}, id=item.id36)  # type: ignore[attr-defined]  # a RedditComment
    )
    reddit.known[item.fullname] = raw | changes


def shown(reddit: RedditReplay, number: int = 1, **fields: Any) -> list[RedditPost]:
    """Posts that Reddit shows: without any an answer proves nothing."""
    posts = [make_post(**fields) for _ in range(number)]
    for post in posts:
        known(reddit, post)
    return posts


def content(item: RedditContent) -> list[Any]:
    item.refresh_from_db()
    if isinstance(item, RedditPost):
        return [getattr(item, name) for name in BLANK_POST]
    return [item.body]


def make_full_post(**fields: Any) -> RedditPost:
    values = {
        "domain": "a.b",
        "flair": "news",
        "media": {"thumbnail": "https://a.b/c"},
        "gallery": [{"id": "x", "url": "https://a.b/d", "caption": "", "link": ""}],
        "poll": {"options": [{"text": "Yes", "votes": 1}], "votes": 1, "ends_at": None},
        "crosspost_parent": "t3_parent",
        "crosspost_body": "A text that was passed on",
    }
    return make_post(**values | fields)


# What Reddit says of a post with a gallery and a poll, and of one with every part.
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


def test_with_nothing_stored_reddit_is_not_asked(reddit: RedditReplay, settings: Settings) -> None:
    assert refresh() == {}
    assert reddit.requests == []
    settings.REDDIT_CLIENT_ID = ""
    assert refresh() == {}


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


@pytest.mark.parametrize(
    "gone",
    [
        [],
        [raw_post(id="parent", selftext="[deleted]", author="[deleted]")],
        [raw_post(id="parent", selftext="A text", removed_by_category="moderator", **PARTS)],
    ],
)
def test_what_a_crosspost_took_goes_with_its_parent(reddit: RedditReplay, gone: list[Any]) -> None:
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


def test_of_a_deleted_account_only_the_name_goes(reddit: RedditReplay) -> None:
    post = make_post()
    comment = make_comment(post)
    for item in (post, comment):
        known(reddit, item, author="[deleted]", author_fullname=None)
    assert refresh()["account_deleted"] == 2
    for item in (post, comment):
        assert any(content(item))
        assert (item.author, item.author_fullname, item.is_author_deleted) == ("", "", True)
        assert item.state == ContentState.LIVE


def test_missing_once_is_kept_and_twice_is_a_tombstone(reddit: RedditReplay) -> None:
    post, survivor = make_full_post(), make_full_post()
    comment = make_comment(post)
    known(reddit, survivor)
    assert refresh() == {"requests": 1, "checked": 3, "missing": 2, "updated": 1}
    assert all(content(post))
    assert (post.missing_count, post.state) == (1, ContentState.LIVE)
    # Hours apart, or it is the same accident.
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


def test_missing_now_and_then_is_not_twice_in_a_row(reddit: RedditReplay) -> None:
    post, _survivor = make_post(), shown(reddit)
    for _ in range(2):
        reddit.known.pop(post.fullname, None)
        assert refresh()["missing"] == 1
        known(reddit, post)
        later(hours=7)
        refresh()
    assert content(post)[0] == "A title"
    assert post.missing_count == 0


@pytest.mark.parametrize("state", [ContentState.MISSING, ContentState.REMOVED_BY_MODERATOR])
def test_what_reddit_shows_again_comes_back(reddit: RedditReplay, state: ContentState) -> None:
    blank = {"title": "", "body": "", "url": "", "permalink": "", "author": ""}
    post = make_post(state=state, missing_count=2, created_at=timezone.now(), **blank)
    known(reddit, post)
    assert refresh()["restored"] == 1
    assert content(post)[:2] == ["A title", "A text"]
    assert (post.state, post.author, post.missing_count) == (ContentState.LIVE, "somebody", 0)


def test_a_hold_stops_nothing_and_stays(reddit: RedditReplay) -> None:
    held_at = timezone.now()
    post = make_full_post(held_at=held_at, hold_reason="evidence")
    known(reddit, post, removed_by_category="deleted")
    refresh()
    assert not any(content(post))
    assert (post.held_at, post.hold_reason) == (held_at, "evidence")


def test_the_least_recently_verified_come_first(reddit: RedditReplay) -> None:
    old = [make_post(checked_at=LONG_AGO + timedelta(days=n)) for n in range(60)]
    never = [make_comment(old[0]) for _ in range(50)]
    for item in (*old, *never):
        known(reddit, item)
    refresh(max_requests=1)
    (asked,) = reddit.asked()
    expected = {item.fullname for item in (*never, *old[:50])}
    assert set(asked.query["id"].split(",")) == expected
    assert refresh(max_requests=20)["checked"] == 110


def test_each_item_is_verified_once_and_no_more_is_asked_than_allowed(reddit: RedditReplay) -> None:
    posts = [make_post() for _ in range(250)]
    for post in posts:
        known(reddit, post)
    assert refresh(max_requests=2) | {"updated": 0} == {"requests": 2, "checked": 200, "updated": 0}
    reddit.requests.clear()
    assert refresh()["checked"] == 250
    asked = [name for r in reddit.asked() for name in r.query["id"].split(",")]
    assert sorted(asked) == sorted(post.fullname for post in posts)
    assert not RedditPost.objects.filter(checked_at=None).exists()


def test_an_unreadable_item_stays_as_it_is_and_blocks_nobody(reddit: RedditReplay) -> None:
    post, other = make_post(), make_post()
    known(reddit, post, selftext={"not": "a text"})
    known(reddit, other, removed_by_category="deleted")
    assert refresh() == {"requests": 1, "checked": 2, "unreadable": 1, "deleted": 1}
    assert content(post)[0] == "A title"
    assert post.checked_at is not None
    assert post.missing_count == 0


@pytest.mark.parametrize(
    "stranger", [None, {"kind": "t3"}, {"kind": "t3", "data": {}}, {"kind": "t5", "data": {"name": "t5_a"}}]
)
def test_an_answer_that_cannot_be_told_apart_proves_nobodys_absence(
    reddit: RedditReplay, stranger: Any
) -> None:
    post, gone = make_post(), make_post()
    deleted = raw_post(id=gone.id36, removed_by_category="deleted")
    reddit.answers["/api/info"] = [Answer.of(listing([stranger, thing(deleted)]))]
    assert refresh() == {"requests": 1, "checked": 2, "unreadable": 1, "deleted": 1}
    refresh()
    assert content(post)[0] == "A title"
    assert post.missing_count == 0


def test_a_failing_request_keeps_what_was_verified_before(reddit: RedditReplay) -> None:
    # Never verified goes first: which hundred the first request asks for is not left to the order of the rows on disk.
    long_ago = timezone.now() - timedelta(days=30)
    posts = [*shown(reddit, 100), *shown(reddit, 50, checked_at=long_ago)]
    answer = Answer.of(listing(thing(reddit.known[post.fullname]) for post in posts[:50]))
    reddit.answers["/api/info"] = [answer, Answer(503), Answer(503), Answer(503)]
    with pytest.raises(RedditError, match="503"):
        refresh()
    assert RedditPost.objects.filter(checked_at=long_ago).count() == 50
    assert RedditPost.objects.filter(missing_count=1).count() == 50
    assert (
        len(reddit.asked(path="/api/info")) == 1 + 2 * 3
    )  # PRAW repeats; then one item that was shown before


def test_an_empty_body_is_no_proof_of_absence(reddit: RedditReplay) -> None:
    post = make_post()
    reddit.answers["/api/info"] = [Answer(body=b"")]
    for _ in range(3):
        with pytest.raises(RedditError):
            refresh()
    assert content(post)[0] == "A title"
    assert post.missing_count == 0


def test_a_stop_comes_between_requests(reddit: RedditReplay) -> None:
    for _ in range(150):
        make_post()
    with pytest.raises(Stop):
        refresh_stored_content(StopAtSecondCheckpoint())
    assert RedditPost.objects.filter(checked_at__isnull=False).count() == 100


def test_a_row_purged_meanwhile_does_not_come_back(
    reddit: RedditReplay, monkeypatch: pytest.MonkeyPatch
) -> None:
    purged, survivor = make_post(), make_post()
    known(reddit, purged)
    known(reddit, survivor, title="New")
    doomed = RedditPost.objects.filter(pk=purged.pk)
    save = sweep.save

    def purge_then_save(*args: Any) -> list[str]:
        doomed.delete()
        return save(*args)

    monkeypatch.setattr(sweep, "save", purge_then_save)
    refresh()
    assert [post.title for post in RedditPost.objects.all()] == ["New"]


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
    # What is ours stays; a user's own subreddit is named no more.
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
def test_what_a_closed_subreddit_hides_is_no_tombstone(
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


def test_a_subreddit_that_could_not_be_asked_for_hides_nothing(
    reddit: RedditReplay, monkeypatch: pytest.MonkeyPatch
) -> None:
    items = [make_full_post(subreddit="closing"), make_full_post(subreddit="open")]
    known(reddit, items[1])
    missed(items[0])
    reddit.answers["/r/closing/about"] = [Answer(429, {"retry-after": "600"}, b"")]
    counts: Counter[str] = Counter()
    with pytest.raises(OutOfBudget):
        refresh_stored_content(SilentProgress(), counts=counts)
    assert counts["requests"] == 2  # who is interrupted has asked all the same
    for item in items:
        item.refresh_from_db()
    assert (items[0].state, items[0].missing_count, items[0].title) == (ContentState.LIVE, 1, "A title")
    checked_before = items[0].checked_at
    del reddit.answers["/r/closing/about"]
    RequestBudget.objects.update(blocked_until=None)
    assert refresh()["tombstoned"] == 1
    items[0].refresh_from_db()
    assert items[0].checked_at != checked_before


def test_a_subreddit_that_opens_again_shows_what_is_really_gone(reddit: RedditReplay) -> None:
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


def test_a_second_sweep_changes_nothing(reddit: RedditReplay) -> None:
    posts = [make_full_post() for _ in range(4)]
    known(reddit, posts[0])
    known(reddit, posts[1], removed_by_category="moderator")
    known(reddit, posts[2], author="[deleted]")
    for _ in range(2):
        refresh()
        later(hours=7)

    def rows() -> list[dict[str, Any]]:
        moving = ("checked_at", "last_seen_at")
        return [
            {name: value for name, value in row.items() if name not in moving}
            for row in RedditPost.objects.order_by("pk").values()
        ]

    before = rows()
    assert refresh() == {"requests": 1, "checked": 4, "unchanged": 4}
    assert rows() == before


def test_an_account_that_is_back_counts_as_restored(reddit: RedditReplay) -> None:
    post = make_post(author="", author_fullname="", is_author_deleted=True, created_at=timezone.now())
    known(reddit, post)
    assert refresh() == {"requests": 1, "checked": 1, "restored": 1}
    post.refresh_from_db()
    assert (post.author, post.is_author_deleted) == ("somebody", False)


def test_a_scrape_while_the_answer_is_under_way_knows_better(
    reddit: RedditReplay, monkeypatch: pytest.MonkeyPatch
) -> None:
    post, other = make_full_post(), make_full_post()
    known(reddit, post)
    known(reddit, other)
    save = sweep.save

    def scrape_then_save(*args: Any) -> list[str]:
        deleted = raw_post(id=post.id36, removed_by_category="deleted")
        if args[0] is RedditPost:
            store_posts([deleted], session=None, seen_at=timezone.now())
        return save(*args)

    monkeypatch.setattr(sweep, "save", scrape_then_save)
    refresh()
    assert not any(content(post))
    assert (post.state, content(other)[0]) == (ContentState.DELETED_BY_AUTHOR, "A title")


def test_an_item_seen_by_a_clock_that_is_ahead_does_not_block_the_queue(reddit: RedditReplay) -> None:
    ahead, other = make_full_post(last_seen_at=timezone.now() + timedelta(hours=1)), make_full_post()
    for item in (ahead, other):
        known(reddit, item, removed_by_category="deleted")
    assert refresh() == {"requests": 1, "checked": 2, "deleted": 1, "unchanged": 1}
    assert not any(content(other))
    assert content(ahead)[0] == "A title"
    assert ahead.checked_at is not None


def test_a_page_that_was_long_under_way_brings_nothing_back(reddit: RedditReplay) -> None:
    post, survivor = make_full_post(), make_full_post()
    listed_at = timezone.now()
    for item in (post, survivor):
        known(reddit, item, removed_by_category="deleted" if item is post else None)
    refresh()
    pages = [raw_post(id=item.id36, score=99) for item in (post, survivor)]
    stored = store_posts(pages, session=None, seen_at=listed_at)
    assert (stored.found, stored.new, stored.changed) == (2, 0, 0)
    assert not any(content(post))
    assert post.state == ContentState.DELETED_BY_AUTHOR
    # The next sight is a new one.
    store_posts(pages, session=None, seen_at=timezone.now())
    assert content(post)[0] == "A title"


def test_a_request_costs_a_fixed_number_of_statements(reddit: RedditReplay) -> None:
    def statements(items: int) -> int:
        for number in range(items):
            post = make_full_post(checked_at=timezone.now())
            known(reddit, post, **({"removed_by_category": "deleted"} if number % 3 == 0 else {}))
        with CaptureQueriesContext(connection) as captured:
            assert refresh(max_requests=1)["checked"] == items
        RedditPost.objects.all().delete()
        # Without the budget's and their transactions: it is drawn on in portions.
        verbs = ("SELECT", "INSERT", "UPDATE", "DELETE", "WITH")
        return sum(
            query["sql"].lstrip().startswith(verbs) and "requestbudget" not in query["sql"]
            for query in captured
        )

    statements(1)  # signs in
    assert statements(90) == statements(12)


# --- How well it keeps up ------------------------------------------------------------------------


def test_with_nothing_stored_there_is_no_coverage() -> None:
    assert coverage().percent is None
    assert not coverage().is_below_target


def test_coverage_counts_posts_and_comments_verified_in_the_last_48_hours(settings: Settings) -> None:
    now = timezone.now()
    with time_machine.travel(now, tick=False):
        post = make_post(checked_at=now - timedelta(hours=48))
        make_comment(post, checked_at=now)
        make_comment(post, checked_at=now - timedelta(hours=48, microseconds=1))
        make_comment(post, checked_at=None)
        settings.COMPLIANCE_TARGET_PERCENT = 50
        assert coverage().percent == 50
        assert not coverage().is_below_target
        settings.COMPLIANCE_TARGET_PERCENT = 50.1
        assert coverage().is_below_target


def test_without_the_environments_app_an_active_configs_app_is_used(
    reddit: RedditReplay, settings: Settings
) -> None:
    known(reddit, make_post())
    settings.REDDIT_CLIENT_ID = ""
    with pytest.raises(RedditNotConfigured):
        refresh()
    apps = [
        RedditApp.objects.create(
            name=name, client_id=name, client_secret="s", user_agent="test:agent:1 (by /u/x)"
        )
        for name in ("idle", "busy")
    ]
    busy = make_config(app=apps[1])
    make_config(app=apps[0], is_active=False)
    make_config(
        app=RedditApp.objects.create(name="s", client_id="sandbox", user_agent="test:agent:1 (by /u/x)")
    )
    assert refresh()["checked"] == 1
    assert reddit.requests[0].headers["Authorization"] == "Basic YnVzeTpz"  # busy:s
    # Content is verified though no bot is active.
    busy.delete()
    reddit.requests.clear()
    assert refresh()["checked"] == 1
    assert reddit.requests[0].headers["Authorization"] == "Basic aWRsZTpz"  # idle:s


def test_comments_are_verified_as_well_as_posts(reddit: RedditReplay) -> None:
    post = make_post()
    for _ in range(120):
        known(reddit, make_comment(post))
    known(reddit, post)
    assert refresh()["checked"] == 121
    assert RedditComment.objects.filter(checked_at__isnull=False).count() == 120
