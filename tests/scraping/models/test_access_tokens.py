"""One sign-in for all workers, and a token endpoint with temporary failures."""

import threading
from typing import Any

import pytest
from django.db import connection, connections
from django.utils import timezone

from scraping.models import access_tokens
from scraping.models.access_tokens import AccessToken
from scraping.reddit.client import RedditClient, client_for
from scraping.reddit.credentials import Credentials
from scraping.reddit.errors import RedditError
from tests.kit.scraped import raw_post
from tests.scraping.reddit_replay import TOKEN, TOKEN_PATH, Answer, Asked, RedditReplay

pytestmark = pytest.mark.django_db


def sign_ins(reddit: RedditReplay) -> int:
    return sum(asked.path == TOKEN_PATH for asked in reddit.requests)


def ask(client: RedditClient) -> None:
    client.info(["t3_1"])


def test_a_token_serves_all_clients_until_it_expires(reddit: RedditReplay) -> None:
    for _ in range(3):
        with client_for(None) as client:
            ask(client)
    assert sign_ins(reddit) == 1
    token = AccessToken.objects.get()
    assert token.token == "replayed"
    assert 86_300 < (token.expires_at - timezone.now()).total_seconds() < 86_400
    AccessToken.objects.update(expires_at=timezone.now())
    with client_for(None) as client:
        ask(client)
    assert sign_ins(reddit) == 2


def test_the_stored_token_is_encrypted(reddit: RedditReplay) -> None:
    with client_for(None) as client:
        ask(client)
    with connection.cursor() as cursor:
        cursor.execute("SELECT token FROM scraping_accesstoken")
        assert "replayed" not in cursor.fetchone()[0]


def test_a_changed_secret_is_tried_at_once(reddit: RedditReplay) -> None:
    for secret in ("one", "two", "two"):
        with RedditClient(Credentials("app", secret, "test:maintenance-console:0")) as client:
            ask(client)
    assert sign_ins(reddit) == 2


def test_a_token_that_reddit_does_not_know_any_more_is_replaced(reddit: RedditReplay) -> None:
    with client_for(None) as client:
        ask(client)
    reddit.answers[TOKEN_PATH] = [Answer.of(TOKEN | {"access_token": "second"})]
    plain = RedditReplay._answer

    class Strict(RedditReplay):
        def _answer(self, asked: Asked) -> Answer:
            if asked.headers.get("Authorization") != "bearer second":
                return Answer(401, {"www-authenticate": 'Bearer error="invalid_token"'}, b"{}")
            return plain(self, asked)

    reddit.__class__ = Strict
    for _ in range(2):
        with client_for(None) as client:
            ask(client)
    assert sign_ins(reddit) == 2
    assert AccessToken.objects.get().token == "second"


def test_a_token_encrypted_with_a_lost_key_is_replaced(reddit: RedditReplay, settings: Any) -> None:
    with client_for(None) as client:
        ask(client)
    settings.FIELD_ENCRYPTION_KEY = ["another key"]
    with client_for(None) as client:
        ask(client)
    assert sign_ins(reddit) == 2


@pytest.mark.django_db(transaction=True)
def test_workers_that_begin_at_once_sign_in_once(
    reddit: RedditReplay, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(access_tokens, "PATIENCE_SECONDS", 60.0)
    barrier, errors = threading.Barrier(4), []

    def work() -> None:
        try:
            with client_for(None) as client:
                barrier.wait(30)
                ask(client)
        except Exception as error:
            errors.append(error)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert sign_ins(reddit) == 1


BAD_TOKENS = {
    "500": Answer(500, {}, b'{"message": "Internal Server Error", "error": 500}'),
    "503": Answer(503, {"Content-Type": "text/html"}, b"<!doctype html>Ow!"),
    "html": Answer(200, {"Content-Type": "text/html"}, b"<!doctype html><title>reddit</title>"),
    "empty": Answer(),
    "null": Answer(body=b"null"),
    "no token": Answer(body=b"{}"),
    "cut": Answer(body=b'{"access_token": "repl'),
    "truncated": Answer(body=b'{"access_token": "repl', fault="short"),
    "reset": Answer(fault="reset"),
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", BAD_TOKENS)
def test_a_sign_in_that_fails_twice_succeeds(reddit: RedditReplay, kind: str) -> None:
    reddit.answers[TOKEN_PATH] = [BAD_TOKENS[kind], BAD_TOKENS[kind], Answer.of(TOKEN)]
    with client_for(None) as client:
        ask(client)
        assert client.requests_used == len(reddit.requests) == 4
    assert sign_ins(reddit) == 3


def test_a_refused_sign_in_is_not_repeated(reddit: RedditReplay) -> None:
    for answer in (Answer(401), Answer.of({"error": "unsupported_grant_type"})):
        reddit.requests.clear()
        reddit.answers[TOKEN_PATH] = [answer]
        with client_for(None) as client, pytest.raises(RedditError) as caught:
            ask(client)
        assert caught.value.kind == "unauthorized"
        assert sign_ins(reddit) == 1


UNREADABLE = {
    "html": Answer(200, {"Content-Type": "text/html"}, b"<!doctype html>"),
    "empty": Answer(),
    "null": Answer(body=b"null"),
    "cut": Answer(body=b'{"kind": "Listing", "da'),
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", UNREADABLE)
@pytest.mark.parametrize("times", [1, 2, 3])
def test_an_unreadable_answer_is_asked_for_again_twice(reddit: RedditReplay, kind: str, times: int) -> None:
    reddit.add_posts("python", [raw_post()])
    path = "/r/python/new"
    good = reddit._listing("python", Asked("GET", path, {}, {}, {}))
    reddit.answers[path] = [UNREADABLE[kind]] * times + [good]
    with client_for(None) as client:
        walk = client.listing("python", sort="new", time_filter="day", limit=100)
        if times < 3:
            assert len(next(iter(walk)).posts) == 1
            assert client.retries == times
        else:
            with pytest.raises(RedditError) as caught:
                next(iter(walk))
            assert caught.value.kind == "bad_answer"
            assert len(reddit.asked(path=path)) == 3
