import base64
import http.client
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from contextlib import contextmanager
from functools import cache
from itertools import islice

import pytest

# prawcore reads this once, when it is imported.
os.environ.setdefault("PRAWCORE_TIMEOUT", "16")

import praw
import prawcore
import requests
from django.conf import settings
from django.core.management import CommandError, call_command
from prawcore.exceptions import (
    BadJSON,
    Forbidden,
    NotFound,
    OAuthException,
    Redirect,
    RequestException,
    ResponseException,
    ServerError,
    TooManyRequests,
    UnavailableForLegalReasons,
)
from prawcore.sessions import FiniteRetryStrategy

import scraping.sandbox
from scraping.models import SANDBOX_CLIENT_ID
from scraping.sandbox import CLIENT_ID, Action, SandboxReddit, State, UnknownItemError
from scraping.sandbox.access import REQUESTS_PER_WINDOW, WINDOW_SECONDS
from scraping.sandbox.faults import BROKEN, CLOSED
from scraping.sandbox.items import Comment, Post
from tests import recorded
from tests.waiting import wait_until

DAY = 86_400
# 2026-09-21, in the middle of a rate-limit window.
NOW = 1_790_000_000 // WINDOW_SECONDS * WINDOW_SECONDS + WINDOW_SECONDS // 2
PLENTY = 1_000_000  # requests a window: PRAW never waits


class Clock:
    """A clock that stands still until somebody moves it."""

    def __init__(self, now=NOW):
        self.now = float(now)

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def sandbox(clock):
    with SandboxReddit(clock=clock, rate_limit=PLENTY) as server:
        yield server


@contextmanager
def client(server, *, secret="sandbox", **more):
    """A real PRAW client of the server."""
    with requests.Session() as session:
        session.trust_env = False
        yield praw.Reddit(
            client_id="sandbox",
            client_secret=secret,
            user_agent="tests:sandbox:1 (by /u/tests)",
            reddit_url=server.url,
            oauth_url=server.url,
            short_url=server.url,
            check_for_updates=False,
            check_for_async=False,
            requestor_kwargs={"session": session},
            **more,
        )


@pytest.fixture
def reddit(sandbox):
    with client(sandbox) as made:
        yield made


@pytest.fixture
def retries_at_once(monkeypatch):
    """The clock of PRAW's retries, which would wait up to six seconds."""
    monkeypatch.setattr(FiniteRetryStrategy, "_sleep_seconds", lambda self: None)


def call(server, method, path, *, body=None, headers=None):
    """One plain request; return status, headers and text."""
    connection = http.client.HTTPConnection(server.host, server.port, timeout=10)
    try:
        connection.request(method, path, body=body, headers=headers or {})
        answer = connection.getresponse()
        return answer.status, dict(answer.getheaders()), answer.read().decode()
    finally:
        connection.close()


def basic(client_id="sandbox", secret="sandbox"):
    return {"Authorization": "Basic " + base64.b64encode(f"{client_id}:{secret}".encode()).decode()}


def bearer(server, *, client_id="sandbox", secret="sandbox"):
    body = "grant_type=client_credentials"
    text = call(server, "POST", "/api/v1/access_token", body=body, headers=basic(client_id, secret))[2]
    return {"Authorization": "bearer " + json.loads(text)["access_token"]}


def get(server, path):
    """The JSON of a signed-in GET."""
    status, _headers, text = call(server, "GET", path, headers=bearer(server))
    assert status == 200, text
    return json.loads(text)


def live_posts(server, name, *, now=NOW):
    """Every post of a subreddit that can be seen, newest first, without the listings' code."""
    subreddit = server.world.subreddit(name)
    for index in range(server.world.latest(subreddit, now), -1, -1):
        post = server.world.post(subreddit, index)
        if post.state(now) is State.LIVE:
            yield post


def post_with(server, wanted, *, name="sandbox_quiet"):
    """The newest post of which ``wanted`` is true."""
    return next(post for post in live_posts(server, name) if wanted(post))


def much_discussed_post(server, comments):
    """A popular post with more comments than that, none of them below the levels that are shown."""
    posts = server.listings.posts([server.world.subreddit("sandbox_busy")], "top", span="all", now=NOW)
    return next(
        post
        for post in sorted(posts, key=lambda post: post.comment_total)
        if post.comment_count(NOW) > comments and max(post.replies_to[1]) < 10
    )


def visible_comments(post, now=NOW):
    """The fullnames a complete walk finds: all but deleted ones below which nothing lives."""
    parents = post.replies_to[0]
    seen = set()
    for number in range(post.comment_count(now)):
        if post.comment(number).state(now) is State.LIVE:
            while number >= 0:
                seen.add(post.comment(number).fullname)
                number = parents[number]
    return seen


# --- Listings --------------------------------------------------------------------------------


def test_new_lists_the_newest_thousand_in_order_and_no_post_twice(sandbox, reddit):
    listed = [post.fullname for post in reddit.subreddit("python").new(limit=None)]

    everything = [post.fullname for post in islice(live_posts(sandbox, "python"), 1_001)]
    assert len(everything) == 1_001
    assert listed == everything[:1_000]
    pages = [request for request in sandbox.requests if request.path.endswith("/new")]
    assert len(pages) == 10


def test_a_listing_shorter_than_the_cap_ends_with_its_last_post(sandbox, reddit, clock):
    clock.now = scraping.sandbox.items.EPOCH + 42.5 * 21_600

    listed = [post.fullname for post in reddit.subreddit("sandbox_quiet").new(limit=None)]

    assert 30 < len(listed) <= 43
    assert listed == [post.fullname for post in live_posts(sandbox, "sandbox_quiet", now=clock.now)]


@pytest.mark.parametrize("sort", ["hot", "top", "rising", "controversial"])
def test_a_ranked_listing_names_no_post_twice_over_all_its_pages(sandbox, reddit, sort):
    listed = [post.id for post in getattr(reddit.subreddit("python"), sort)(limit=None)]

    assert len(listed) == len(set(listed))
    assert len(listed) > 20


def test_top_of_all_time_is_what_ranking_every_post_gives(sandbox, reddit):
    listed = [post.score for post in reddit.subreddit("sandbox_quiet").top(time_filter="all", limit=None)]

    every_score = sorted((post.score(NOW) for post in live_posts(sandbox, "sandbox_quiet")), reverse=True)
    assert len(every_score) > 5_000
    assert listed == every_score[:1_000]


@pytest.mark.parametrize(("span", "seconds"), [("hour", 3_600), ("day", DAY), ("week", 7 * DAY)])
def test_top_of_a_span_holds_nothing_older(sandbox, reddit, span, seconds):
    listed = list(reddit.subreddit("sandbox_busy").top(time_filter=span, limit=None))

    assert len(listed) > 200
    assert min(post.created_utc for post in listed) >= NOW - seconds - 300


def test_posts_reach_back_behind_ninety_days(reddit):
    oldest = list(reddit.subreddit("sandbox_quiet").new(limit=None))[-1]

    assert NOW - oldest.created_utc > 90 * DAY


def test_new_moves_on_with_the_clock_and_forgets_nothing(reddit, clock):
    before = [post.id for post in reddit.subreddit("sandbox_busy").new(limit=100)]

    clock.now += 300
    after = [post.id for post in reddit.subreddit("sandbox_busy").new(limit=130)]

    fresh = [name for name in after if name not in before]
    assert 25 <= len(fresh) <= 30
    assert after[: len(fresh)] == fresh


def test_limit_and_after_cut_the_pages(sandbox):
    whole = get(sandbox, "/r/python/new?limit=100")["data"]
    first = get(sandbox, "/r/python/new?limit=7")["data"]
    second = get(sandbox, f"/r/python/new?limit=7&after={first['after']}")["data"]
    back = get(sandbox, f"/r/python/new?limit=3&before={second['children'][0]['data']['name']}")["data"]

    names = [child["data"]["name"] for child in whole["children"]]
    assert first["dist"] == 7
    assert [child["data"]["name"] for child in first["children"] + second["children"]] == names[:14]
    assert [child["data"]["name"] for child in back["children"]] == names[4:7]


@pytest.mark.parametrize("limit", ["1024", "0", "-5", "many", ""])
def test_a_page_has_between_1_and_100_posts_whatever_the_limit(sandbox, limit):
    data = get(sandbox, f"/r/python/new?limit={limit}")["data"]

    assert data["dist"] == len(data["children"])
    assert data["dist"] == {"1024": 100, "0": 1, "-5": 1}.get(limit, 25)


def test_an_anchor_that_left_the_listing_makes_an_empty_page(sandbox):
    name = get(sandbox, "/r/python/new?limit=5")["data"]["after"]
    sandbox.world.change(name, Action.DELETE)

    data = get(sandbox, f"/r/python/new?limit=5&after={name}")["data"]

    assert (data["children"], data["after"]) == ([], None)


def test_hot_carries_the_stickied_posts_on_top_of_its_first_page_only(sandbox):
    first = get(sandbox, "/r/python/hot?limit=25")["data"]
    second = get(sandbox, f"/r/python/hot?limit=25&after={first['after']}")["data"]

    stickied = [child["data"]["stickied"] for child in first["children"]]
    assert first["dist"] == 27
    assert stickied == [True, True] + [False] * 25
    assert not any(child["data"]["stickied"] for child in second["children"])


def test_a_multi_subreddit_merges_its_streams(sandbox, reddit):
    listed = [post.fullname for post in reddit.subreddit("python+sandbox_quiet").new(limit=200)]

    merged = [post for name in ("python", "sandbox_quiet") for post in islice(live_posts(sandbox, name), 200)]
    merged.sort(key=lambda post: (post.created, post.number), reverse=True)
    assert listed == [post.fullname for post in merged[:200]]


def test_an_encoded_plus_is_a_plus(sandbox):
    assert get(sandbox, "/r/python%2Bsandbox_quiet/new") == get(sandbox, "/r/python+sandbox_quiet/new")


def test_a_closed_subreddit_is_left_out_of_a_multi_subreddit(reddit):
    listed = list(reddit.subreddit("sandbox_private+python+sandbox_banned").new(limit=30))

    assert {post.subreddit.display_name for post in listed} == {"python"}


def test_removed_posts_leave_the_listing_and_stay_in_info(sandbox, reddit):
    post, survivor = reddit.subreddit("python").new(limit=2)
    sandbox.world.change(post.fullname, Action.REMOVE)

    listed = [item.fullname for item in reddit.subreddit("python").new(limit=30)]

    assert post.fullname not in listed
    assert listed[0] == survivor.fullname
    assert next(reddit.info(fullnames=[post.fullname])).removed_by_category == "moderator"


def test_without_raw_json_every_string_is_escaped(sandbox):
    post = post_with(sandbox, lambda post: "<" in post.text(NOW))

    plain = get(sandbox, f"/api/info?id={post.fullname}")["data"]["children"][0]["data"]["selftext"]
    raw = get(sandbox, f"/api/info?id={post.fullname}&raw_json=1")["data"]["children"][0]["data"]["selftext"]

    assert raw == post.text(NOW)
    assert "&lt;" in plain
    assert "<" not in plain


def test_the_content_has_every_kind_of_post_and_every_fate(sandbox):
    kinds, fates, edits, texts = Counter(), Counter(), Counter(), []
    subreddit = sandbox.world.subreddit("python")
    latest = sandbox.world.latest(subreddit, NOW)
    for index in range(latest - 3_000, latest):
        post = sandbox.world.post(subreddit, index)
        kinds[post.kind] += 1
        fates[post.state(NOW)] += 1
        edits[type(post.edited(NOW))] += 1
        texts += [post.title, post.text(NOW)]

    assert set(kinds) == {"self", "link", "image", "gallery", "video", "rich", "poll", "crosspost"}
    assert set(fates) == set(State) - {State.VANISHED}
    assert 0.85 < fates[State.LIVE] / 3_000 < 0.99
    assert set(edits) == {bool, float}
    assert max(map(len, texts)) > 20_000
    assert max(len(title) for title in texts[::2]) == 300
    everything = "".join(texts)
    assert any(ord(letter) > 0xFFFF for letter in everything)
    assert "&#x200B;" in everything
    assert not re.search("[\x00\ud800-\udfff]", everything)


def test_scores_and_comments_grow_with_age(sandbox, clock):
    post = post_with(sandbox, lambda post: post.comment_total > 20)
    hours = [0, 1, 6, 24, 72]

    scores = [post.score(post.created + hour * 3_600) for hour in hours]
    comments = [post.comment_count(post.created + hour * 3_600) for hour in hours]

    assert scores == sorted(scores)
    assert scores[0] == 1 < scores[-1]
    assert comments == sorted(comments)
    assert (comments[0], comments[-1]) == (0, post.comment_total)


@pytest.mark.parametrize("name", ["Python", "u_some-body", "ab", "A1_b2_c3_d4_e5_f6_g7"])
def test_any_valid_name_is_a_subreddit(reddit, name):
    subreddit = reddit.subreddit(name)

    assert next(subreddit.new(limit=1)).subreddit.display_name == name
    assert subreddit.subscribers > 0


@pytest.mark.parametrize("name", ["x", "no-dash", "way_too_long_for_a_subreddit", "%C3%A4rger"])
def test_an_invalid_name_is_no_subreddit(sandbox, name):
    for path in (f"/r/{name}/new", f"/r/{name}/about"):
        status, headers, _text = call(sandbox, "GET", path, headers=bearer(sandbox))

        assert status == 302
        assert headers["location"].startswith("/subreddits/search?q=")


# --- Comments --------------------------------------------------------------------------------


def test_replace_more_finds_every_visible_comment_once(sandbox, reddit):
    post = much_discussed_post(sandbox, 600)

    submission = reddit.submission(post.id36)
    submission.comments.replace_more(limit=None)
    found = [comment.fullname for comment in submission.comments.list()]

    assert len(found) == len(set(found))
    assert set(found) == visible_comments(post)
    assert len(found) < submission.num_comments  # deleted ones count on


def test_continue_this_thread_leads_down_a_deep_thread(sandbox, reddit):
    post = post_with(
        sandbox,
        lambda post: 30 < post.comment_count(NOW) < 300 and max(post.replies_to[1], default=0) > 25,
    )

    submission = reddit.submission(post.id36)
    more = [item for item in submission.comments.list() if isinstance(item, praw.models.MoreComments)]
    submission.comments.replace_more(limit=None)

    assert any(item.id == "_" and item.count == 0 and item.depth == 10 for item in more)
    assert {comment.fullname for comment in submission.comments.list()} == visible_comments(post)


def test_limit_and_depth_bound_a_tree_and_more_counts_the_rest(sandbox):
    post = post_with(sandbox, lambda post: post.comment_count(NOW) > 100)

    comments = get(sandbox, f"/comments/{post.id36}?limit=20&depth=3")[1]["data"]["children"]

    shown, left = [], 0
    queue = list(comments)
    while queue:
        thing = queue.pop()
        if thing["kind"] == "more":
            left += thing["data"]["count"]
            continue
        shown.append(thing["data"]["depth"])
        if thing["data"]["replies"]:
            queue += thing["data"]["replies"]["data"]["children"]
    assert len(shown) == 20
    assert max(shown) <= 2
    assert 20 + left <= len(visible_comments(post))


def test_the_first_page_of_comments_holds_at_most_500(sandbox):
    post = much_discussed_post(sandbox, 700)

    text = json.dumps(get(sandbox, f"/comments/{post.id36}?limit=2048"))

    assert text.count('"kind": "t1"') == 500


def test_one_comment_is_shown_with_what_stands_above_it(sandbox):
    post = post_with(sandbox, lambda post: max(post.replies_to[1], default=0) > 4)
    comment = next(
        comment
        for comment in map(post.comment, range(post.comment_count(NOW)))
        if comment.depth == 3 and comment.fullname in visible_comments(post)
    )

    alone = get(sandbox, f"/comments/{post.id36}/_/{comment.id36}")[1]["data"]["children"]
    within = get(sandbox, f"/r/sandbox_quiet/comments/{post.id36}/_/{comment.id36}?context=2")[1]["data"]

    assert [thing["data"]["id"] for thing in alone] == [comment.id36]
    assert alone[0]["data"]["depth"] == 0
    child = within["children"][0]["data"]["replies"]["data"]["children"][0]["data"]
    assert within["children"][0]["data"]["name"] != post.fullname
    assert child["replies"]["data"]["children"][0]["data"]["id"] == comment.id36


def test_morechildren_answers_a_hundred_and_names_the_rest(sandbox):
    post = much_discussed_post(sandbox, 900)
    ids = [
        post.comment(number).id36
        for number, parent in enumerate(post.replies_to[0])
        if parent < 0 and post.comment(number).state(NOW) is State.LIVE
    ]
    form = f"api_type=json&link_id={post.fullname}&children={','.join(ids)}"
    headers = {**bearer(sandbox), "Content-Type": "application/x-www-form-urlencoded"}

    status, _headers, text = call(sandbox, "POST", "/api/morechildren/", body=form, headers=headers)

    things = json.loads(text)["json"]["data"]["things"]
    shown = [thing["data"]["id"] for thing in things if thing["kind"] == "t1"]
    left = [thing["data"] for thing in things if thing["kind"] == "more"]
    roots_left = [data["children"] for data in left if data["parent_id"] == post.fullname]
    assert status == 200
    assert len(shown) == 100
    # As on Reddit, some were not asked for, and what did not fit comes back.
    assert 0 < len(set(shown) - set(ids)) < 50
    assert all(thing["data"]["replies"] == "" for thing in things if thing["kind"] == "t1")
    assert set(roots_left[-1]) == set(ids) - set(shown)


def test_morechildren_as_get_works_until_the_address_is_too_long(sandbox):
    post = post_with(sandbox, lambda post: post.comment_count(NOW) > 30)
    first = post.comment(0).id36
    path = f"/api/morechildren?api_type=json&link_id={post.fullname}&children="

    short = call(sandbox, "GET", path + first, headers=bearer(sandbox))
    long = call(sandbox, "GET", path + ",".join([first] * 1_000), headers=bearer(sandbox))

    assert short[0] == 200
    assert (long[0], long[2]) == (414, "Error: URI Too Long")


def test_morechildren_brings_replies_too_unless_told_not_to(sandbox):
    post = post_with(sandbox, lambda post: post.comment_count(NOW) > 60)
    root = next(
        number
        for number in range(20)
        if post.replies_to[0][number] < 0
        and any(
            parent == number and post.comment(child).state(NOW) is State.LIVE
            for child, parent in enumerate(post.replies_to[0])
        )
    )
    path = f"/api/morechildren?link_id={post.fullname}&children={post.comment(root).id36}"

    family = get(sandbox, path)["json"]["data"]["things"]
    alone = get(sandbox, path + "&limit_children=true")["json"]["data"]["things"]

    assert family[1]["data"]["parent_id"] == post.comment(root).fullname
    assert [thing["kind"] for thing in alone] == ["t1", "more"]


def test_a_deleted_comment_without_replies_leaves_the_tree_and_stays_in_info(sandbox, reddit):
    post = post_with(sandbox, lambda post: 10 < post.comment_count(NOW) < 100)
    parents = set(post.replies_to[0])
    leaf = next(
        comment
        for comment in map(post.comment, range(post.comment_count(NOW)))
        if comment.number not in parents and comment.state(NOW) is State.LIVE
    )
    sandbox.world.change(leaf.fullname, Action.DELETE)

    tree = [comment.fullname for comment in reddit.submission(post.id36).comments.list()]
    (answer,) = reddit.info(fullnames=[leaf.fullname])

    assert leaf.fullname not in tree
    assert len(tree) > 5
    assert (answer.body, answer.author) == ("[deleted]", None)


@pytest.mark.parametrize(
    "path", ["/comments/zzzzzz", "/comments/1", "/r/python/comments/-1", "/api/v2/me", "/"]
)
def test_what_is_not_there_is_not_found(sandbox, path):
    status, _headers, text = call(sandbox, "GET", path, headers=bearer(sandbox))

    assert (status, json.loads(text)) == (404, {"message": "Not Found", "error": 404})


# --- Info ------------------------------------------------------------------------------------


def test_info_answers_posts_and_comments_and_leaves_out_what_is_unknown(sandbox, reddit):
    post = post_with(sandbox, lambda post: post.comment_count(NOW) > 5)
    comment = post.comment(3)
    asked = [post.fullname, "t3_zzzzzzz", comment.fullname, "t1_1", "t3_", "nonsense", "t3_+1", "t3_1_0"]

    found = list(reddit.info(fullnames=asked))

    assert [item.fullname for item in found] == [post.fullname, comment.fullname]
    assert found[0].title == post.title
    assert found[1].parent_id == comment.parent_fullname


def test_info_knows_nothing_of_the_future(sandbox, reddit, clock):
    subreddit = sandbox.world.subreddit("sandbox_busy")
    coming = sandbox.world.post(subreddit, sandbox.world.latest(subreddit, NOW) + 1)
    assert list(reddit.info(fullnames=[coming.fullname])) == []

    clock.now += 20

    assert [post.fullname for post in reddit.info(fullnames=[coming.fullname])] == [coming.fullname]


def test_ids_lead_back_to_subreddit_and_place(sandbox):
    for name in ("python", "sandbox_quiet", "u_some-body"):
        subreddit = sandbox.world.subreddit(name)
        post = post_with(sandbox, lambda post: post.comment_count(NOW) > 3, name=name)
        comment = post.comment(2)

        found = sandbox.world.find(post.fullname, NOW)
        found_comment = sandbox.world.find(comment.fullname, NOW)

        assert isinstance(found, Post)
        assert (found.subreddit, found.index) == (subreddit, post.index)
        assert isinstance(found_comment, Comment)
        assert (found_comment.post.index, found_comment.number) == (post.index, 2)
        assert len(comment.fullname) <= 16


# --- Signing in ------------------------------------------------------------------------------


def test_a_wrong_secret_is_refused_as_reddit_does(sandbox):
    with client(sandbox, secret="wrong") as reddit, pytest.raises(ResponseException) as caught:
        next(reddit.subreddit("python").new())

    assert caught.value.response.status_code == 401
    assert caught.value.response.json() == {"message": "Unauthorized", "error": 401}


@pytest.mark.parametrize("header", ["", "Basic", "Basic %%%", "Basic /w==", "Bearer c2FuZGJveDpzYW5kYm94"])
def test_an_unreadable_authorization_is_refused(sandbox, header):
    status, headers, _text = call(
        sandbox,
        "POST",
        "/api/v1/access_token",
        body="grant_type=client_credentials",
        headers={"Authorization": header},
    )

    assert status == 401
    assert headers["www-authenticate"] == 'Basic realm="reddit"'


def test_a_user_signs_in_with_a_password(sandbox):
    with client(sandbox, username="sandbox", password="sandbox") as reddit:
        assert reddit.user.me().name == "sandbox"


def test_a_wrong_password_is_an_oauth_error(sandbox):
    with (
        client(sandbox, username="sandbox", password="wrong") as reddit,
        pytest.raises(OAuthException, match="invalid_grant"),
    ):
        reddit.user.me()


def test_an_app_without_a_user_is_nobody(sandbox):
    status, _headers, text = call(sandbox, "GET", "/api/v1/me", headers=bearer(sandbox))

    assert (status, json.loads(text)["reason"]) == (403, "USER_REQUIRED")


@pytest.mark.parametrize("headers", [{}, {"Authorization": "bearer stale"}, basic()])
def test_no_token_no_answer(sandbox, headers):
    status, answered, text = call(sandbox, "GET", "/r/python/new", headers=headers)

    assert (status, json.loads(text)) == (401, {"message": "Unauthorized", "error": 401})
    assert answered["www-authenticate"] == 'Bearer realm="reddit", error="invalid_token"'


def test_praw_gets_a_new_token_in_the_middle_of_a_listing(sandbox, reddit):
    listed = []
    for post in reddit.subreddit("python").new(limit=300):
        listed.append(post.fullname)
        if len(listed) == 150:
            sandbox.access.expire_all()

    assert listed == [post.fullname for post in islice(live_posts(sandbox, "python"), 300)]
    assert Counter(request.status for request in sandbox.requests) == {200: 5, 401: 1}  # 3 pages, 2 tokens


def test_a_token_lives_as_long_as_it_was_told(clock):
    with SandboxReddit(clock=clock, expires_in=60, rate_limit=PLENTY) as sandbox:
        headers = bearer(sandbox)
        clock.now += 59
        assert call(sandbox, "GET", "/r/python/new?limit=1", headers=headers)[0] == 200

        clock.now += 1

        assert call(sandbox, "GET", "/r/python/new?limit=1", headers=headers)[0] == 401


# --- Rate limit ------------------------------------------------------------------------------


def test_the_headers_count_a_window_of_ten_minutes(clock):
    with SandboxReddit(clock=clock) as sandbox:
        headers = bearer(sandbox)
        counted = []
        for step in (0, 10, WINDOW_SECONDS):
            clock.now += step
            answered = call(sandbox, "GET", "/r/python/new?limit=1", headers=headers)[1]
            counted.append([answered[f"x-ratelimit-{name}"] for name in ("used", "remaining", "reset")])

    assert REQUESTS_PER_WINDOW == 1_000
    assert counted == [["1", "999.0", "300"], ["2", "998.0", "290"], ["1", "999.0", "290"]]


def test_praw_reads_the_headers(clock):
    with SandboxReddit(clock=clock) as sandbox, client(sandbox) as reddit:
        list(reddit.subreddit("python").new(limit=200))

        assert (reddit.auth.limits["used"], reddit.auth.limits["remaining"]) == (2, 998)


def test_above_the_limit_the_client_is_told_to_wait_and_others_are_not(clock):
    with SandboxReddit(
        clock=clock, rate_limit=2, enforce_rate_limit=True, clients={"one": "1", "two": "2"}
    ) as sandbox:
        one, two = (
            bearer(sandbox, client_id=name, secret=secret) for name, secret in (("one", "1"), ("two", "2"))
        )
        statuses = [call(sandbox, "GET", "/r/python/new?limit=1", headers=one)[0] for _ in range(3)]

        assert statuses == [200, 200, 429]
        assert call(sandbox, "GET", "/r/python/new?limit=1", headers=two)[0] == 200
        clock.now += WINDOW_SECONDS
        assert call(sandbox, "GET", "/r/python/new?limit=1", headers=one)[0] == 200


def test_latency_holds_answers_back(clock):
    with SandboxReddit(clock=clock, latency=0.2) as sandbox:
        began = time.monotonic()
        call(sandbox, "GET", "/r/python/new")

        assert time.monotonic() - began >= 0.2


# --- Faults ----------------------------------------------------------------------------------

RAISED = {
    "sandbox_private": Forbidden,
    "sandbox_quarantined": Forbidden,
    "sandbox_forbidden": Forbidden,
    "sandbox_banned": NotFound,
    "sandbox_missing": Redirect,
    "sandbox_401": prawcore.exceptions.InvalidToken,
    "sandbox_429": TooManyRequests,
    "sandbox_429_html": TooManyRequests,
    "sandbox_451": UnavailableForLegalReasons,
    "sandbox_500": ServerError,
    "sandbox_502": ServerError,
    "sandbox_503": ServerError,
    "sandbox_truncated": RequestException,
    "sandbox_html": BadJSON,
}


@pytest.mark.parametrize("name", RAISED)
@pytest.mark.usefixtures("retries_at_once")
def test_a_special_subreddit_fails_as_its_name_says(sandbox, reddit, name):
    with pytest.raises(RAISED[name]) as caught:
        list(reddit.subreddit(name).new(limit=10))

    asked = sum(f"/r/{name}/new" in request.target for request in sandbox.requests)
    is_retried = RAISED[name] in (ServerError, RequestException) or name == "sandbox_401"
    assert asked == (3 if is_retried else 1)
    if name in ("sandbox_private", "sandbox_quarantined", "sandbox_banned"):
        assert caught.value.response.json()["reason"] == name.removeprefix("sandbox_")


@pytest.mark.parametrize("name", ["sandbox_empty_body", "sandbox_null", "sandbox_empty"])
def test_some_failures_look_like_an_empty_listing(reddit, name):
    assert list(reddit.subreddit(name).new(limit=10)) == []


def test_every_special_subreddit_is_documented_and_tested():
    documented = set(re.findall(r"^``(sandbox_\w+)``  ", scraping.sandbox.__doc__, re.MULTILINE))
    tested = {*RAISED, "sandbox_empty_body", "sandbox_null", "sandbox_empty", "sandbox_hang"}

    assert documented == {*CLOSED, *BROKEN} == tested


def test_a_hanging_subreddit_never_answers_and_does_not_keep_the_server_from_stopping(clock):
    sandbox = SandboxReddit(clock=clock).start()
    headers = bearer(sandbox)
    failures = []

    def wait_for_an_answer():
        try:
            call(sandbox, "GET", "/r/sandbox_hang/new", headers=headers)
        except (ConnectionError, http.client.HTTPException) as error:
            failures.append(error)

    waiter = threading.Thread(target=wait_for_an_answer)
    waiter.start()
    wait_until(
        lambda: any("sandbox_hang" in request.path for request in sandbox.requests), timeout=5, every=0.01
    )
    began = time.monotonic()
    sandbox.stop()
    waiter.join(5)

    assert time.monotonic() - began < 2
    assert len(failures) == 1


def test_a_fault_is_answered_as_often_as_asked(sandbox, reddit):
    body = json.dumps(
        {
            "path": "/python/new",
            "status": 403,
            "headers": {"x-odd": "1"},
            "body": {"reason": "odd"},
            "times": 2,
        }
    )
    assert call(sandbox, "POST", "/sandbox/faults", body=body)[0] == 204

    for _ in range(2):
        with pytest.raises(Forbidden) as caught:
            list(reddit.subreddit("python").new(limit=1))
        assert caught.value.response.json() == {"reason": "odd"}
        assert caught.value.response.headers["x-odd"] == "1"

    assert len(list(reddit.subreddit("python").new(limit=1))) == 1


def test_a_fault_waits_for_its_turn_and_is_taken_back(sandbox, reddit):
    sandbox.faults.add("/new", status=404, skip=1, times=None, method="GET")
    listing = reddit.subreddit("python").new(limit=200)

    assert len([next(listing) for _ in range(100)]) == 100
    with pytest.raises(NotFound):
        next(listing)
    assert call(sandbox, "DELETE", "/sandbox/faults")[0] == 204
    assert len(list(reddit.subreddit("python").new(limit=3))) == 3


@pytest.mark.usefixtures("retries_at_once")
def test_praw_survives_one_bad_answer(sandbox, reddit):
    for fault in ({"status": 502}, {"body": "x" * 50, "fails": "truncate"}):
        sandbox.faults.add("/new", **fault)

        assert len(list(reddit.subreddit("python").new(limit=3))) == 3


def test_a_fault_reaches_the_token_endpoint_too(sandbox, reddit):
    sandbox.faults.add("access_token", status=503, body="<html>", headers={"Content-Type": "text/html"})

    with pytest.raises(ResponseException) as caught:
        list(reddit.subreddit("python").new(limit=1))

    assert caught.value.response.headers["content-type"] == "text/html"


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/sandbox/faults", "no json"),
        ("/sandbox/faults", "[]"),
        ("/sandbox/faults", "{}"),
        ("/sandbox/faults", '{"path": "("}'),
        ("/sandbox/faults", '{"path": "x", "status": 99}'),
        ("/sandbox/faults", '{"path": "x", "fails": "often"}'),
        ("/sandbox/faults", '{"path": "x", "times": "twice"}'),
        ("/sandbox/faults", '{"path": "x", "headers": ["odd"]}'),
        ("/sandbox/content", '{"fullname": 1, "action": "delete"}'),
        ("/sandbox/content", '{"fullname": "t3_1"}'),
        ("/sandbox/content", '{"fullname": "t3_1", "action": "praise"}'),
    ],
)
def test_the_control_endpoints_refuse_nonsense(sandbox, path, body):
    status, _headers, text = call(sandbox, "POST", path, body=body)

    assert status == 400
    assert json.loads(text)["explanation"]


def test_a_request_with_an_absurd_length_is_refused(sandbox):
    assert call(sandbox, "POST", "/sandbox/faults", headers={"Content-Length": "99999999"})[0] == 413


# --- Changed content -------------------------------------------------------------------------


def change(server, fullname, action, **more):
    body = json.dumps({"fullname": fullname, "action": action, **more})
    status, _headers, text = call(server, "POST", "/sandbox/content", body=body)
    assert status == 204, text


def info(server, fullname):
    children = get(server, f"/api/info?id={fullname}&raw_json=1")["data"]["children"]
    return children[0]["data"] if children else None


@pytest.fixture
def text_post(sandbox):
    return post_with(
        sandbox,
        lambda post: (
            post.kind == "self"
            and post.own_words
            and not post.author.is_deleted(NOW)
            and post.comment_count(NOW) > 3
        ),
    )


@pytest.mark.parametrize(
    ("action", "category", "text"),
    [
        ("delete", "deleted", "[deleted]"),
        ("remove", "moderator", "[removed]"),
        ("remove_by_reddit", "reddit", "[ Removed by Reddit ]"),
    ],
)
def test_a_post_is_taken_away_and_restored(sandbox, text_post, action, category, text):
    before = info(sandbox, text_post.fullname)
    change(sandbox, text_post.fullname, action)
    gone = info(sandbox, text_post.fullname)
    change(sandbox, text_post.fullname, "restore")

    assert (gone["selftext"], gone["removed_by_category"], gone["is_robot_indexable"]) == (
        text,
        category,
        False,
    )
    assert before["removed_by_category"] is None
    assert info(sandbox, text_post.fullname) == before | {"edited": before["edited"]}


@pytest.mark.parametrize(
    ("action", "text"),
    [("delete", "[deleted]"), ("remove", "[removed]"), ("remove_by_reddit", "[ Removed by Reddit ]")],
)
def test_a_comment_is_taken_away_and_restored(sandbox, text_post, action, text):
    comment = next(
        comment
        for comment in map(text_post.comment, range(text_post.comment_count(NOW)))
        if comment.state(NOW) is State.LIVE
    )
    before = info(sandbox, comment.fullname)
    change(sandbox, comment.fullname, action)
    gone = info(sandbox, comment.fullname)
    change(sandbox, comment.fullname, "restore")

    assert (gone["body"], gone["author"]) == (text, "[deleted]")
    assert "author_fullname" not in gone
    assert info(sandbox, comment.fullname)["body"] == before["body"]


def test_a_vanished_post_is_missing_everywhere_until_it_is_restored(sandbox, text_post):
    change(sandbox, text_post.fullname, "vanish")
    assert info(sandbox, text_post.fullname) is None
    assert call(sandbox, "GET", f"/comments/{text_post.id36}", headers=bearer(sandbox))[0] == 404

    change(sandbox, text_post.fullname, "restore")

    assert info(sandbox, text_post.fullname)["title"] == text_post.title


def test_an_edit_tells_when_it_was(sandbox, text_post, clock):
    clock.now += 77
    change(sandbox, text_post.fullname, "edit", text="New words & all.")

    edited = info(sandbox, text_post.fullname)

    assert (edited["selftext"], edited["edited"]) == ("New words & all.", NOW + 77.0)


def test_with_the_account_goes_the_name_on_everything_and_the_words_stay(sandbox, text_post):
    number = text_post.author.number
    other = next(post for post in live_posts(sandbox, "sandbox_quiet") if post.author.number != number)
    before = info(sandbox, text_post.fullname)
    change(sandbox, text_post.fullname, "delete_account")

    after = info(sandbox, text_post.fullname)
    change(sandbox, text_post.fullname, "restore")

    assert (after["author"], after["selftext"]) == ("[deleted]", before["selftext"])
    assert after["removed_by_category"] is None
    assert "author_fullname" not in after
    assert info(sandbox, other.fullname)["author"] == other.author.name
    assert info(sandbox, text_post.fullname)["author"] == before["author"]


def test_what_was_never_written_cannot_be_changed(sandbox):
    status, _headers, text = call(
        sandbox, "POST", "/sandbox/content", body='{"fullname": "t3_zz", "action": "delete"}'
    )

    assert status == 404
    assert "t3_zz" in text
    with pytest.raises(UnknownItemError):
        sandbox.world.change("t1_zz", Action.DELETE)


def test_items_go_by_themselves_after_they_were_seen(sandbox, reddit, clock):
    listed = [post.fullname for post in reddit.subreddit("sandbox_busy").new(limit=500)]

    clock.now += 3 * DAY
    later = Counter(post.removed_by_category for post in reddit.info(fullnames=listed))

    assert set(later) == {None, "deleted", "moderator", "reddit"}
    assert later[None] > 400


def test_the_journal_carries_names_and_changes_over_a_restart(tmp_path, clock):
    journal = tmp_path / "journal.jsonl"
    with SandboxReddit(clock=clock, journal=journal) as sandbox:
        first, second = get(sandbox, "/r/BirdWatching/new?limit=2")["data"]["children"]
        change(sandbox, first["data"]["name"], "delete")
    with journal.open("a") as file:
        file.write('{"fullname": "t3_')  # the process died here

    with SandboxReddit(clock=clock, journal=journal) as sandbox:
        assert info(sandbox, first["data"]["name"])["removed_by_category"] == "deleted"
        assert info(sandbox, second["data"]["name"])["subreddit"] == "BirdWatching"
        assert info(sandbox, second["data"]["name"])["title"] == second["data"]["title"]


def test_without_a_journal_a_restart_forgets_which_names_there_were(clock):
    with SandboxReddit(clock=clock) as sandbox:
        known, unknown = (
            get(sandbox, f"/r/{name}/new?limit=1")["data"]["children"][0]["data"]["name"]
            for name in ("HomeWorkshop", "BirdWatching")
        )

    with SandboxReddit(clock=clock) as sandbox:
        assert info(sandbox, known) is not None
        assert info(sandbox, unknown) is None


# --- The same again --------------------------------------------------------------------------


def answers(server):
    post = post_with(server, lambda post: post.comment_count(NOW) > 50)
    paths = [
        "/r/python+sandbox_quiet/new?limit=100",
        "/r/python/hot?limit=100",
        "/r/sandbox_busy/top?t=week&limit=100",
        "/r/python/controversial?t=all&limit=20",
        "/r/python/about",
        f"/comments/{post.id36}?limit=30",
    ]
    return [get(server, path) for path in paths]


def test_the_same_seed_gives_the_same_answers_and_another_seed_others(clock):
    with SandboxReddit(clock=clock, seed=7) as one, SandboxReddit(clock=clock, seed=7) as again:
        assert answers(one) == answers(again)

        with SandboxReddit(clock=clock, seed=8) as other:
            assert all(a != b for a, b in zip(answers(one), answers(other), strict=True))


def test_many_clients_at_once_get_the_same_answers_as_one(sandbox):
    headers = bearer(sandbox)
    path = "/r/SomewhereNew/hot?limit=50"
    got = []
    threads = [
        threading.Thread(target=lambda: got.append(call(sandbox, "GET", path, headers=headers)[2]))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)

    assert len(got) == 8
    assert set(got) == {call(sandbox, "GET", path, headers=headers)[2]}


def test_stopping_frees_the_port_and_the_server_starts_again_there(sandbox):
    port = sandbox.port
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    connection.request("GET", "/r/python/new")
    assert connection.getresponse().read()  # kept alive, idle

    sandbox.stop()
    sandbox.stop()
    connection.close()
    with pytest.raises(ConnectionRefusedError):
        call(sandbox, "GET", "/")
    sandbox.start()

    assert sandbox.port == port
    assert call(sandbox, "GET", "/r/python/new")[0] == 401


def test_it_needs_no_django(tmp_path):
    program = "import sys, scraping.sandbox; sys.exit('django' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", program], cwd=settings.BASE_DIR, timeout=30).returncode == 0


def test_the_model_names_the_sandboxs_client_id():
    assert SANDBOX_CLIENT_ID == CLIENT_ID


# --- The command -----------------------------------------------------------------------------


@contextmanager
def command(*arguments, tmp_path):
    process = subprocess.Popen(
        [sys.executable, "manage.py", "sandbox_reddit", *arguments],
        cwd=settings.BASE_DIR,
        env={**os.environ, "VAR_DIR": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("stop_signal", [signal.SIGTERM, signal.SIGINT])
def test_the_command_serves_until_a_signal_and_leaves_at_once(tmp_path, stop_signal):
    with command("--port", "0", "--seed", "5", "--latency", "1", tmp_path=tmp_path) as process:
        line = process.stdout.readline()
        url = re.search(r"http://127\.0\.0\.1:\d+", line)[0]
        with requests.Session() as session:
            session.trust_env = False
            assert session.get(f"{url}/r/python/new", timeout=10).status_code == 401
            began = time.monotonic()
            process.send_signal(stop_signal)
            out, errors = process.communicate(timeout=10)

    assert process.returncode == 0
    assert time.monotonic() - began < 2
    assert (out, errors) == ("", "")  # the address once, and nothing else


def test_the_command_says_that_a_port_is_taken(tmp_path, sandbox):
    with command("--port", str(sandbox.port), tmp_path=tmp_path) as process:
        out, errors = process.communicate(timeout=30)

    assert process.returncode == 2
    assert f"127.0.0.1:{sandbox.port}" in errors
    assert "--port" in errors
    assert "Traceback" not in errors
    assert out == ""


@pytest.mark.parametrize("arguments", [[], ["--port=70000"], ["--port=x"], ["--port=0", "--latency=-1"]])
def test_the_command_refuses_wrong_options(arguments):
    with pytest.raises(CommandError, match=r"--port|--latency"):
        call_command("sandbox_reddit", *arguments)


# --- The contract with real answers ----------------------------------------------------------


def types_by_key(things):
    types = {}
    for thing in things:
        for key, value in thing.items():
            types.setdefault(key, set()).add(type(value).__name__)
    return types


def always_there(things):
    return set.intersection(*(set(thing) for thing in things))


def assert_same_shape(ours, real, newest):
    """Our keys and types are real ones, and what every new real thing has, ours have."""
    known = types_by_key(real)
    for key, types in types_by_key(ours).items():
        assert key in known, f"Reddit has no {key}"
        assert types <= known[key], f"{key}: {types} is not {known[key]}"
    missing = always_there(newest) - always_there(ours)
    assert not missing, f"every real one has {sorted(missing)}"


@pytest.fixture
def our_posts(sandbox):
    return [
        child["data"]
        for path in (
            "/r/python/new?limit=100",
            "/r/python/top?t=all&limit=100",
            "/r/sandbox_quiet/hot?limit=100",
        )
        for child in get(sandbox, path + "&raw_json=1")["data"]["children"]
    ]


@cache
def recorded_posts():
    """The recorded posts of 2020 and later."""
    return [post for post in recorded.posts() if post["created_utc"] > 1.58e9]


def is_gone(thing):
    return thing["author"] == "[deleted]"


@recorded.needed
def test_our_posts_have_the_keys_and_types_of_recorded_posts(our_posts):
    real = recorded_posts()
    newest = [post for post in real if post["created_utc"] > 1.7e9 and not is_gone(post)]

    assert_same_shape([post for post in our_posts if not is_gone(post)], real, newest)


@recorded.needed
def test_our_deleted_and_removed_posts_look_like_recorded_ones(sandbox, our_posts):
    fullnames = [post["name"] for post in our_posts[:100]]
    for place, fullname in enumerate(fullnames):
        action = [Action.DELETE, Action.REMOVE, Action.REMOVE_BY_REDDIT, Action.DELETE_ACCOUNT][place % 4]
        sandbox.world.change(fullname, action)
    children = get(sandbox, f"/api/info?id={','.join(fullnames)}&raw_json=1")["data"]["children"]
    ours = [child["data"] for child in children]
    real = recorded_posts()

    gone, real_gone = [post for post in ours if is_gone(post)], [post for post in real if is_gone(post)]
    assert len(gone) > 50
    # Keys that have gone out of use since those were recorded need not be there.
    newest = [post for post in real if post["created_utc"] > 1.7e9]
    assert_same_shape(ours, real, real_gone + newest)
    never = set(types_by_key(real)) - set(types_by_key(real_gone))
    assert not [
        post
        for post in gone
        if {"author_fullname", "author_flair_type", "author_premium"} & never & set(post)
    ]
    categories = {post["removed_by_category"] for post in real}
    assert {post["removed_by_category"] for post in ours} <= categories


@recorded.needed
def test_our_comments_and_more_objects_have_the_keys_and_types_of_recorded_ones(sandbox):
    post = much_discussed_post(sandbox, 600)
    ours = {"t1": [], "more": []}
    collect(get(sandbox, f"/comments/{post.id36}?limit=500"), ours)
    real = {"t1": [], "more": []}
    for responses in recorded.trees().values():
        for response in responses:
            if response["recorded_at"] > "2020":
                collect(response["response"]["body"], real)
    modern = [comment for comment in recorded.comments() if comment["created_utc"] > 1.7e9]

    assert len(ours["t1"]) == 500
    assert len(ours["more"]) > 10
    assert_same_shape([item for item in ours["t1"] if not is_gone(item)], real["t1"] + modern, modern)
    assert_same_shape(
        [item for item in ours["t1"] if is_gone(item)], real["t1"] + modern, [*filter(is_gone, real["t1"])]
    )
    assert_same_shape(ours["more"], real["more"], real["more"])


@recorded.needed
def test_our_listings_have_the_keys_and_types_of_recorded_ones(sandbox):
    ours = [
        get(sandbox, path)["data"]
        for path in ("/r/python/new?limit=5", "/r/python/rising?limit=100", "/r/python/hot?limit=3")
    ]
    pages = [
        page["response"]["body"]["data"]
        for page in recorded.responses("pages")
        if page["recorded_at"] > "2020"
    ]

    assert_same_shape(ours, pages, pages)


@recorded.needed
@pytest.mark.parametrize(
    ("name", "recording"),
    [
        ("sandbox_private", "403_private"),
        ("sandbox_banned", "404_banned"),
        ("sandbox_quarantined", "403_quarantined"),
        ("sandbox_forbidden", "403_forbidden_json"),
        ("sandbox_missing", "302_nonexistent_subreddit"),
        ("sandbox_401", "401_invalid_token"),
        ("sandbox_429", "429_2026_no_retry_after"),
        ("sandbox_429_html", "429_html_retry_after_4"),
        ("sandbox_451", "451"),
        ("sandbox_500", "500_json"),
        ("sandbox_502", "502_empty"),
        ("sandbox_503", "503_html_ow"),
    ],
)
def test_our_errors_look_like_recorded_ones(sandbox, name, recording):
    real = recorded.error(recording)
    status, headers, text = call(sandbox, "GET", f"/r/{name}/new", headers=bearer(sandbox))

    assert status == real["status"]
    assert headers["content-type"].split(";")[0] == real["headers"]["content-type"].split(";")[0]
    assert {"retry-after", "www-authenticate", "location"} & set(headers) == (
        {"retry-after", "www-authenticate", "location"} & set(real["headers"])
    )
    if headers["content-type"].startswith("application/json") and real["body_text"]:
        assert set(json.loads(text)) == set(json.loads(real["body_text"]))


def collect(node, found):
    """Gather the data of all t1 and more objects of an answer."""
    if isinstance(node, list):
        for item in node:
            collect(item, found)
    elif isinstance(node, dict):
        if node.get("kind") in found:
            found[node["kind"]].append(node["data"])
        for value in node.values():
            collect(value, found)


@pytest.mark.parametrize("name", ["all", "Popular"])
def test_all_and_popular_list_many_subreddits(sandbox, name):
    children = get(sandbox, f"/r/{name}/new?limit=100")["data"]["children"]
    assert len(children) == 100
    assert len({child["data"]["subreddit"] for child in children}) > 2
    assert name.lower() not in {child["data"]["subreddit"].lower() for child in children}


def test_a_search_ends_near_250_posts(sandbox):
    path, after, number = "/r/sandbox_busy/search?limit=100&sort=new&restrict_sr=1&q=", "", 0
    while after is not None:
        data = get(sandbox, f"{path}&after={after}")["data"]
        number, after = number + len(data["children"]), data["after"]
    assert number == 250
