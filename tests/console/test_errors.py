"""The pages of errors, in the console's layout where the database is not what failed."""

import re
import sqlite3
from urllib.parse import unquote

import psycopg2
import pytest
from django.conf import settings
from django.db import OperationalError
from django.test import Client
from django.urls import reverse

from console.typed import is_secret
from tests.kit import factories

pytestmark = pytest.mark.django_db


def test_a_missing_page_says_so_in_the_readers_language(client):
    answer = client.get("/nowhere", headers={"Accept-Language": "zh-hans"})

    assert answer.status_code == 404
    assert "没有这个页面" in answer.content.decode()


def test_a_forbidden_page_says_what_to_do(client):
    client.force_login(factories.user())

    answer = client.get(reverse("admin:maintenance_job_run", args=["purge_old_content"]))

    assert answer.status_code == 403
    assert "lacks the permission" in answer.content.decode()


def test_a_form_of_another_sign_in_is_refused_in_words():
    browser = Client(enforce_csrf_checks=True, headers={"Accept-Language": "zh-hans"})
    browser.force_login(factories.superuser())
    run = factories.job_run(status="blocked")

    answer = browser.post(reverse("admin:maintenance_jobrun_approve", args=[run.pk]), {"reason": "long ago"})

    assert answer.status_code == 403
    assert "页面已过期" in answer.content.decode()
    run.refresh_from_db()
    assert run.status == "blocked"


def test_a_browser_that_has_lost_the_token_of_forms_gets_it_with_the_check_of_its_session(client):
    client.force_login(factories.superuser())

    assert "csrftoken" in client.get(reverse("admin:session")).cookies


def test_an_error_page_needs_no_database():
    from django.template.loader import get_template

    assert "Something went wrong" in get_template("500.html").render({})


def test_a_wrong_host_is_told_so_without_the_frame(client):
    answer = client.get("/admin/", headers={"Host": "evil.example"})

    assert answer.status_code == 400
    assert "ALLOWED_HOSTS" in answer.content.decode()


@pytest.mark.slow
def test_a_request_that_cannot_be_read_is_answered_in_the_frame(client):
    client.force_login(factories.superuser())

    answer = client.post(reverse("admin:auth_group_add"), {f"name{number}": "x" for number in range(1100)})

    assert answer.status_code == 400
    assert 'id="site-name"' in answer.content.decode()


def locked():
    """Return what Django raises where SQLite waited for its lock in vain."""
    cause = sqlite3.OperationalError("database is locked")
    cause.sqlite_errorname = "SQLITE_BUSY"
    return cause


@pytest.mark.parametrize(
    "cause", [locked(), psycopg2.OperationalError("server closed")], ids=["busy", "lost"]
)
def test_a_database_that_is_away_for_a_moment_is_answered_with_when_to_try_again(client, monkeypatch, cause):
    client.force_login(factories.superuser())
    client.raise_request_exception = False

    def fail(*_args, **_kwargs):
        raise OperationalError("no") from cause

    monkeypatch.setattr("django.contrib.auth.models.User.has_perm", fail)

    answer = client.get("/admin/")

    assert (answer.status_code, answer["Retry-After"]) == (503, "5")
    assert "restarting" in answer.content.decode()


def test_another_error_of_the_database_stays_a_failure(client, monkeypatch):
    client.force_login(factories.superuser())
    client.raise_request_exception = False

    def fail(*_args, **_kwargs):
        raise OperationalError("no such table")

    monkeypatch.setattr("django.contrib.auth.models.User.has_perm", fail)

    answer = client.get("/admin/")

    assert answer.status_code == 500
    assert "Retry-After" not in answer


# --- Nothing that was typed is lost --------------------------------------------------------------

OWN = {"origin": "http://testserver"}
SECRETS = {"password": "hunter2", "form-0-new_url": "hunter2", "new_chat": "hunter2", "code": "hunter2"}
TYPED = {
    "description": "precious <b>words</b>",
    **SECRETS,
    "_save": "1",
    "opened": "{}",
    "form-TOTAL_FORMS": "77",
}


@pytest.mark.parametrize(
    ("state", "status", "said"),
    [("signed out", 403, "your session has ended"), ("deleted", 404, "There is no such schedule"), ("old", 403, "too old")],
)  # fmt: skip
def test_a_form_that_cannot_be_taken_shows_what_was_typed(state, status, said):
    browser = Client(enforce_csrf_checks=state == "old")
    if state != "signed out":
        browser.force_login(factories.superuser())
    task = factories.schedule()
    address = reverse("admin:django_celery_beat_periodictask_change", args=[task.pk])
    if state == "deleted":
        task.delete()

    answer = browser.post(address, TYPED, headers={**OWN, "referer": "http://testserver/admin/?page=1"})
    of_another_site = browser.post(address, TYPED, headers={"origin": "http://evil.example"})

    page = answer.content.decode()
    assert answer.status_code == status
    assert said in page
    assert "precious &lt;b&gt;words&lt;/b&gt;" in page
    assert "hunter2" not in page
    assert "TOTAL" not in page
    assert state == "deleted" or "/admin/?page=1" in unquote(page)
    assert "precious" not in of_another_site.content.decode()


@pytest.mark.parametrize(
    ("field", "label"),
    [("description", "描述"), ("start_time_0", "开始时间"), ("of_nobody_here", "of nobody here")],
)
def test_what_was_typed_stands_under_the_label_of_its_field(field, label):
    address = reverse("admin:django_celery_beat_periodictask_add")

    answer = Client().post(address, {field: "precious"}, headers={**OWN, "accept-language": "zh-hans"})

    assert answer.context["typed"] == [(label, "precious")]


def test_the_way_back_leads_to_no_other_host():
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(factories.superuser())

    answer = browser.post("/admin/", TYPED, headers={**OWN, "referer": "http://testserver//evil.example/x"})

    assert 'href="//evil.example' not in answer.content.decode()
    assert answer.context["back"] == "/%2Fevil.example/x"


def test_no_field_of_a_secret_is_shown():
    """Each is named so that ``typed`` knows it: a page never shows what was typed into it."""
    named = re.compile(r"(\w+)\"?\]? = SecretField\(")
    files = [
        file for app in ("accounts", "alerts", "scraping") for file in (settings.BASE_DIR / app).rglob("*.py")
    ]
    found = {name for file in files for name in named.findall(file.read_text())} - {"field"}

    assert found == {"new_secret", "new_url", "new_chat"}
    assert all(map(is_secret, (*found, "ping_address")))
