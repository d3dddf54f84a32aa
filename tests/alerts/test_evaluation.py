"""One condition of one subject is one alert, however many processes find it; it closes when the condition is gone."""

from datetime import timedelta

import pytest
from django.utils import timezone, translation

from alerts import evaluation, watch
from alerts.models import Alert, Delivery, Mute
from alerts.recipients import Directory
from alerts.rules import RESTART, RULES, Found, Rule
from database import clock
from database.messages import gettext
from maintenance.models import BeatLease
from tests.kit import factories
from tests.kit.steps import ran

pytestmark = pytest.mark.django_db
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
NOW = timezone.now().replace(microsecond=0)


class Condition:
    """A rule whose findings a test sets."""

    def __init__(self, *ids):
        self.ids, self.cause, self.occurrences = list(ids), "why", 1
        self.rule = Rule("failed", "failed", "critical", timedelta(), self.find)

    def find(self, now):
        for key in self.ids:
            yield Found("x.Y", key, f"name {key}", self.cause, self.occurrences)

    def at(self, now):
        evaluation.apply(self.rule, now)


def test_an_alert_opens_once_and_closes_when_its_condition_is_gone():
    condition = Condition("1", "2")
    condition.at(NOW)
    condition.at(NOW + MINUTE)
    assert Alert.objects.count() == 2

    condition.ids.remove("1")
    condition.at(NOW + 2 * MINUTE)

    gone, kept = Alert.objects.order_by("subject_id")
    assert (gone.closed_at, kept.closed_at) == (NOW + 2 * MINUTE, None)
    assert (kept.severity, kept.subject_name, kept.last_seen_at) == ("critical", "name 2", NOW + 2 * MINUTE)


def test_an_evaluator_that_comes_second_opens_no_other():
    condition = Condition("1")
    condition.at(NOW)

    (one,) = condition.find(NOW)
    evaluation._open(condition.rule, one, NOW, Directory())  # it had read that there is none

    assert Alert.objects.count() == 1


def test_only_one_of_two_closes_an_alert():
    alert, same = factories.alert(), Alert.objects.get()

    assert [alert.close(timezone.now()), same.close(timezone.now())] == [True, False]


def test_a_changed_cause_is_kept_and_shown_in_the_language_of_the_reader():
    condition = Condition("1")
    condition.at(NOW)

    condition.cause, condition.occurrences = gettext("no scheduler ticked"), 4
    condition.at(NOW + timedelta(seconds=5))

    alert = Alert.objects.get()
    assert (alert.cause, alert.occurrences) == ("no scheduler ticked", 4)
    with translation.override("zh-hans"):
        assert Alert.objects.get().cause == "当时没有调度器在调度"


def test_a_condition_that_comes_and_goes_stays_open_as_flapping():
    condition = Condition("1")
    for minute in range(0, 20, 2):
        condition.ids = ["1"]
        condition.at(NOW + minute * MINUTE)
        condition.ids = []
        condition.at(NOW + (minute + 1) * MINUTE)

    assert list(Alert.objects.order_by("pk").values_list("is_flapping", flat=True)) == [False] * 4 + [True]
    assert Alert.objects.open().count() == 1

    condition.at(NOW + 19 * MINUTE + HOUR)
    assert not Alert.objects.open().exists()


def test_nothing_is_closed_that_a_full_page_may_have_left_out(monkeypatch):
    monkeypatch.setattr(evaluation, "FOUND_MAX", 2)
    condition = Condition("1", "2")
    condition.at(NOW)

    condition.ids = ["2", "3", "1"]
    condition.at(NOW + MINUTE)

    assert Alert.objects.open().count() == 3


def test_a_rule_that_fails_does_not_stop_the_others(monkeypatch, caplog):
    def fail(now):
        raise RuntimeError
        yield

    good = Condition("1").rule
    monkeypatch.setattr(
        evaluation, "RULES", {"bad": Rule("bad", "bad", "warning", timedelta(), fail), "x": good}
    )

    evaluation.Evaluator().evaluate()

    assert Alert.objects.count() == 1
    assert "The rule bad failed" in caplog.text


def test_a_rule_is_evaluated_no_more_often_than_it_says(monkeypatch):
    condition = Condition("1")
    rare = Rule("failed", "failed", "warning", HOUR, condition.find)
    monkeypatch.setattr(evaluation, "RULES", {"failed": rare})
    evaluator = evaluation.Evaluator()
    evaluator.evaluate()

    condition.ids = []
    evaluator.evaluate()
    assert Alert.objects.open().exists()

    evaluation.Evaluator().evaluate()  # another process, or this one later
    assert not Alert.objects.open().exists()


def test_alerts_closed_long_ago_go_with_the_history_and_others_stay():
    ages = {"old": 181, "new": 179}
    closed = {
        name: factories.alert(opened_at=NOW - 400 * DAY, closed_at=NOW - days * DAY)
        for name, days in ages.items()
    }
    kept = [closed["new"], factories.alert(opened_at=NOW - 400 * DAY)]
    factories.delivery(alert=closed["old"])
    told = [factories.delivery(alert=alert) for alert in kept]
    factories.mute(created_at=NOW - 300 * DAY, until=NOW - 181 * DAY)
    holding = factories.mute()

    run = ran("cleanup_run_history")

    assert list(Alert.objects.order_by("pk")) == kept
    assert list(Delivery.objects.order_by("pk")) == told
    assert list(Mute.objects.all()) == [holding]
    assert [run.counts[f"alerts.{name}"] for name in ("Alert", "Delivery", "Mute")] == [1, 1, 1]


def test_all_rules_together_ask_a_bounded_number_of_queries(django_assert_max_num_queries):
    for _ in range(5):
        bot = factories.bot_config()
        factories.job_run(status="failed", job="scrape_now", params={"config": bot.pk})
    evaluation.Evaluator().evaluate()

    with django_assert_max_num_queries(90):
        evaluation.Evaluator().evaluate()


def test_a_condition_that_is_gone_within_its_grace_opens_no_alert():
    condition, since = Condition("1"), {}
    patient = Rule("x", "x", "warning", timedelta(), condition.find, RESTART)
    for second, ids in ((0, ["1"]), (30, []), (60, ["1"]), (119, ["1"])):
        condition.ids = ids
        evaluation.apply(patient, NOW + timedelta(seconds=second), since)
    assert not Alert.objects.exists()

    evaluation.apply(patient, NOW + 2 * MINUTE, since)
    assert Alert.objects.open().count() == 1


def test_a_process_that_did_not_look_for_a_while_counts_the_grace_anew(monkeypatch):
    condition, shown = Condition("1"), [NOW]
    monkeypatch.setattr(clock, "database_now", lambda: shown[0])
    monkeypatch.setattr(
        evaluation, "RULES", {"x": Rule("x", "x", "warning", timedelta(), condition.find, RESTART)}
    )
    evaluator = evaluation.Evaluator()
    for second in (0, 30, 3_600, 3_630):  # in between, another process has evaluated
        shown[0] = NOW + timedelta(seconds=second)
        evaluator.evaluate()
    assert not Alert.objects.exists()

    shown[0] = NOW + timedelta(seconds=3_660)
    evaluator.evaluate()
    assert Alert.objects.open().count() == 1


def test_a_worker_evaluates_only_while_no_scheduler_leads(monkeypatch):
    assert not watch.nobody_leads()  # none was ever started

    lease = BeatLease.objects.create(holder="h:1:a", expires_at=timezone.now() + timedelta(seconds=20))
    assert not watch.nobody_leads()
    assert not watch.leads_here()

    lease.expires_at = timezone.now() - MINUTE
    lease.save()
    assert watch.nobody_leads()

    started = watch.Watch(watch.nobody_leads)
    started.look()
    assert not Alert.objects.open().filter(rule="no_scheduler").exists()  # it may be a deploy

    began = clock.database_now()
    for passed in (RESTART / 2, RESTART):
        monkeypatch.setattr(clock, "database_now", lambda passed=passed: began + passed)
        started.look()
    assert Alert.objects.open().filter(rule="no_scheduler").exists()
    assert len(RULES) == 15
