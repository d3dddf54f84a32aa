"""What is deleted on Reddit is deleted here."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone
from pytest_django import Settings

from scraping import compliance
from scraping.compliance import refresh_stored_content
from scraping.models import ContentState, RedditApp, RedditComment, RedditContent, RedditPost
from scraping.progress import SilentProgress
from scraping.reddit import RedditError, RedditNotConfigured
from tests.scraping.factories import make_comment, make_config, make_post, raw_comment, raw_post
from tests.scraping.reddit_replay import Answer, RedditReplay, listing, thing

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
    counts = refresh_stored_content(SilentProgress(), **limits)
    return {name: count for name, count in counts.items() if count}


def known(reddit: RedditReplay, item: RedditContent, **changes: Any) -> None:
    """Let /api/info know the item, as stored but for the changes."""
    raw = (
        raw_post(id=item.id36)
        if isinstance(item, RedditPost)
        else raw_comment({"name": item.post.fullname}, id=item.id36)  # type: ignore[attr-defined]  # a RedditComment
    )
    reddit.known[item.fullname] = raw | changes


def content(item: RedditContent) -> list[Any]:
    item.refresh_from_db()
    if isinstance(item, RedditPost):
        return [item.title, item.body, item.url, item.permalink, item.domain, item.flair, item.media]
    return [item.body]


def make_full_post(**fields: Any) -> RedditPost:
    return make_post(**{"domain": "a.b", "flair": "news", "media": {"thumbnail": "https://a.b/c"}} | fields)


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
    known(reddit, survivor, domain="a.b", link_flair_text="news", thumbnail="https://a.b/c", is_self=False)
    assert refresh()[outcome] == 1
    assert not any(content(gone))
    assert gone.state == state
    assert all(content(survivor))
    assert survivor.state == ContentState.LIVE


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
    assert refresh() == {"requests": 1, "checked": 3, "tombstoned": 2, "unchanged": 1}
    for item in (post, comment):
        assert not any(content(item))
        assert (item.author, item.author_fullname, item.state) == ("", "", ContentState.MISSING)
    assert content(survivor)[0] == "A title"
    assert refresh() == {"requests": 1, "checked": 3, "unchanged": 3}


def test_missing_now_and_then_is_not_twice_in_a_row(reddit: RedditReplay) -> None:
    post = make_post()
    for _ in range(2):
        reddit.known.clear()
        assert refresh()["missing"] == 1
        known(reddit, post)
        refresh()
    assert content(post)[0] == "A title"
    assert post.missing_count == 0


@pytest.mark.parametrize("state", [ContentState.MISSING, ContentState.REMOVED_BY_MODERATOR])
def test_what_reddit_shows_again_comes_back(reddit: RedditReplay, state: ContentState) -> None:
    post = make_post(state=state, title="", body="", url="", permalink="", author="", missing_count=2)
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
    known(reddit, post, created_utc="never")
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
    for _ in range(150):
        make_post()
    reddit.answers["/api/info"] = [Answer.of(listing([])), Answer(503), Answer(503), Answer(503)]
    with pytest.raises(RedditError, match="503"):
        refresh()
    assert RedditPost.objects.filter(checked_at=None).count() == 50
    assert RedditPost.objects.filter(missing_count=1).count() == 100


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
    assert RedditPost.objects.filter(missing_count=1).count() == 100


def test_a_row_purged_meanwhile_does_not_come_back(
    reddit: RedditReplay, monkeypatch: pytest.MonkeyPatch
) -> None:
    purged, survivor = make_post(), make_post()
    known(reddit, purged)
    known(reddit, survivor, title="New")
    doomed = RedditPost.objects.filter(pk=purged.pk)
    save = compliance._save

    def purge_then_save(*args: Any) -> None:
        doomed.delete()
        save(*args)

    monkeypatch.setattr(compliance, "_save", purge_then_save)
    refresh()
    assert [post.title for post in RedditPost.objects.all()] == ["New"]


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
    make_config(app=apps[0], is_active=False)
    make_config(app=apps[1])
    assert refresh()["checked"] == 1
    assert reddit.requests[0].headers["Authorization"] == "Basic YnVzeTpz"  # busy:s


def test_comments_are_verified_as_well_as_posts(reddit: RedditReplay) -> None:
    post = make_post()
    for _ in range(120):
        known(reddit, make_comment(post))
    known(reddit, post)
    assert refresh()["checked"] == 121
    assert RedditComment.objects.filter(checked_at__isnull=False).count() == 120
