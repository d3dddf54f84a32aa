"""The requests of a sweep, their order, and interruptions."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from pytest_django import Settings

from scraping.compliance import saving, sweep
from scraping.compliance.sweep import refresh_stored_content
from scraping.content.storage import store_posts
from scraping.models import ContentState, RedditApp, RedditComment, RedditPost
from scraping.progress import SilentProgress
from scraping.reddit.errors import RedditError, RedditNotConfigured
from tests.kit.scraped import make_comment, make_config, make_post, raw_post
from tests.scraping.compliance.stored import LONG_AGO, content, known, make_full_post, refresh, shown
from tests.scraping.reddit_replay import Answer, RedditReplay, listing, thing
from tests.scraping.sweeps import later

pytestmark = pytest.mark.django_db


class Stop(BaseException):
    """The worker must stop."""


class StopAtSecondCheckpoint(SilentProgress):
    def __init__(self) -> None:
        self.checkpoints = 0

    def checkpoint(self) -> None:
        self.checkpoints += 1
        if self.checkpoints == 2:
            raise Stop


def test_with_nothing_stored_no_request_is_sent(reddit: RedditReplay, settings: Settings) -> None:
    assert refresh() == {}
    assert reddit.requests == []
    settings.REDDIT_CLIENT_ID = ""
    assert refresh() == {}


@pytest.mark.slow
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


@pytest.mark.slow
def test_each_item_is_verified_once_within_the_request_limit(reddit: RedditReplay) -> None:
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


@pytest.mark.slow
@pytest.mark.parametrize(
    "stranger", [None, {"kind": "t3"}, {"kind": "t3", "data": {}}, {"kind": "t5", "data": {"name": "t5_a"}}]
)
def test_an_answer_with_an_unassignable_child_proves_no_item_missing(
    reddit: RedditReplay, stranger: Any
) -> None:
    post, gone = make_post(), make_post()
    deleted = raw_post(id=gone.id36, removed_by_category="deleted")
    reddit.answers["/api/info"] = [Answer.of(listing([stranger, thing(deleted)]))]
    assert refresh() == {"requests": 1, "checked": 2, "unreadable": 1, "deleted": 1}
    refresh()
    assert content(post)[0] == "A title"
    assert post.missing_count == 0


@pytest.mark.slow
def test_a_failing_request_keeps_earlier_results(reddit: RedditReplay) -> None:
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


@pytest.mark.slow
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
    to_delete = RedditPost.objects.filter(pk=purged.pk)
    save = saving.save

    def purge_then_save(*args: Any) -> Any:
        to_delete.delete()
        return save(*args)

    monkeypatch.setattr(sweep, "save", purge_then_save)
    refresh()
    assert [post.title for post in RedditPost.objects.all()] == ["New"]


@pytest.mark.slow
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


def test_a_scrape_during_the_request_has_the_newer_data(
    reddit: RedditReplay, monkeypatch: pytest.MonkeyPatch
) -> None:
    post, other = make_full_post(), make_full_post()
    known(reddit, post)
    known(reddit, other)
    save = saving.save

    def scrape_then_save(*args: Any) -> Any:
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


def test_a_late_page_restores_no_deleted_content(reddit: RedditReplay) -> None:
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
    # The next time it is listed, it is a new post.
    store_posts(pages, session=None, seen_at=timezone.now())
    assert content(post)[0] == "A title"


@pytest.mark.slow
def test_a_request_costs_a_fixed_number_of_statements(reddit: RedditReplay) -> None:
    def statements(items: int) -> int:
        for number in range(items):
            post = make_full_post(checked_at=timezone.now())
            known(reddit, post, **({"removed_by_category": "deleted"} if number % 3 == 0 else {}))
        with CaptureQueriesContext(connection) as captured:
            assert refresh(max_requests=1)["checked"] == items
        RedditPost.objects.all().delete()
        # Without the statements of the budget, which is used in portions.
        verbs = ("SELECT", "INSERT", "UPDATE", "DELETE", "WITH")
        return sum(
            query["sql"].lstrip().startswith(verbs) and "requestbudget" not in query["sql"]
            for query in captured
        )

    statements(1)  # signs in
    assert statements(90) == statements(12)


@pytest.mark.slow
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
    # Content is verified even if no bot is active.
    busy.delete()
    reddit.requests.clear()
    assert refresh()["checked"] == 1
    assert reddit.requests[0].headers["Authorization"] == "Basic aWRsZTpz"  # idle:s


@pytest.mark.slow
def test_comments_are_verified_as_well_as_posts(reddit: RedditReplay) -> None:
    post = make_post()
    for _ in range(120):
        known(reddit, make_comment(post))
    known(reddit, post)
    assert refresh()["checked"] == 121
    assert RedditComment.objects.filter(checked_at__isnull=False).count() == 120
