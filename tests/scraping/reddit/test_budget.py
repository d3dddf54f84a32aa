"""The request budget: portions, headers, 429s, turns, and many workers on one client id."""

import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connections
from django.db.models.functions import Now
from django.utils import timezone
from hypothesis import example, given
from hypothesis import strategies as st

from scraping.models import RequestBudget
from scraping.reddit import budget
from scraping.reddit.budget import Allowance, Exhausted, Portion, RateHeaders, State
from scraping.reddit.client import client_for
from scraping.reddit.comment_walk import Reach
from scraping.reddit.errors import OutOfBudget
from tests.kit.scraped import raw_comment, raw_post
from tests.scraping.reddit_replay import Answer, Asked, RedditReplay, listing

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def state(**fields: Any) -> State:
    values: dict[str, Any] = {
        "now": NOW, "window_requests": 1000, "window": 1, "ends_at": NOW + timedelta(seconds=300),
        "is_confirmed": True, "used": 0, "used_by_compliance": 0, "leased": 0, "blocked_until": None,
    }  # fmt: skip
    return State(**values | fields)


@pytest.fixture
def patient(reddit: RedditReplay, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budget, "PATIENCE_SECONDS", 10.0)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budget, "PATIENCE_SECONDS", 0.0)


# --- The arithmetic -------------------------------------------------------------------------------


def test_a_portion_is_set_aside_until_it_is_settled() -> None:
    given_, portion = state().given(8, for_compliance=False)
    assert portion == Portion(8, window=1, seconds=300.5)
    assert (given_.leased, given_.used, given_.free(for_compliance=True)) == (8, 0, 992)
    settled = given_.after_headers(RateHeaders(5, 995, 300), seconds_ago=0).settled(
        portion, spent=5, unconfirmed=0, for_compliance=False
    )
    assert (settled.leased, settled.used) == (0, 5)


def test_unconfirmed_requests_stay_reserved() -> None:
    given_, portion = state().given(8, for_compliance=False)
    assert portion is not None
    unconfirmed = given_.settled(portion, spent=3, unconfirmed=3, for_compliance=False)
    assert (unconfirmed.leased, unconfirmed.used) == (3, 0)


def test_requests_of_other_programs_count() -> None:
    headers = state(used=10).after_headers(RateHeaders(700, 300, 299), seconds_ago=0)
    assert (headers.used, headers.window_requests) == (700, 1000)
    assert (
        headers.after_headers(RateHeaders(600, 400, 299), seconds_ago=0).used == 700
    )  # an answer that was overtaken


def test_scrapes_leave_compliance_its_share() -> None:
    full = state(used=900)
    assert full.given(8, for_compliance=False)[1] is None
    some, portion = full.given(8, for_compliance=True)
    assert portion is not None
    # The used part of the compliance share is no longer reserved, but it is used up.
    assert some.free(for_compliance=False) == 0
    assert state(used=900, used_by_compliance=60).free(for_compliance=False) == 60


def test_a_window_that_is_over_ends_with_its_portions() -> None:
    full, portion = state(used=992, used_by_compliance=100).given(8, for_compliance=False)
    assert portion is not None
    later = replace(full, now=full.ends_at + timedelta(seconds=1)).rolled()
    assert (later.window, later.used, later.leased, later.is_confirmed) == (2, 0, 0, False)
    assert later.settled(portion, spent=8, unconfirmed=8, for_compliance=False) == later


def test_a_window_is_over_only_after_a_margin() -> None:
    full = state(now=NOW + timedelta(seconds=300.4), used=1000)
    assert full.rolled() == full


def test_headers_give_the_end_of_the_window() -> None:
    guessed = state(is_confirmed=False, ends_at=NOW + timedelta(seconds=600))
    confirmed = guessed.after_headers(RateHeaders(1, 999, 42), seconds_ago=2)
    assert (confirmed.ends_at, confirmed.is_confirmed) == (NOW + timedelta(seconds=40), True)
    # Headers give whole seconds, so the latest end is right.
    assert confirmed.after_headers(RateHeaders(2, 998, 41), seconds_ago=0).ends_at == NOW + timedelta(
        seconds=41
    )
    assert confirmed.after_headers(RateHeaders(2, 998, 39), seconds_ago=0).ends_at == NOW + timedelta(
        seconds=40
    )


def test_a_header_of_the_next_window_opens_it() -> None:
    next_ = state(used=1000, leased=16).after_headers(RateHeaders(3, 997, 598), seconds_ago=0)
    assert (next_.window, next_.used, next_.leased) == (2, 3, 0)
    assert next_.ends_at == NOW + timedelta(seconds=598)


def test_a_header_of_an_earlier_window_is_ignored() -> None:
    assert state().after_headers(RateHeaders(999, 1, 5), seconds_ago=30) == state()
    # A portion settled in the same second in which the window ends.
    assert (
        state(ends_at=NOW + timedelta(seconds=599)).after_headers(RateHeaders(999, 1, 1), seconds_ago=0).used
        == 0
    )


def test_a_slow_answer_opens_no_window_and_stops_no_count() -> None:
    slow = state(used=300, leased=8).after_headers(
        RateHeaders(301, 699, 320), seconds_ago=0
    )  # 20 s under way
    assert (slow.window, slow.used, slow.leased) == (1, 301, 8)
    assert slow.after_headers(RateHeaders(400, 600, 300), seconds_ago=0).used == 400


def test_an_impossible_end_is_corrected() -> None:
    wrong = state(ends_at=NOW + timedelta(seconds=900), used=10)
    right = wrong.after_headers(RateHeaders(50, 950, 300), seconds_ago=0)
    assert (right.window, right.used, right.ends_at) == (1, 50, NOW + timedelta(seconds=300))


def test_nothing_is_given_away_after_a_429() -> None:
    blocked = state().blocked(60)
    assert blocked.given(8, for_compliance=True)[1] is None
    assert blocked.blocked(5).blocked_until == blocked.blocked_until  # the longer one stands
    assert state().blocked(10**9).blocked_until == NOW + timedelta(seconds=budget.BLOCK_SECONDS_MAX)


# One worker's older headers are written after another worker has sent requests without getting headers.
LATE_HEADERS = [(0, 8)] * 11 + [(1, 6), (1, 0), (0, 8), (1, 6)]


@pytest.mark.slow
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 12)), max_size=200))
@example(LATE_HEADERS)
def test_no_more_is_ever_sent_than_a_window_holds(events: list[tuple[int, int]]) -> None:
    """Four workers take portions, spend a part, and settle, in any order; a server counts."""
    now, served = state(window_requests=100, is_confirmed=False), 0
    held: list[tuple[Portion, int, RateHeaders | None] | None] = [None] * 4
    for worker, spend in events:
        if (mine := held[worker]) is not None:
            portion, spent, headers = mine
            if headers is not None:
                now = now.after_headers(headers, seconds_ago=0)
            now = now.settled(portion, spent=spent, unconfirmed=0 if headers else spent, for_compliance=False)
        now, given_ = now.given(8, for_compliance=worker == 0)
        held[worker] = None
        if given_ is not None:
            spent = min(spend, given_.requests)
            served += spent
            # Some answers come without headers.
            headers = RateHeaders(served, 100 - served, 300) if spent % 3 else None
            held[worker] = (given_, spent, headers)
        assert served <= 100
    assert now.leased >= 0


# --- The row --------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_an_allowance_writes_the_row_once_per_portion_and_returns_the_rest(
    django_assert_max_num_queries: Any,
) -> None:
    allowance = Allowance("app")
    allowance.take()
    with django_assert_max_num_queries(0):
        for _ in range(budget.PORTION - 1):
            allowance.take()
    assert RequestBudget.objects.get().leased == budget.PORTION
    with django_assert_max_num_queries(2):
        allowance.take()
    allowance.give_back()
    row = RequestBudget.objects.get()
    assert (row.leased, row.used) == (budget.PORTION + 1, 0)  # no headers confirmed them
    allowance.give_back()
    assert RequestBudget.objects.get().version == row.version


@pytest.mark.django_db
def test_the_last_requests_are_given_too(impatient: None) -> None:
    allowance = Allowance("app", for_compliance=True)
    allowance.note(RateHeaders(997, 3, 200))
    for _ in range(3):
        allowance.take()
    with pytest.raises(Exhausted) as exhausted:
        allowance.take()
    assert 199 < exhausted.value.seconds < 201


@pytest.mark.slow
@pytest.mark.django_db
def test_a_worker_waits_if_the_wait_is_short(patient: None) -> None:
    allowance = Allowance("app")
    allowance.note(RateHeaders(1000, 0, 0.3))
    began = time.monotonic()
    allowance.take()
    assert 0.3 < time.monotonic() - began < 5
    assert RequestBudget.objects.get().window == 2


@pytest.mark.django_db
def test_a_portion_ends_with_its_window(patient: None) -> None:
    allowance = Allowance("app")
    allowance.note(RateHeaders(1, 999, -0.3))
    allowance.take()
    RequestBudget.objects.update(is_confirmed=False)
    allowance._expires = time.monotonic()
    RequestBudget.objects.update(ends_at=Now() - timedelta(seconds=5))
    allowance.take()
    assert RequestBudget.objects.get().leased == budget.PORTION
    assert allowance._left == budget.PORTION - 1


@pytest.mark.django_db
def test_a_killed_workers_portion_comes_back_with_the_next_window() -> None:
    Allowance("app").take()  # and it never returns
    RequestBudget.objects.update(ends_at=Now() - timedelta(seconds=1))
    state_now = budget.state_of("app")
    assert state_now is not None
    assert state_now.leased == 0
    assert RequestBudget.objects.get().leased == budget.PORTION  # looking changes nothing


@pytest.mark.django_db
def test_apps_have_budgets_of_their_own(impatient: None) -> None:
    mine, other = Allowance("mine"), Allowance("other")
    mine.note(RateHeaders(1000, 0, 300))
    with pytest.raises(Exhausted):
        mine.take()
    other.take()


# --- Through the client ---------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.django_db
@pytest.mark.parametrize(
    ("headers", "low", "high"),
    [
        ({}, 59, 60),
        ({"Retry-After": "17"}, 16, 17),
        ({"Retry-After": "17.5"}, 16, 18),
        ({"Retry-After": "soon"}, 59, 60),
        ({"x-ratelimit-used": "1000", "x-ratelimit-remaining": "0", "x-ratelimit-reset": "42"}, 41, 43),
        ({"Retry-After": "Fri, 01 Jan 2100 00:00:00 GMT"}, 3598, 3600),
    ],
)
def test_a_429_stops_all_workers_for_the_time_that_reddit_gives(
    reddit: RedditReplay, headers: dict[str, str], low: float, high: float
) -> None:
    reddit.answers["/r/python/new"] = [Answer(429, headers, b"")]
    with client_for(None) as client, pytest.raises(OutOfBudget) as refused:
        client.page("r/python/new", {})
    assert refused.value.is_refusal
    wait = (refused.value.until - timezone.now()).total_seconds()
    assert low - 1 <= wait <= high
    with client_for(None) as another, pytest.raises(OutOfBudget) as told:
        another.page("r/golang/new", {})
    assert not told.value.is_refusal
    assert low - 1 <= (told.value.until - timezone.now()).total_seconds() <= high + 1
    assert reddit.asked(path="golang") == []


@pytest.mark.slow
@pytest.mark.django_db
def test_a_short_429_is_waited_for(reddit: RedditReplay, patient: None) -> None:
    reddit.add_posts("python", [raw_post()])
    good = reddit._answer(_asked("/r/python/new"))
    reddit.answers["/r/python/new"] = [Answer(429, {"Retry-After": "1"}, b""), good]
    with client_for(None) as client:
        assert len(client.page("r/python/new", {}).posts) == 1
        assert client.retries == 1


def _asked(path: str) -> Asked:
    return Asked("GET", path, {}, {}, {})


@pytest.mark.django_db
def test_prawcore_never_paces(reddit: RedditReplay, monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr("prawcore.rate_limit.time.sleep", slept.append)
    headers = {"x-ratelimit-used": "900", "x-ratelimit-remaining": "100.0", "x-ratelimit-reset": "590"}
    reddit.answers["/r/python/new"] = [Answer.of(listing([]), **headers)]
    with client_for(None) as client:
        for _ in range(3):
            client.page("r/python/new", {})
    assert slept == []


# --- Turns ----------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_a_turn_has_one_holder_and_expires_if_the_holder_dies(impatient: None) -> None:
    first, second = Allowance("app"), Allowance("app")
    with first.turn(), pytest.raises(Exhausted), second.turn():
        pass
    with second.turn():
        RequestBudget.objects.update(turn_until=Now() - timedelta(seconds=1))
        with first.turn():
            pass
        # The second worker has lost the turn, and does not take it from the new holder.
    assert RequestBudget.objects.get().turn_holder == ""


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_morechildren_goes_out_one_at_a_time(
    reddit: RedditReplay, patient: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside, most = [0], [0]
    lock = threading.Lock()
    tree_answer = RedditReplay._answer

    def watched(self: RedditReplay, asked: Any) -> Answer:
        if asked.path != "/api/morechildren":
            return tree_answer(self, asked)
        with lock:
            inside[0] += 1
            most[0] = max(most[0], inside[0])
        time.sleep(0.03)
        answer = tree_answer(self, asked)
        with lock:
            inside[0] -= 1
        return answer

    monkeypatch.setattr(RedditReplay, "_answer", watched)
    posts = [raw_post() for _ in range(4)]
    for post in posts:
        reddit.add_tree(post, [raw_comment(post) for _ in range(330)], first=20)

    def walk(post: dict[str, Any]) -> int:
        try:
            with client_for(None) as client:
                pages = client.comments(post["id"], Reach(100, 1000, 10))
                return sum(len(page.comments) for page in pages)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(walk, posts)) == [330] * 4
    assert most == [1]


# --- Many workers ---------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_workers_that_take_at_once_never_take_the_same_request(impatient: None) -> None:
    RequestBudget.objects.create(
        client_id="app", window_requests=200, ends_at=Now() + timedelta(seconds=300), is_confirmed=True
    )

    def work(seed: int) -> int:
        draw, taken = random.Random(seed), 0
        try:
            while True:
                allowance = Allowance("app", for_compliance=seed == 0)
                try:
                    for _ in range(draw.randint(1, 12)):
                        allowance.take()
                        taken += 1
                except Exhausted:
                    return taken
                finally:
                    allowance.give_back()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(6) as pool:
        taken = list(pool.map(work, range(6)))
    assert sum(taken) == 200
    assert taken[0] >= 20
    row = RequestBudget.objects.get()
    assert (row.used, row.leased) == (0, 200)
