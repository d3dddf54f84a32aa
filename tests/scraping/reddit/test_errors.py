"""The error for each answer of Reddit, and the retries."""

import json
import socket
from typing import Any

import prawcore.const
import prawcore.sessions
import pytest
from pytest_django import Settings

from scraping.models import ErrorKind
from scraping.reddit.client import RedditClient, client_for
from scraping.reddit.errors import RedditError
from tests.kit.scraped import raw_comment, raw_post
from tests.scraping.reddit.reading import all_comments
from tests.scraping.reddit_replay import TOKEN_PATH, Answer, RedditReplay, listing, thing

pytestmark = pytest.mark.django_db  # the budget is a row


def fails_with(reddit_client: RedditClient) -> RedditError:
    with pytest.raises(RedditError) as caught:
        reddit_client.page("r/python/new", {})
    return caught.value


@pytest.mark.slow
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b'"text"',
        b"7",
        b"<html>Ow!</html>",
        b'{"kind": "Listing"}',
        b'{"kind": "Listing", "data": {}}',
        b'{"kind": "Listing", "data": {"children": null}}',
        b'{"kind": "Listing", "data": {"children": [',
        b"[" * 100_000,
        b"\xff\xfe\x00",
    ],
)
def test_a_200_that_is_no_listing_is_a_bad_answer(
    reddit: RedditReplay, reddit_client: RedditClient, body: bytes
) -> None:
    reddit.answers["/r/python/new"] = [Answer(body=body)]
    error = fails_with(reddit_client)
    assert (error.kind, error.stops_everything) == (ErrorKind.BAD_ANSWER, False)
    assert "/r/python/new" in str(error)


@pytest.mark.slow
@pytest.mark.parametrize(
    "body", [b"null", b"{}", b'{"json": {}}', b'{"json": {"data": {"things": null}}}', b"[1, 2]", b""]
)
def test_invalid_comment_answers_are_bad_answers(
    reddit: RedditReplay, reddit_client: RedditClient, body: bytes
) -> None:
    post = raw_post()
    tree = reddit.add_tree(post, [raw_comment(post) for _ in range(3)], first=1)
    reddit.answers["/api/morechildren"] = [Answer(body=body)]
    with pytest.raises(RedditError, match="morechildren") as caught:
        all_comments(reddit_client, tree)
    assert caught.value.kind == ErrorKind.BAD_ANSWER
    reddit.answers[f"/comments/{post['id']}"] = [Answer(body=body)]
    with pytest.raises(RedditError, match="comments") as caught:
        all_comments(reddit_client, tree)
    assert caught.value.kind == ErrorKind.BAD_ANSWER


@pytest.mark.parametrize(
    ("errors", "kind"),
    [
        ([["RATELIMIT", "you are doing that too much", "ratelimit"]], ErrorKind.RATE_LIMITED),
        ([["TOO_OLD", "that is archived", None]], ErrorKind.BAD_REQUEST),
    ],
)
def test_a_refusal_inside_a_200_is_reported(
    reddit: RedditReplay, reddit_client: RedditClient, errors: list[Any], kind: ErrorKind
) -> None:
    post = raw_post()
    tree = reddit.add_tree(post, [raw_comment(post) for _ in range(3)], first=1)
    reddit.answers["/api/morechildren"] = [Answer.of({"json": {"errors": errors}})]
    with pytest.raises(RedditError) as caught:
        all_comments(reddit_client, tree)
    assert caught.value.kind == kind


@pytest.mark.slow
@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (Answer(400, {}, b'{"message": "Bad Request", "error": 400}'), ErrorKind.UNAUTHORIZED),
        (Answer(401, {}, b"{}"), ErrorKind.UNAUTHORIZED),
        (Answer(200, {}, b'{"error": "invalid_grant"}'), ErrorKind.UNAUTHORIZED),
        (Answer(429, {}, b"{}"), ErrorKind.RATE_LIMITED),
        (Answer(429, {"Retry-After": "Wed, 01 Jan 2020 00:00:00 GMT"}, b""), ErrorKind.RATE_LIMITED),
        (Answer(503, {}, b"<html>"), ErrorKind.SERVER_ERROR),
        (Answer(403, {}, b"<html>blocked"), ErrorKind.FORBIDDEN),
        (Answer(200, {}, b"<html>"), ErrorKind.BAD_ANSWER),
        (Answer(200, {}, b"null"), ErrorKind.BAD_ANSWER),
        (Answer(200, {}, b"{}"), ErrorKind.BAD_ANSWER),
        (Answer(200, {}, b""), ErrorKind.BAD_ANSWER),
    ],
)
def test_errors_of_the_sign_in_are_reported_and_stop_everything(
    reddit: RedditReplay, reddit_client: RedditClient, answer: Answer, kind: ErrorKind
) -> None:
    reddit.answers[TOKEN_PATH] = [answer]
    error = fails_with(reddit_client)
    assert (error.kind, error.stops_everything) == (kind, True)
    assert reddit.asked() == []


@pytest.mark.slow
@pytest.mark.parametrize("challenge", ["", 'Bearer realm="reddit", error="invalid_token"', "Bearer", "a=b=c"])
def test_a_refused_token_is_renewed_and_a_lasting_refusal_is_reported(
    reddit: RedditReplay, reddit_client: RedditClient, challenge: str
) -> None:
    refused = Answer(401, {"www-authenticate": challenge} if challenge else {}, b"{}")
    reddit.answers["/r/python/new"] = [refused, Answer.of(listing([thing(raw_post())]))]
    assert len(reddit_client.page("r/python/new", {}).posts) == 1
    reddit.answers["/r/python/new"] = [refused]
    error = fails_with(reddit_client)
    assert (error.kind, error.stops_everything) == (ErrorKind.UNAUTHORIZED, True)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ({}, None),
        ({"Retry-After": "7"}, 7),
        ({"Retry-After": "7.5"}, 7.5),
        ({"Retry-After": "Wed, 01 Jan 2020 00:00:00 GMT"}, 0),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": "nan"}, None),
    ],
)
def test_every_form_of_retry_after_is_read(
    reddit: RedditReplay, reddit_client: RedditClient, header: dict[str, str], seconds: float | None
) -> None:
    reddit.answers["/r/python/new"] = [Answer(429, header, b"")]
    error = fails_with(reddit_client)
    assert (error.kind, error.retry_after) == (ErrorKind.RATE_LIMITED, seconds)


def test_a_date_in_retry_after_becomes_seconds(reddit: RedditReplay, reddit_client: RedditClient) -> None:
    reddit.answers["/r/python/new"] = [Answer(429, {"Retry-After": "Fri, 01 Jan 2100 00:00:00 GMT"}, b"")]
    assert (fails_with(reddit_client).retry_after or 0) > 10**9


@pytest.mark.slow
@pytest.mark.parametrize(
    ("used", "remaining", "reset"),
    [("1.5", "99.0", "5.5"), ("x", "99", "5"), ("1", "nan", "5"), ("1", "99", ""), ("", "99", "5")],
)
def test_invalid_rate_limit_headers_break_nothing(
    reddit: RedditReplay,
    reddit_client: RedditClient,
    used: str,
    remaining: str,
    reset: str,
) -> None:
    body = listing([thing(raw_post())])
    headers = {"x-ratelimit-used": used, "x-ratelimit-remaining": remaining, "x-ratelimit-reset": reset}
    reddit.answers["/r/python/new"] = [Answer.of(body, **headers)]
    assert len(reddit_client.page("r/python/new", {}).posts) == 1
    assert len(reddit_client.page("r/python/new", {}).posts) == 1


def test_no_worker_waits_ten_minutes_for_a_used_up_rate_limit(
    reddit: RedditReplay, reddit_client: RedditClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    slept: list[float] = []
    monkeypatch.setattr("prawcore.rate_limit.time.sleep", slept.append)
    headers = {"x-ratelimit-used": "1000", "x-ratelimit-remaining": "0.0", "x-ratelimit-reset": "590"}
    reddit.answers["/r/python/new"] = [Answer.of(listing([]), **headers)]
    reddit_client.page("r/python/new", {})
    error = fails_with(reddit_client)
    assert (error.kind, error.stops_everything) == (ErrorKind.RATE_LIMITED, True)
    assert 580 < (error.retry_after or 0) < 592
    assert (len(reddit.asked()), slept) == (1, [])


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["hang", "reset", "short"])
def test_a_broken_connection_is_tried_three_times_and_then_reported(
    reddit: RedditReplay, reddit_client: RedditClient, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    defaults = prawcore.sessions.Session.request.__kwdefaults__ or {}
    monkeypatch.setitem(defaults, "timeout", 0.3 if fault == "hang" else 5)
    broken = Answer(body=json.dumps(listing([])).encode(), fault=fault)
    reddit.answers["/r/python/new"] = [broken, broken, Answer.of(listing([thing(raw_post())]))]
    assert len(reddit_client.page("r/python/new", {}).posts) == 1
    reddit.answers["/r/python/new"] = [broken]
    reddit.requests.clear()
    error = fails_with(reddit_client)
    assert (error.kind, error.stops_everything) == (ErrorKind.NETWORK, False)
    assert len(reddit.asked()) == 3


def test_an_unreachable_server_is_reported(settings: Settings, reddit: RedditReplay) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: refused
        settings.REDDIT_URL = settings.REDDIT_OAUTH_URL = f"http://127.0.0.1:{taken.getsockname()[1]}"
        with client_for(None) as reddit_client:
            error = fails_with(reddit_client)
    assert error.kind == ErrorKind.NETWORK
    assert "cannot be reached" in str(error)


def test_an_invalid_address_names_its_variable(settings: Settings, reddit: RedditReplay) -> None:
    settings.REDDIT_URL = settings.REDDIT_OAUTH_URL = "reddit"
    with client_for(None) as reddit_client:
        error = fails_with(reddit_client)
    assert error.kind == ErrorKind.NOT_CONFIGURED
    assert "REDDIT_URL" in str(error)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("status", "headers", "body", "kind"),
    [
        (302, {}, b"", ErrorKind.NOT_FOUND),  # no Location
        (400, {}, b"", ErrorKind.BAD_REQUEST),
        (400, {}, b'{"fields": ["a", "b"]}', ErrorKind.BAD_REQUEST),
        (400, {}, b'{"explanation": "no reason"}', ErrorKind.BAD_REQUEST),
        (400, {}, b"[]", ErrorKind.BAD_REQUEST),
        (403, {"www-authenticate": 'Bearer error="unheard_of"'}, b"", ErrorKind.FORBIDDEN),
        (403, {}, b"<html>blocked by network security", ErrorKind.FORBIDDEN),
        (403, {}, b'{"reason": "gold_only"}', ErrorKind.FORBIDDEN),
        (404, {}, b"", ErrorKind.NOT_FOUND),
        (409, {}, b"{}", ErrorKind.BAD_REQUEST),
        (415, {}, b"<html>", ErrorKind.BAD_REQUEST),
        (418, {}, b"", ErrorKind.BAD_REQUEST),
        (500, {}, b"[]", ErrorKind.SERVER_ERROR),
        (522, {}, b"", ErrorKind.SERVER_ERROR),
        (599, {}, b"", ErrorKind.SERVER_ERROR),
    ],
)
def test_statuses_without_a_recording_are_reported_too(
    reddit: RedditReplay,
    reddit_client: RedditClient,
    status: int,
    headers: dict[str, str],
    body: bytes,
    kind: ErrorKind,
) -> None:
    reddit.answers["/r/python/new"] = [Answer(status, headers, body)]
    assert fails_with(reddit_client).kind == kind
