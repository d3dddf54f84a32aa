"""A row that somebody deletes between being read and being locked."""

import re
import threading
from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from django_celery_beat.models import PeriodicTask

from accounts import personal_tokens
from accounts.models import IdempotencyKey, IdempotencyKeyQuerySet
from audit.models import Event
from database.locks import RowGone
from maintenance import retention
from maintenance.models import RetentionPolicy
from maintenance.scheduling import edits, hooks, planned_windows
from maintenance.scheduling.planned_windows import Plan
from maintenance.scheduling.schedules import RELATED
from scraping.admin import bot_edits
from scraping.compliance import brake
from scraping.models import BotConfig
from tests.api.calls import Api
from tests.kit import factories
from tests.sizes import sources

pytestmark = pytest.mark.django_db
HOUR = timedelta(hours=1)
TOMORROW = timezone.now() + 24 * HOUR


def schedule():
    task = factories.schedule(task="maintenance.cleanup_tokens")
    return PeriodicTask.objects.select_related(*RELATED).get(pk=task.pk)


def address(by):
    return hooks.open_hook(schedule(), by=by)[0]


CHANGES = {
    "pause a schedule": (lambda by: schedule(), lambda row, by: edits.pause(row, by=by, reason="Late")),
    "resume a schedule": (lambda by: schedule(), lambda row, by: edits.resume(row, by=by)),
    "delete a schedule": (lambda by: schedule(), lambda row, by: edits.delete(row, by=by)),
    "change a bot": (
        lambda by: factories.bot_config(owner=by),
        lambda row, by: bot_edits.change_bot(row, {"name": "other"}, by=by),
    ),
    "delete a window": (
        lambda by: planned_windows.plan_window(Plan(TOMORROW, TOMORROW + HOUR), by=by, reason="Restore"),
        lambda row, by: planned_windows.delete_window(row, by=by),
    ),
    "change a retention": (
        lambda by: RetentionPolicy.objects.all()[0],
        lambda row, by: retention.change(row, retention.retention_of(row), by=by),
    ),
    "decide": (
        lambda by: factories.set_aside(),
        lambda row, by: brake.decide(row, is_right=True, by=by),
    ),
}


@pytest.mark.parametrize(("make", "change"), CHANGES.values(), ids=CHANGES)
def test_a_change_of_a_row_that_is_gone_says_so_and_writes_no_event(monkeypatch, make, change):
    person = factories.superuser()
    row = make(person)
    events = Event.objects.count()
    monkeypatch.setattr(bot_edits, "_permit", lambda *_args: None)  # it asks for the row, a moment before
    type(row).objects.filter(pk=row.pk).delete()

    with pytest.raises(RowGone, match="deleted meanwhile"):
        change(row, person)

    assert Event.objects.count() == events


def test_the_address_of_a_schedule_that_is_gone_starts_nothing():
    hook = address(factories.superuser())
    PeriodicTask.objects.filter(pk=hook.schedule_id).delete()

    with pytest.raises(RowGone):
        hooks.start(hook)


def test_a_token_for_an_account_that_is_gone_is_refused():
    person = factories.superuser()
    type(person).objects.filter(pk=person.pk).delete()

    with pytest.raises(RowGone):
        personal_tokens.make(user=person, name="ci", scopes=["read"], days=personal_tokens.DAYS[0], by=person)


@pytest.fixture
def gone_at_the_lock(monkeypatch):
    """A schedule that is deleted when its edit begins."""
    task = schedule()
    monkeypatch.setattr(edits, "permit", lambda by: PeriodicTask.objects.filter(pk=task.pk).delete())
    return task


def test_the_page_answers_404_with_what_was_typed(gone_at_the_lock):
    browser = Client(headers={"Accept-Language": "zh-hans", "Origin": "http://testserver"})
    browser.force_login(factories.superuser())

    url = reverse("admin:maintenance_schedule_pause", args=[gone_at_the_lock.pk])
    answer = browser.post(url, {"reason": "Reddit is down", "until": ""})

    assert answer.status_code == 404
    assert "已被删除" in answer.content.decode()
    assert "Reddit is down" in answer.content.decode()


def test_the_api_answers_404(gone_at_the_lock):
    answer = Api.of(factories.superuser()).post(f"schedules/{gone_at_the_lock.pk}/pause", {"reason": "Late"})

    assert (answer.status_code, answer.json()["detail"][:25]) == (404, "It was deleted meanwhile,")


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_of_two_that_delete_a_bot_at_once_one_is_told_that_it_is_gone():
    person = factories.superuser()
    bot = factories.bot_config(owner=person)
    api, together, answers = Api.of(person), threading.Barrier(2), []

    def delete():
        together.wait()
        answers.append(api("DELETE", f"bot-configs/{bot.pk}").status_code)
        connection.close()

    threads = [threading.Thread(target=delete) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(answers) == [204, 404]
    assert not BotConfig.objects.exists()
    assert Event.objects.filter(verb__endswith="deleted", subject_id=str(bot.pk)).count() == 1


def test_a_key_that_cleanup_deletes_meanwhile_is_taken_anew(monkeypatch):
    person = factories.superuser()

    def take():
        return IdempotencyKey.take(user=person, key="a", fingerprint="f")

    first = take()
    given = IdempotencyKeyQuerySet.get_or_create

    def then_deleted(rows, **values):
        monkeypatch.undo()
        found = given(rows, **values)
        IdempotencyKey.objects.all().delete()
        return found

    monkeypatch.setattr(IdempotencyKeyQuerySet, "get_or_create", then_deleted)
    again = take()

    assert again is not None
    assert again.pk != first.pk
    assert IdempotencyKey.objects.get().pk == again.pk


def test_no_source_locks_a_row_that_may_be_gone_without_saying_so():
    unsure = re.compile(r"select_for_update\([^)]*\)\s*\.get\(")

    ours = [file for file in sources() if "tests" not in file.parts]
    assert len(ours) > 200
    assert [str(file) for file in ours if unsure.search(file.read_text())] == []
