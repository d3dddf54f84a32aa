"""Signing in to the sandbox, and its rate limit."""

import json
import time
from collections import Counter
from itertools import islice

import pytest
from prawcore.exceptions import OAuthException, ResponseException

from scraping.sandbox import SandboxReddit
from scraping.sandbox.access import REQUESTS_PER_WINDOW, WINDOW_SECONDS
from tests.scraping.sandbox.asking import PLENTY, basic, bearer, call, client, live_posts


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


def test_an_app_without_a_user_has_no_name(sandbox):
    status, _headers, text = call(sandbox, "GET", "/api/v1/me", headers=bearer(sandbox))

    assert (status, json.loads(text)["reason"]) == (403, "USER_REQUIRED")


@pytest.mark.parametrize("headers", [{}, {"Authorization": "bearer stale"}, basic()])
def test_a_request_without_a_token_is_refused(sandbox, headers):
    status, answered, text = call(sandbox, "GET", "/r/python/new", headers=headers)

    assert (status, json.loads(text)) == (401, {"message": "Unauthorized", "error": 401})
    assert answered["www-authenticate"] == 'Bearer realm="reddit", error="invalid_token"'


@pytest.mark.slow
def test_praw_gets_a_new_token_in_the_middle_of_a_listing(sandbox, reddit):
    listed = []
    for post in reddit.subreddit("python").new(limit=300):
        listed.append(post.fullname)
        if len(listed) == 150:
            sandbox.access.expire_all()

    assert listed == [post.fullname for post in islice(live_posts(sandbox, "python"), 300)]
    assert Counter(request.status for request in sandbox.requests) == {200: 5, 401: 1}  # 3 pages, 2 tokens


def test_a_token_expires_after_the_configured_time(clock):
    with SandboxReddit(clock=clock, expires_in=60, rate_limit=PLENTY) as sandbox:
        headers = bearer(sandbox)
        clock.now += 59
        assert call(sandbox, "GET", "/r/python/new?limit=1", headers=headers)[0] == 200

        clock.now += 1

        assert call(sandbox, "GET", "/r/python/new?limit=1", headers=headers)[0] == 401


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


@pytest.mark.slow
def test_praw_reads_the_headers(clock):
    with SandboxReddit(clock=clock) as sandbox, client(sandbox) as reddit:
        list(reddit.subreddit("python").new(limit=200))

        assert (reddit.auth.limits["used"], reddit.auth.limits["remaining"]) == (2, 998)


def test_above_the_limit_only_that_client_is_refused(clock):
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


def test_latency_delays_answers(clock):
    with SandboxReddit(clock=clock, latency=0.2) as sandbox:
        began = time.monotonic()
        call(sandbox, "GET", "/r/python/new")

        assert time.monotonic() - began >= 0.2
