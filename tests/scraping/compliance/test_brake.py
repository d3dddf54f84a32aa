"""A sweep accepts no implausible answer, and no single item stops it."""

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

import pytest
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.utils import timezone

from audit.models import Event
from scraping.compliance import brake
from scraping.compliance.coverage import coverage
from scraping.compliance.sweep import Swept, refresh_stored_content
from scraping.models import ContentState, Doubt, RedditContent, RedditPost, SetAside, SweepTally
from scraping.progress import SilentProgress
from tests.kit import factories
from tests.kit.scraped import make_comment, make_post, raw_comment, raw_post
from tests.scraping.reddit_replay import Answer, RedditReplay, listing
from tests.scraping.sweeps import later, missed

pytestmark = pytest.mark.django_db

EMPTY = [Answer.of(listing([]))]
OPEN = Answer.of({"kind": "t5", "data": {}})
BANNED = Answer(404, {}, b'{"reason": "banned", "message": "Not Found", "error": 404}')


@pytest.fixture(autouse=True)
def _open_subreddit(reddit: RedditReplay) -> None:
    reddit.answers["/r/python/about"] = [OPEN]


def sweep(**limits: Any) -> Swept:
    return refresh_stored_content(SilentProgress(), **limits)


def counted(swept: Swept, *names: str) -> tuple[int, ...]:
    return tuple(swept.counts[name] for name in names)


def stored(number: int, **fields: Any) -> list[RedditPost]:
    return [make_post(**{"created_at": timezone.now()} | fields) for _ in range(number)]


def show(reddit: RedditReplay, posts: Iterable[RedditPost], **changes: Any) -> None:
    for post in posts:
        reddit.known[post.fullname] = raw_post(id=post.id36, subreddit=post.subreddit) | changes


def live(posts: Iterable[RedditContent]) -> int:
    """Return how many still have their content."""
    return RedditPost.objects.filter(
        pk__in=[post.pk for post in posts], state="live", title="A title"
    ).count()


def poison(reddit: RedditReplay, monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    answer = reddit._answer

    def poisoned(asked: Any) -> Answer:
        is_bad = any(name in asked.query.get("id", "").split(",") for name in names)
        return Answer(500) if is_bad else answer(asked)

    monkeypatch.setattr(reddit, "_answer", poisoned)


# --- One bad item ----------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("places", [(0,), (57,), (129,), (3, 4)])
def test_an_item_at_which_every_request_fails_is_named_and_the_others_are_verified(
    reddit: RedditReplay, monkeypatch: pytest.MonkeyPatch, places: tuple[int, ...]
) -> None:
    posts = stored(130)
    show(reddit, posts)
    deleted = posts[70]
    show(reddit, [deleted], removed_by_category="deleted")
    bad = [posts[place] for place in places]
    poison(reddit, monkeypatch, *(post.fullname for post in bad))

    # More requests than a sweep makes by default: items never verified come in any order, and two bad ones that are
    # far apart take up to 27.
    first = sweep(max_requests=40)

    assert counted(first, "failing", "deleted", "checked") == (len(bad), 1, 130)
    assert all(any(post.fullname in problem for problem in first.problems) for post in bad)
    assert live(bad) == len(bad)
    assert first.counts["requests"] < 2 + len(bad) * 17
    # After the others and alone, so that it does not affect them any more.
    later(hours=1)
    second = sweep()
    assert counted(second, "failing", "checked", "requests") == (0, 130 - len(bad), 2)
    later(hours=6)
    third = sweep()
    assert counted(third, "failing") == (len(bad),)
    assert {doubt.times for doubt in Doubt.objects.all()} == {2}
    assert coverage().percent == pytest.approx(100 * (130 - len(bad)) / 130)


def test_an_item_that_stops_failing_is_verified_and_forgotten(
    reddit: RedditReplay, monkeypatch: pytest.MonkeyPatch
) -> None:
    posts = stored(3)
    show(reddit, posts)
    with monkeypatch.context() as patch:
        poison(reddit, patch, posts[0].fullname)
        assert counted(sweep(), "failing") == (1,)
    later(hours=7)
    assert counted(sweep(), "failing") == (0,)
    assert not Doubt.objects.exists()


# --- Answers that prove nothing --------------------------------------------------------------


@pytest.mark.slow
def test_empty_answers_blank_nothing_however_often_they_come(reddit: RedditReplay) -> None:
    held = stored(1, held_at=timezone.now(), hold_reason="evidence")
    posts = [*stored(250), *held]
    show(reddit, posts)
    reddit.answers["/api/info"] = EMPTY

    assert counted(sweep(), "suspect", "tombstoned", "missing") == (251, 0, 0)
    swept = sweep()
    assert counted(swept, "checked", "tombstoned") == (0, 0)  # seconds apart: nothing is due
    later(hours=1.1)
    swept = sweep()
    assert counted(swept, "suspect", "tombstoned", "missing") == (251, 0, 0)

    assert live(posts) == 251
    assert coverage().percent == 0  # an item requested without a result is not verified
    assert any("nearly all" in problem for problem in swept.problems)
    del reddit.answers["/api/info"]
    later(hours=1)
    assert counted(sweep(), "suspect", "missing") == (0, 0)
    assert live(posts) == 251
    assert not Doubt.objects.exists()


@pytest.mark.slow
def test_a_missing_item_among_suspects_is_found_in_a_mixed_request(reddit: RedditReplay) -> None:
    gone, others = stored(20), stored(60)
    show(reddit, others)
    soon = timezone.now() + timedelta(minutes=1)
    RedditPost.objects.filter(pk__in=[post.pk for post in others]).update(checked_at=soon)
    assert counted(sweep(), "suspect", "missing") == (20, 0)  # by themselves
    later(hours=2)
    assert counted(sweep(), "suspect", "missing") == (0, 20)
    assert live(gone) == 20
    later(hours=7)
    assert counted(sweep(), "tombstoned") == (20,)
    assert live(gone) == 0
    assert live(others) == 60


@pytest.mark.slow
def test_an_empty_reddit_is_accepted_in_the_end_but_not_for_a_hundred_items(reddit: RedditReplay) -> None:
    posts = stored(120)
    for _ in range(14):
        sweep()
        later(hours=6.1)
    assert live(posts) == 120
    aside = SetAside.objects.get()
    assert (aside.cause, aside.state, aside.items) == ("missing", "open", 120)


@pytest.mark.slow
def test_few_items_are_blanked_in_the_end_even_if_they_are_all(reddit: RedditReplay) -> None:
    posts = stored(5)
    for _ in range(8):
        sweep()
        later(hours=6.1)
    assert live(posts) == 0
    assert not SetAside.objects.exists()


@pytest.mark.slow
def test_the_same_mark_on_all_items_of_an_answer_is_suspect(reddit: RedditReplay) -> None:
    posts = stored(200)
    show(reddit, posts, removed_by_category="moderator")
    assert counted(sweep(), "removed", "suspect") == (0, 200)
    assert live(posts) == 200
    show(reddit, posts)
    later(hours=2)
    assert counted(sweep(), "removed", "suspect") == (0, 0)
    assert live(posts) == 200


@pytest.mark.slow
def test_marks_on_single_items_are_applied_at_once_however_many(reddit: RedditReplay) -> None:
    posts = stored(400)
    show(reddit, posts)
    show(reddit, posts[::3], removed_by_category="deleted")
    show(reddit, posts[1::3], removed_by_category="moderator")
    swept = sweep()
    assert counted(swept, "deleted", "removed", "set_aside") == (134, 133, 0)
    assert live(posts) == 133


@pytest.mark.slow
def test_many_items_that_stay_marked_alike_wait_for_a_person(reddit: RedditReplay) -> None:
    # Posts never verified come first: their answers say the same of all 100.
    posts, others = stored(200), stored(300, checked_at=timezone.now() - timedelta(days=1))
    show(reddit, others)
    show(reddit, posts, removed_by_category="moderator")
    sweep()
    later(hours=2)
    swept = sweep()
    assert swept.counts["set_aside"] > 0
    later(hours=14)
    sweep()
    aside = SetAside.objects.get()
    assert (aside.cause, aside.scope, aside.items) == ("marked", "removed", Doubt.objects.count())
    assert live(posts) == aside.items
    brake.decide(aside, is_right=True, by=factories.superuser())
    for _ in range(3):
        sweep()
    assert live(posts) == 0
    assert live(others) == 300


# --- The brake -------------------------------------------------------------------------------


def lose(reddit: RedditReplay, *, gone: int, others: int) -> tuple[list[RedditPost], list[RedditPost]]:
    """Return old posts, of which Reddit leaves out some for the second time, seven hours after the first."""
    old = timezone.now() - timedelta(days=30)
    lost, kept = stored(gone, created_at=old), stored(others, created_at=old)
    show(reddit, kept)
    # One after the other, as they were stored: no answer leaves out nearly all.
    for number, post in enumerate([*lost, *kept]):
        share = number % gone if number < gone else (number - gone) * gone / others
        RedditPost.objects.filter(pk=post.pk).update(
            checked_at=timezone.now() - timedelta(days=9) + timedelta(seconds=share)
        )
    assert counted(sweep(max_requests=100), "missing") == (gone,)
    later(hours=7)
    return lost, kept


@pytest.mark.slow
def test_far_more_than_usual_waits_for_a_person_and_nothing_else_does(reddit: RedditReplay) -> None:
    lost, kept = lose(reddit, gone=120, others=360)
    show(reddit, kept[:1], removed_by_category="deleted")
    comment = make_comment(kept[1])
    reddit.known[comment.fullname] = raw_comment({"name": comment.post.fullname}, id=comment.id36)

    swept = sweep()

    assert counted(swept, "set_aside", "tombstoned", "deleted") == (120, 0, 1)
    assert any("a person must decide" in problem for problem in swept.problems)
    assert live(lost) == 120
    aside = SetAside.objects.get()
    assert (aside.cause, aside.scope, aside.items) == ("missing", "2", 120)
    assert (aside.gone, aside.checked, aside.usual_share) == (120, 480, 0.01)
    # Later sweeps run, and set nothing aside twice.
    later(hours=13)
    assert counted(sweep(), "set_aside", "tombstoned") == (120, 0)
    aside.refresh_from_db()
    assert aside.items == 120


def test_a_decision_that_is_made_while_a_sweep_sets_items_aside_stays(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    person = factories.user("scraping.decide_setaside")
    with transaction.atomic():
        made = brake._set_aside(SetAside.Cause.MARKED, "removed", items=120, is_usual=False)
    assert made is not None
    save = SetAside.save

    def decided_before(row: SetAside, *args: Any, **options: Any) -> None:
        monkeypatch.setattr(SetAside, "save", save)
        brake.decide(row, is_right=True, by=person)
        save(row, *args, **options)

    monkeypatch.setattr(SetAside, "save", decided_before)
    with transaction.atomic():
        brake._set_aside(SetAside.Cause.MARKED, "removed", items=5, is_usual=False)

    made.refresh_from_db()
    assert (made.state, made.decided_by, made.items) == ("confirmed", person, 125)
    # The wave goes on: what a person has confirmed needs no second decision.
    with transaction.atomic():
        assert brake._set_aside(SetAside.Cause.MARKED, "removed", items=5, is_usual=False) is None


@pytest.mark.slow
def test_fewer_than_a_hundred_items_are_not_set_aside(reddit: RedditReplay) -> None:
    lost, kept = lose(reddit, gone=90, others=270)
    assert counted(sweep(), "set_aside", "tombstoned") == (0, 90)
    assert (live(lost), live(kept)) == (0, 270)


@pytest.mark.slow
def test_the_usual_share_is_learnt_from_earlier_sweeps(reddit: RedditReplay) -> None:
    SweepTally.objects.create(swept_at=timezone.now() - timedelta(days=3), age=2, checked=1000, missing=300)
    lost, _kept = lose(reddit, gone=120, others=360)
    assert counted(sweep(), "set_aside", "tombstoned") == (0, 120)
    assert live(lost) == 0


@pytest.mark.slow
def test_reddit_is_right_blanks_items_still_missing(reddit: RedditReplay) -> None:
    lost, kept = lose(reddit, gone=120, others=360)
    sweep()
    show(reddit, lost[:1])  # it is back meanwhile
    person = factories.user("scraping.decide_setaside", username="decider")

    assert brake.decide(SetAside.objects.get(), is_right=True, by=person) == 120
    for _ in range(3):
        sweep()

    assert (live(lost), live(kept)) == (1, 360)
    assert not Doubt.objects.exists()
    event = Event.objects.get()
    assert (event.verb, event.actor, event.after["items"]) == ("setaside.confirmed", person, 120)


@pytest.mark.slow
def test_ask_again_starts_the_verification_over(reddit: RedditReplay) -> None:
    lost, _kept = lose(reddit, gone=120, others=360)
    sweep()
    brake.decide(SetAside.objects.get(), is_right=False, by=factories.superuser())
    show(reddit, lost)
    for _ in range(3):
        sweep()
    assert live(lost) == 120
    assert SetAside.objects.get().state == "asked_again"
    assert not Doubt.objects.exists()


@pytest.mark.slow
def test_items_that_reddit_shows_again_need_no_decision(reddit: RedditReplay) -> None:
    lost, _kept = lose(reddit, gone=120, others=360)
    sweep()
    show(reddit, lost)
    later(hours=13)
    for _ in range(3):
        sweep()
    assert SetAside.objects.get().state == "returned"
    assert live(lost) == 120


def test_nobody_decides_without_the_permission_nor_twice(reddit: RedditReplay) -> None:
    aside = SetAside.objects.create(cause="closed", scope="python", items=100)
    with pytest.raises(PermissionDenied):
        brake.decide(aside, is_right=True, by=factories.user("scraping.view_setaside"))
    brake.decide(aside, is_right=True, by=factories.superuser())
    with pytest.raises(brake.AlreadyDecided):
        brake.decide(aside, is_right=False, by=factories.superuser())
    aside.refresh_from_db()
    assert aside.state == "confirmed"


@pytest.mark.slow
@pytest.mark.parametrize(("posts", "outcome"), [(99, "tombstoned"), (100, "set_aside")])
def test_a_big_subreddit_reported_as_banned_waits_for_a_person(
    reddit: RedditReplay, posts: int, outcome: str
) -> None:
    reddit.answers["/r/closing/about"] = [BANNED]
    items, others = stored(posts, subreddit="closing"), stored(150, subreddit="open")
    show(reddit, others)
    for item in items:
        missed(item)

    sweep()

    assert live(items) == (0 if outcome == "tombstoned" else posts)
    assert live(others) == 150
    if outcome == "set_aside":
        aside = SetAside.objects.get()
        assert (aside.cause, aside.scope, aside.items, str(aside)) == ("closed", "closing", 100, "r/closing")
        brake.decide(aside, is_right=True, by=factories.superuser())
        for _ in range(2):
            sweep()
        assert live(items) == 0
        assert RedditPost.objects.filter(state=ContentState.MISSING).count() == 100


@pytest.mark.slow
def test_a_hold_does_not_exempt_a_post_from_deletions_on_reddit(reddit: RedditReplay) -> None:
    held = stored(2, held_at=timezone.now(), hold_reason="evidence")
    others = stored(150)
    show(reddit, [*held, *others])
    show(reddit, held[:1], removed_by_category="deleted")
    reddit.answers["/api/info"] = EMPTY
    sweep()
    assert live(held) == 2
    del reddit.answers["/api/info"]
    later(hours=2)
    sweep()
    sweep()
    assert live(held) == 1
    held[0].refresh_from_db()
    assert (held[0].state, held[0].hold_reason) == ("author", "evidence")
