"""The faults that tests can set in the sandbox."""

import http.client
import json
import re
import threading
import time

import prawcore
import pytest
from prawcore.exceptions import (
    BadJSON,
    Forbidden,
    NotFound,
    Redirect,
    RequestException,
    ResponseException,
    ServerError,
    TooManyRequests,
    UnavailableForLegalReasons,
)
from prawcore.sessions import FiniteRetryStrategy

import scraping.sandbox
from scraping.sandbox import SandboxReddit
from scraping.sandbox.faults import BROKEN, CLOSED
from tests.kit.waiting import wait_until
from tests.scraping.sandbox.asking import bearer, call


@pytest.fixture
def retries_at_once(monkeypatch):
    """Cut the pauses of PRAW's retries, which would wait up to six seconds."""
    monkeypatch.setattr(FiniteRetryStrategy, "_sleep_seconds", lambda self: None)


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


@pytest.mark.slow
@pytest.mark.parametrize("name", RAISED)
@pytest.mark.usefixtures("retries_at_once")
def test_a_special_subreddit_fails_as_its_name_says(sandbox, reddit, name):
    with pytest.raises(RAISED[name]) as caught:
        list(reddit.subreddit(name).new(limit=10))

    asked = sum(f"/r/{name}/new" in request.target for request in sandbox.requests)
    is_retried = RAISED[name] in (ServerError, RequestException) or name == "sandbox_401"
    assert asked == (3 if is_retried else 1)
    if name in ("sandbox_private", "sandbox_quarantined", "sandbox_banned"):
        assert vars(caught.value)["response"].json()["reason"] == name.removeprefix("sandbox_")


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


def test_a_fault_is_answered_as_often_as_configured(sandbox, reddit):
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
        assert vars(caught.value)["response"].json() == {"reason": "odd"}
        assert caught.value.response.headers["x-odd"] == "1"

    assert len(list(reddit.subreddit("python").new(limit=1))) == 1


def test_a_fault_starts_after_its_skips_and_can_be_cleared(sandbox, reddit):
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
def test_the_control_endpoints_refuse_invalid_input(sandbox, path, body):
    status, _headers, text = call(sandbox, "POST", path, body=body)

    assert status == 400
    assert json.loads(text)["explanation"]


def test_a_request_with_an_absurd_length_is_refused(sandbox):
    assert call(sandbox, "POST", "/sandbox/faults", headers={"Content-Length": "99999999"})[0] == 413
