"""Addresses of schedules: a signed call starts a run once, with the schedule's authority and no more."""

import re
import threading
import time
from datetime import timedelta
from uuid import uuid4

import pytest
from django.db import connection
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from api import hooks as endpoint
from audit.models import Event
from maintenance.models import HookCall, JobRun, ScheduleHook
from maintenance.scheduling import edits, hooks, maintenance_mode
from tests.kit import factories
from tests.kit.steps import ran

pytestmark = pytest.mark.django_db
JOB = "maintenance.cleanup_tokens"


@pytest.fixture
def task():
    return factories.schedule(task=JOB)


@pytest.fixture
def hook(task):
    return hooks.open_hook(task, by=factories.superuser())


def signed(secret, *, sent_at=None, body=b"{}"):
    moment = str(int(time.time()) if sent_at is None else sent_at)
    return {
        "X-Console-Timestamp": moment,
        "X-Console-Signature": f"sha256={hooks.signature_of(secret, moment, body)}",
    }


def call(public_id, headers, body=b"{}"):
    client = Client(raise_request_exception=False)
    return client.generic("POST", f"/api/v1/hooks/{public_id}", body, "application/json", headers=headers)


def kind(answer):
    return answer.status_code, answer.json()["type"].partition("#")[2]


def test_a_signed_call_starts_the_schedule_once(task, hook):
    row, secret = hook
    headers = signed(secret, body=b'{"any": "thing"}')

    answer = call(row.public_id, headers, b'{"any": "thing"}')
    again = call(row.public_id, headers, b'{"any": "thing"}')

    run = JobRun.objects.get()
    assert (answer.status_code, answer.json()) == (202, {"run": run.pk, "status": "queued"})
    assert kind(again) == (401, "invalid-signature")
    assert (run.job, run.schedule, run.params, run.requested_by) == ("cleanup_tokens", task, {}, None)
    assert (run.dry_run, run.mandate, run.trigger) == (False, None, "api")
    event = Event.objects.get(verb="schedule.address_called")
    assert (event.subject_id, event.parameters, event.actor_kind) == (str(task.pk), {"run": run.pk}, "token")
    row.refresh_from_db()
    assert row.used_at is not None


def test_the_call_has_the_schedules_parameters_and_none_of_its_own():
    bot = factories.bot_config()
    task = factories.schedule(task="maintenance.scrape_now", kwargs=f'{{"config": {bot.pk}}}')
    row, secret = hooks.open_hook(task, by=factories.superuser())
    body = b'{"params": {"config": 999}, "force": true, "reason": "x"}'

    assert call(row.public_id, signed(secret, body=body), body).status_code == 202

    assert JobRun.objects.get().params == {"config": bot.pk}


@pytest.mark.parametrize(
    "fault", ["secret", "body", "time", "old", "early", "no time", "scheme", "address", "closed"]
)
def test_every_call_that_is_not_right_gets_the_same_answer(task, hook, fault):
    row, secret = hook
    now, public_id, body = int(time.time()), row.public_id, b"{}"
    headers = signed("other" if fault == "secret" else secret)
    match fault:
        case "body":
            body = b'{"a": 1}'
        case "time":
            headers["X-Console-Timestamp"] = str(now - 1)
        case "old" | "early":
            headers = signed(secret, sent_at=now - 302 if fault == "old" else now + 302)
        case "no time":
            headers = signed(secret, sent_at="٤" * 3)
        case "scheme":
            headers["X-Console-Signature"] = headers["X-Console-Signature"].removeprefix("sha256=")
        case "address":
            public_id = uuid4()
        case "closed":
            hooks.close_hook(task, by=factories.superuser())

    answer = call(
        public_id, {name: value.encode().decode("latin-1") for name, value in headers.items()}, body
    )

    assert kind(answer) == (401, "invalid-signature")
    assert (JobRun.objects.count(), HookCall.objects.count()) == (0, 0)


def test_a_call_almost_five_minutes_old_is_good(hook):
    row, secret = hook

    assert call(row.public_id, signed(secret, sent_at=int(time.time()) - 290)).status_code == 202


def test_what_stops_the_schedule_stops_the_call_which_cannot_be_sent_again(task, hook):
    row, secret = hook
    person = factories.superuser()
    edits.pause(task, by=person, reason="x")
    headers = signed(secret)

    assert kind(call(row.public_id, headers)) == (409, "conflict")
    edits.resume(task, by=person)
    assert kind(call(row.public_id, headers)) == (401, "invalid-signature")
    maintenance_mode.start(by=person, reason="x")
    assert kind(call(row.public_id, signed(secret, body=b"1"), b"1")) == (409, "conflict")
    maintenance_mode.end(by=person)
    assert call(row.public_id, signed(secret, body=b"2"), b"2").status_code == 202
    assert kind(call(row.public_id, signed(secret, body=b"3"), b"3")) == (409, "conflict")
    assert JobRun.objects.filter(trigger="api").count() == 1


def test_calls_of_an_address_are_limited(hook, monkeypatch):
    row, secret = hook
    monkeypatch.setattr(endpoint, "PER_HOOK", 2)

    statuses = [
        call(row.public_id, signed(secret, body=b"%d" % at), b"%d" % at).status_code for at in range(3)
    ]

    assert statuses == [202, 409, 429]


def test_a_large_body_is_refused(hook):
    row, secret = hook
    body = b'"' + b"x" * endpoint.BODY_MAX + b'"'

    assert kind(call(row.public_id, signed(secret, body=body), body)) == (413, "too-large")


def test_the_page_gives_an_address_renews_its_secret_and_takes_it_away(client, task):
    client.force_login(factories.superuser())
    page = reverse("admin:maintenance_schedule_hook", args=[task.pk])
    assert not ScheduleHook.objects.exists()
    assert "This schedule has no address." in client.get(page).content.decode()

    def shown():
        return re.search(
            r"<code>([A-Za-z0-9_-]{43})</code>", client.post(page, {"open": "yes"}).content.decode()
        )[1]

    first, second = shown(), shown()
    row = ScheduleHook.objects.get()
    assert (row.secret, first != second) == (second, True)
    assert f"/api/v1/hooks/{row.public_id}" in client.get(page).content.decode()
    assert second not in client.get(page).content.decode()
    assert kind(call(row.public_id, signed(first))) == (401, "invalid-signature")
    assert call(row.public_id, signed(second)).status_code == 202
    with connection.cursor() as cursor:
        cursor.execute("SELECT secret FROM maintenance_schedulehook")
        assert second not in cursor.fetchone()[0]
    client.post(page, {"close": "yes"})
    assert not ScheduleHook.objects.exists()
    verbs = Event.objects.filter(verb__startswith="schedule.address").order_by("pk")
    assert [one.verb.rpartition("_")[2] for one in verbs] == ["opened", "opened", "called", "closed"]
    assert first not in str(list(verbs.values()))


def test_who_may_not_change_schedules_gives_no_address(client, task):
    client.force_login(factories.user("django_celery_beat.view_periodictask"))
    page = reverse("admin:maintenance_schedule_hook", args=[task.pk])

    assert client.post(page, {"open": "yes"}).status_code == 403
    assert not ScheduleHook.objects.exists()


def test_deleting_a_schedule_deletes_its_address(task, hook):
    survivor = factories.schedule_hook()
    factories.hook_call(hook=hook[0])

    edits.delete(task, by=factories.superuser())

    assert list(ScheduleHook.objects.all()) == [survivor]
    assert not HookCall.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_cleanup_forgets_old_calls():
    hook = factories.schedule_hook()
    live = factories.hook_call(hook=hook)
    factories.hook_call(hook=hook, at=timezone.now() - timedelta(hours=1, seconds=1))

    assert ran("cleanup_tokens").counts["maintenance.HookCall"] == 1

    assert list(HookCall.objects.all()) == [live]


@pytest.mark.django_db(transaction=True)
def test_a_call_that_comes_several_times_at_once_starts_one_run():
    row, secret = hooks.open_hook(factories.schedule(task=JOB), by=factories.superuser())
    headers, together, statuses = signed(secret), threading.Barrier(4), []

    def send():
        together.wait(10)
        statuses.append(call(row.public_id, headers).status_code)
        connection.close()

    threads = [threading.Thread(target=send) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(statuses) == [202, 401, 401, 401]
    assert JobRun.objects.count() == 1
