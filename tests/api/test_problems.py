"""Every error under /api/ is a problem, and says which request it was."""

import json
import sqlite3

import pytest
from django.db import OperationalError
from django.test import Client

from api import runs, throttle
from tests.api.calls import Api
from tests.kit import factories

pytestmark = pytest.mark.django_db


def problem(answer):
    assert answer["Content-Type"] == "application/problem+json"
    told = answer.json()
    assert (told["status"], told["request_id"]) == (answer.status_code, answer["X-Request-Id"])
    return answer.status_code, told["type"].partition("#")[2]


def test_every_kind_of_error_is_a_problem(settings):
    api = Api.of(factories.superuser())
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 5_000

    def raw(text, kind="application/json"):
        headers = {"Authorization": f"Bearer {api.secret}"}
        return api.client.generic("POST", "/api/v1/jobs/cleanup_tokens/run", text, kind, headers=headers)

    found = [
        problem(answer)
        for answer in (
            api.get("/api/v1/nothing"), api.get("runs/9999999999999999999999"), api("DELETE", "runs/"), raw("{"), raw("NaN"),
            raw('{"params": {"a": "\\u0000"}}'), raw("[" * 4000), raw("a=1", "text/plain"), raw("x" * 6000),
            raw('{"dry_run": 7}'), api.get("runs/?limit=999"), api.get("runs/?cursor=x"), Api().get("runs/"),
        )
    ]  # fmt: skip

    assert found == [
        (404, "not-found"), (404, "not-found"), (405, "method-not-allowed"), (400, "bad-request"), (400, "bad-request"),
        (400, "bad-request"), (400, "bad-request"), (415, "unsupported-media-type"), (413, "too-large"),
        (422, "invalid"), (422, "invalid"), (422, "invalid"), (401, "not-signed-in"),
    ]  # fmt: skip


def test_a_failure_is_a_problem_without_a_trace(monkeypatch, caplog):
    monkeypatch.setattr(runs, "as_json", lambda run: 1 / 0)
    factories.job_run()

    answer = Api.of(factories.superuser()).get("runs/")

    assert problem(answer) == (500, "internal-error")
    assert "ZeroDivisionError" in caplog.text
    assert "ZeroDivision" not in answer.content.decode()


def test_a_database_that_is_locked_is_told_with_when_to_come_back(monkeypatch):
    cause = sqlite3.OperationalError("database is locked")
    cause.sqlite_errorname = "SQLITE_BUSY"

    def fail(run):
        raise OperationalError("no") from cause

    monkeypatch.setattr(runs, "as_json", fail)
    factories.job_run()

    answer = Api.of(factories.superuser()).get("runs/")

    assert problem(answer) == (503, "unavailable")
    assert answer["Retry-After"] == "5"


def test_too_many_calls_are_told_when_to_come_back(monkeypatch):
    monkeypatch.setattr(throttle, "PER_CALLER", 2)
    api, other = Api.of(factories.superuser()), Api.of(factories.superuser())
    first = api.get("jobs/")
    assert first["RateLimit"].startswith('"minute";r=1;t=')
    api.get("jobs/")

    answer = api.get("jobs/")

    assert problem(answer) == (429, "throttled")
    assert 1 <= int(answer["Retry-After"]) <= 60
    assert other.get("jobs/").status_code == 200


def test_a_session_needs_a_csrf_token_to_change_something_and_a_bearer_does_not():
    user = factories.superuser()
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(user)
    path, kind = "/api/v1/jobs/cleanup_tokens/run", "application/json"

    assert browser.get("/api/v1/jobs/").status_code == 200
    assert problem(browser.post(path, {}, kind)) == (403, "csrf-failed")
    browser.cookies["csrftoken"] = "a" * 32
    assert browser.post(path, {}, kind, headers={"X-CSRFToken": "a" * 32}).status_code == 202
    assert Api.of(user).post("jobs/cleanup_tokens/run", {}).status_code == 202


def test_the_id_of_a_request_is_the_clients_if_it_can_be_logged(caplog):
    api = Api()

    assert api.get("runs/", **{"X-Request-Id": "trace-12345"})["X-Request-Id"] == "trace-12345"
    assert len(api.get("runs/", **{"X-Request-Id": "a b\t"})["X-Request-Id"]) == 32


def test_the_description_is_openapi_and_the_reference_needs_no_script():
    told = json.loads(Client().get("/api/openapi.json").content)
    page = Client().get("/api/docs")

    assert told["openapi"].startswith("3.1")
    assert page.status_code == 200
    assert "/api/v1/bot-configs/{bot_id}/scrape-now" in page.content.decode()
    text = page.content.decode()
    assert "200, 202, 400, 401, 403" in text
    assert "<code>Prefer: wait=N</code>" in text
    assert "`" not in text
    assert "nav-sidebar" not in text
    policy = page["Content-Security-Policy"]
    assert "script-src 'self'" in policy
