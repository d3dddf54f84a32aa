"""Open alerts, and messages that were given up, as lines of "Needs you"."""

import pytest
from django.urls import reverse
from django.utils import timezone

from alerts import failures
from alerts.models import Mute
from alerts.rules import RULES
from console import needs
from console.needs import failures as needs_failures
from console.needs.alerts import SAID_ELSEWHERE
from console.roles import BOT_OWNERS, VIEWERS
from tests.console.needs.test_needs import (
    HOUR,
    buttons,
    lines,
    member,
    number_in_list,
    purge_run,
    served,
    texts,
    world,
)
from tests.kit import factories

__all__ = ["served"]

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("seeded", "served")]


def test_an_open_alert_is_a_line_unless_another_line_says_the_same_or_somebody_looks_after_it():
    boss = factories.superuser()
    factories.alert(rule="failed", subject_name="said by the runs")
    factories.alert(rule="late", subject_name="A", cause="why")
    factories.alert(rule="late", subject_name="B", cause="why")
    closed = factories.alert(rule="late", subject_name="over")
    closed.close(closed.opened_at)
    factories.alert(rule="late", subject_name="C", acknowledged_at=timezone.now(), acknowledged_by_name="ada")
    muted = factories.mute(rule="late")
    factories.alert(rule="late", subject_name="D", subject_id=muted.subject_id)

    (line,) = lines(boss)

    assert (line.text, line.figures) == ("Late: A, B", ("why",))


def test_a_storm_of_failures_hides_no_other_alert(monkeypatch):
    monkeypatch.setattr("console.needs.alerts.READ_MAX", 2)
    for number in range(3):
        factories.alert(rule="failed", subject_id=str(number), subject_name="said by the runs")
    factories.alert(rule="late", subject_name="A")

    assert any(text.endswith(": A") for text in texts(factories.superuser()))


def test_what_failed_before_a_storm_of_failures_is_said_by_its_alert(monkeypatch):
    monkeypatch.setattr(failures, "FAILURES_MAX", 3)
    purge = purge_run("failed", ago=5 * HOUR, error="disk full")
    about_purge = {"subject_type": "django_celery_beat.PeriodicTask", "subject_id": str(purge.schedule_id)}
    alert = factories.alert(subject_name="Purge old content", cause="disk full", **about_purge)
    factories.alert(subject_id="cleanup_tokens", subject_name="Cleanup tokens")
    boss = factories.superuser()
    assert texts(boss) == ["Purge old content is failing"]

    for _number in range(3):
        factories.job_run(job="cleanup_tokens", status="failed", error="locked")

    storm, unread = lines(boss)
    assert storm.text == "Cleanup tokens is failing"
    assert (unread.text, unread.figures) == ("Failed: Purge old content", ("disk full",))
    assert unread.actions[0].url == reverse("admin:alerts_alert_change", args=[alert.pk])
    factories.mute(**about_purge)
    assert texts(boss) == ["Cleanup tokens is failing"]


def test_what_its_next_attempt_mended_stays_recovered_however_many_other_runs_followed(monkeypatch):
    monkeypatch.setattr(failures, "RUNS_MAX", 2)
    failed = factories.job_run(job="scrape_now", status="failed", params={"config": 1}, error="503")
    again = factories.job_run(job="scrape_now", params={"config": 1}, retry_of=failed, attempt=2)
    for _number in range(2):
        factories.job_run(job="scrape_now", params={"config": 2})

    of_boss = world(factories.superuser())

    assert not needs_failures.failing(of_boss)
    assert [one.fine_since for one in needs_failures.recovered(of_boss)] == [again.finished_at]


@pytest.mark.parametrize(("days", "is_said"), [(2, True), (8, False)])
def test_a_run_by_hand_that_is_no_longer_listed_does_not_end_a_storm(monkeypatch, days, is_said):
    monkeypatch.setattr(failures, "FAILURES_MAX", 3)
    purge = purge_run("failed", ago=50 * HOUR, error="disk full")
    about_purge = {"subject_type": "django_celery_beat.PeriodicTask", "subject_id": str(purge.schedule_id)}
    factories.alert(subject_name="Purge old content", cause="disk full", **about_purge)
    ended = timezone.now() - days * 24 * HOUR
    factories.job_run(job="cleanup_events", status="failed", trigger="admin", finished_at=ended)
    for _number in range(2):
        factories.job_run(job="cleanup_tokens", status="failed", error="locked")

    assert ("Failed: Purge old content" in texts(factories.superuser())) == is_said


def test_an_owner_sees_the_alerts_of_their_bots_only():
    owner = member(BOT_OWNERS)
    factories.alert(rule="silent", config=factories.bot_config(owner=owner), subject_name="mine")
    factories.alert(rule="silent", config=factories.bot_config(), subject_name="theirs")
    factories.alert(rule="late", subject_name="the service")

    assert texts(owner) == ["Silent: mine"]


def test_a_message_that_was_given_up_is_a_line_for_a_day(monkeypatch):
    now = timezone.now()
    boss, given_up = (
        factories.superuser(),
        factories.delivery(next_attempt_at=None, failed_at=now, answer="HTTP 500"),
    )
    factories.delivery()
    factories.delivery(next_attempt_at=None, failed_at=now - 25 * HOUR)

    (line,) = lines(boss)
    assert (line.text, line.error) == ("1 message about an alert could not be delivered", given_up.answer)
    assert texts(member(BOT_OWNERS)) == []
    assert number_in_list(line.actions[0].url) == 1
    monkeypatch.setattr("console.needs.alerts.READ_MAX", 2)
    for _number in range(2):
        factories.delivery(next_attempt_at=None, failed_at=now)
    (line,) = lines(boss)
    assert line.text == "3 messages about alerts could not be delivered"
    assert number_in_list(line.actions[0].url) == 3


def test_more_bots_that_fail_alike_than_are_read_are_so_many_or_more(monkeypatch):
    monkeypatch.setattr(failures, "GROUPS_MAX", 3)
    for number in range(1, 6):
        factories.job_run(job="scrape_now", status="failed", params={"config": number}, error="503")

    assert texts(factories.superuser()) == ["Scrape now is failing for 3 or more sets of parameters"]


def test_every_rule_is_said_by_a_line_of_its_own_or_by_its_alert():
    assert set(SAID_ELSEWHERE) < set(RULES)


def test_a_failure_is_muted_from_its_line_and_then_folds_away_until_the_mute_ends():
    boss, viewer = factories.superuser(), member(VIEWERS)
    bot = factories.bot_config(name="Gardens")
    factories.job_run(job="scrape_now", status="failed", error="boom", params={"config": bot.pk})
    factories.job_run(job="cleanup_tokens", status="failed", error="boom")
    (line, _other) = lines(boss)
    assert line.text == "Cleanup tokens is failing"
    assert buttons(line) == ["Why", "Retry…"]  # nobody is told about it yet

    alert = factories.alert(
        subject_id="cleanup_tokens", acknowledged_at=timezone.now(), acknowledged_by_name="ada"
    )
    factories.alert(subject_type="scraping.BotConfig", subject_id=str(bot.pk), config=bot)
    (tokens, gardens) = lines(boss)
    assert gardens.text == "Scrape now: Gardens is failing"
    assert [buttons(one)[-1] for one in (tokens, gardens)] == ["Mute…", "Mute…"]
    assert tokens.actions[-1].url == reverse("admin:alerts_alert_change", args=[alert.pk]) + "#mute"
    assert tokens.figures == ("ada looks after it",)
    assert [buttons(one) for one in lines(viewer)] == [["Why"], ["Why"]]

    mute = factories.mute(subject_id="cleanup_tokens", muted_by_name="ada", reason="known")
    assert texts(boss) == texts(viewer) == ["Scrape now: Gardens is failing"]
    (folded,) = needs.muted_for(world(boss))
    assert (folded.text, folded.by, folded.reason) == ("Failed: x", "ada", "known")

    Mute.objects.filter(pk=mute.pk).update(created_at=timezone.now() - HOUR * 2, until=timezone.now() - HOUR)
    assert len(lines(boss)) == 2
    assert needs.muted_for(world(boss)) == []
