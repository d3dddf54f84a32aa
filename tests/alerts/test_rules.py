"""Each rule finds its condition, and no longer finds it when the condition is gone."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from django.core.cache import caches
from django.utils import timezone, translation
from django_celery_beat.models import PeriodicTask

from alerts import evaluation, failures
from alerts.channels import texts
from alerts.models import Alert
from alerts.reading import Reading
from alerts.rules import LEFT_OUT, RULES
from maintenance.models import BeatLease, JobRun, ScheduleControl, WorkerProcess
from maintenance.scheduling import maintenance_mode
from scraping.models import BotConfig, Freshness, RequestBudget
from tests.kit import factories, yields

pytestmark = pytest.mark.django_db
HOUR = timedelta(hours=1)


def found(code):
    return [(one.type, one.name) for one in RULES[code].find(timezone.now())]


@pytest.mark.parametrize(("status", "code"), [("failed", "failed"), ("partial", "partial")])
def test_a_failure_is_found_until_a_later_run_succeeds(status, code):
    factories.job_run(status=status, schedule=factories.schedule(name="tokens"), schedule_name="tokens")
    assert found(code) == [("django_celery_beat.PeriodicTask", "tokens")]

    factories.job_run()

    assert found(code) == []


def test_a_failure_of_a_schedule_is_found_until_its_next_slot_however_rare_that_is():
    at = timezone.now() - 20 * 24 * HOUR
    task = factories.schedule(crontab="0 4 1 * *", name="monthly")
    factories.job_run(
        status="failed", trigger="schedule", schedule=task, scheduled_for=at, queued_at=at, finished_at=at
    )
    control = ScheduleControl.objects.filter(pk=task.pk)

    control.update(last_slot_at=at)
    evaluation.apply(RULES["failed"], timezone.now())
    assert Alert.objects.open().count() == 1

    control.update(last_slot_at=at + HOUR)
    evaluation.apply(RULES["failed"], timezone.now())
    assert not Alert.objects.open().exists()


def rare_failure(at):
    """A failure of the last slot of a schedule that has one a month."""
    task = factories.schedule(crontab="0 4 1 * *", name="monthly")
    ScheduleControl.objects.filter(pk=task.pk).update(last_slot_at=at)
    slot = {"trigger": "schedule", "schedule": task, "schedule_name": task.name, "scheduled_for": at}
    factories.job_run(status="failed", **slot, queued_at=at, finished_at=at)
    return task


def test_a_failure_whose_next_attempt_succeeded_is_not_found_however_many_other_runs_followed(monkeypatch):
    monkeypatch.setattr(failures, "RUNS_MAX", 2)
    failed = factories.job_run(job="scrape_now", status="failed", params={"config": 1})
    again = factories.job_run(
        job="scrape_now", status="failed", params={"config": 1}, retry_of=failed, attempt=2
    )
    assert found("failed")
    factories.job_run(job="scrape_now", params={"config": 1}, retry_of=again, attempt=3)
    assert not found("failed")

    for _number in range(2):
        factories.job_run(job="scrape_now", params={"config": 2})

    assert not found("failed")


def test_a_failure_of_a_schedule_that_has_ended_is_not_found_for_ever():
    now = timezone.now()
    task = rare_failure(at=now - 20 * 24 * HOUR)

    for expires, names in ((now + HOUR, ["monthly"]), (now - HOUR, [])):
        PeriodicTask.objects.filter(pk=task.pk).update(expires=expires)
        assert [name for _type, name in found("failed")] == names


def test_a_bot_is_the_subject_of_its_failures():
    bot = factories.bot_config()
    factories.job_run(status="failed", job="scrape_now", params={"config": bot.pk}, error="503")
    (one,) = RULES["failed"].find(timezone.now())

    assert (one.type, one.id, one.config_id, one.cause) == ("scraping.BotConfig", str(bot.pk), bot.pk, "503")


def test_a_failure_that_is_tried_again_by_itself_says_so_in_the_mail():
    run = factories.job_run(status="failed", error="Reddit answers 503.")
    later = datetime(2026, 11, 30, 17, 45, tzinfo=UTC)
    attempt = {"retry_of": run, "attempt": 2, "trigger": "retry", "not_before": later}
    again = factories.job_run(status="queued", finished_at=None, **attempt)
    evaluation.apply(RULES["failed"], timezone.now())
    alert = Alert.objects.get()

    assert "\nReddit answers 503. · It is tried again at 2026-11-30 17:45 UTC.\n" in mail_about(alert)
    with translation.override("zh-hans"):
        assert "将于 2026-11-30 17:45 UTC 再次尝试" in Alert.objects.get().cause

    now = timezone.now()
    JobRun.objects.filter(pk=again.pk).update(status="running", worker="w", started_at=now, heartbeat_at=now)
    evaluation.apply(RULES["failed"], timezone.now())
    assert "\nReddit answers 503. · It is being tried again.\n" in mail_about(Alert.objects.get())

    JobRun.objects.filter(pk=again.pk).update(status="failed", error="503", finished_at=now)
    evaluation.apply(RULES["failed"], timezone.now())
    assert "\n503\nSince" in mail_about(Alert.objects.get())


def mail_about(alert):
    notice = texts.Notice(uuid4(), "opened", [alert], timezone.now(), Reading(("en",)))
    return texts.in_words(notice)[1]


def test_a_missed_slot_is_found_until_the_schedule_runs():
    schedule = factories.schedule()
    slot = timezone.now() - HOUR
    factories.job_run(
        status="missed",
        reason="no_scheduler",
        trigger="schedule",
        schedule=schedule,
        schedule_name="nightly",
        scheduled_for=slot,
        counts={"slots_missed": 3},
    )
    (one,) = RULES["missed"].find(timezone.now())
    assert (one.name, one.occurrences) == ("nightly", 3)

    factories.job_run(trigger="schedule", schedule=schedule, scheduled_for=slot + HOUR)

    assert found("missed") == []


def test_a_late_run_is_found_until_it_starts():
    ago = timezone.now() - HOUR
    run = factories.job_run(
        status="queued", trigger="schedule", schedule=factories.schedule(), scheduled_for=ago, queued_at=ago
    )
    factories.job_run(status="queued", trigger="schedule", scheduled_for=timezone.now())
    assert found("late") == [("maintenance.JobRun", str(run))]

    assert run.claim(worker="w")

    assert found("late") == []


def test_a_blocked_run_is_found_until_somebody_decides():
    run = factories.job_run(status="blocked", waiting_since=timezone.now(), message="too many rows")
    assert found("blocked") == [("maintenance.JobRun", str(run))]

    assert run.reject(message="no")

    assert found("blocked") == []


def test_a_silent_worker_and_a_run_that_does_not_stop_are_found():
    ago = timezone.now() - HOUR
    silent = factories.job_run(status="running", heartbeat_at=ago)
    stuck = factories.job_run(status="running", cancel_requested_at=ago)
    factories.job_run(status="running")

    assert [name for _type, name in found("stalled")] == [str(silent), str(stuck)]


def test_longer_than_usual_compares_with_the_latest_runs_of_its_kind():
    ago = timezone.now() - HOUR
    run = factories.job_run(status="running", started_at=ago, concurrency_key="a")
    assert found("longer_than_usual") == []  # nothing is usual yet

    for key in ("a", "b"):
        for _ in range(3):
            factories.job_run(started_at=ago, finished_at=ago + HOUR / 4, concurrency_key=key)
    caches["process"].clear()
    assert found("longer_than_usual") == [("maintenance.JobRun", str(run))]

    JobRun.objects.filter(status="succeeded", concurrency_key="a").update(finished_at=ago + HOUR)
    caches["process"].clear()
    assert found("longer_than_usual") == []


def test_a_silent_subreddit_is_found_while_its_bot_is_scraped():
    row = factories.freshness(silent_since=timezone.now(), why="private", error="It is private.")
    assert found("silent") == [("scraping.Freshness", f"{row.config.name}: r/{row.subreddit}")]

    BotConfig.objects.update(auto_scrape=False)
    assert found("silent") == []
    BotConfig.objects.update(auto_scrape=True)
    Freshness.objects.update(silent_since=None, why="")
    assert found("silent") == []


def test_a_silence_names_the_figures_and_the_likely_cause():
    since = datetime(2026, 3, 3, 14, tzinfo=UTC)
    factories.freshness(
        verdict="silent",
        silent_since=since,
        why="quiet",
        error="Look at it.",
        counted_from=since,
        posts=0,
        usual_low=22,
        usual_high=41,
    )

    (one,) = RULES["silent"].find(timezone.now())

    assert one is not None
    assert "0 posts since 2026-03-03" in one.cause
    assert one.cause.endswith("usually 22 to 41 in that time. Look at it.")
    assert found("unusual") == []


def test_fewer_or_more_than_usual_is_found_until_it_is_usual():
    figures = {"counted_from": timezone.now() - HOUR, "posts": 400, "usual_low": 22, "usual_high": 41}
    row = factories.freshness(verdict="more", **figures)
    factories.freshness(verdict="usual", **figures)
    assert found("unusual") == [("scraping.Freshness", f"{row.config.name}: r/{row.subreddit}")]
    assert found("silent") == []

    Freshness.objects.update(verdict="usual")
    assert found("unusual") == []


def test_unusual_rows_are_found_while_the_schedule_is_on():
    bot, task = factories.bot_config(), factories.schedule(name="nightly")
    own = factories.schedule(task="maintenance.scrape_now", kwargs=f'{{"config": {bot.pk}}}', name="scrape")
    yields.rows_verdict(schedule=task, cause="The retention was changed.")
    yields.rows_verdict(schedule=own, kind="more", rows=90_000)

    nightly, scrape = RULES["unusual_rows"].find(timezone.now())

    assert (nightly.type, nightly.id) == ("django_celery_beat.PeriodicTask", str(task.pk))
    assert "0 rows in the run of " in nightly.cause
    assert "usually 7,900 to 12,100" in nightly.cause
    assert nightly.cause.endswith("The retention was changed.")
    assert (nightly.config_id, scrape.config_id) == (None, bot.pk)

    task.enabled = False
    task.save()
    assert [name for _type, name in found("unusual_rows")] == ["scrape"]


def test_while_scraping_is_paused_no_silence_is_found_and_none_is_over():
    factories.freshness(silent_since=timezone.now(), why="private", error="It is private.")
    task = factories.schedule(task="maintenance.auto_scraping", enabled=False)
    rules = [RULES["silent"], RULES["unusual"]]
    assert [list(rule.find(timezone.now())) for rule in rules] == [[LEFT_OUT], [LEFT_OUT]]

    task.enabled = True
    task.save()
    assert len(found("silent")) == 1
    maintenance_mode.start(by=None, reason="a restore", scope="scraping")
    assert list(RULES["silent"].find(timezone.now())) == [LEFT_OUT]


def test_no_scheduler_is_found_until_one_ticks():
    assert [type_ for type_, _name in found("no_scheduler")] == ["maintenance.BeatLease"]

    BeatLease.objects.create(holder="h:1:a", expires_at=timezone.now() + timedelta(seconds=20))

    assert found("no_scheduler") == []


def test_no_worker_is_found_until_one_listens():
    assert [type_ for type_, _name in found("no_worker")] == ["maintenance.WorkerProcess"]

    now = timezone.now()
    WorkerProcess.objects.create(name="w", started_at=now, seen_at=now, listening_at=now)

    assert found("no_worker") == []


def test_too_little_verified_content_is_found(settings):
    factories.post(checked_at=timezone.now() - 100 * HOUR)
    (one,) = RULES["compliance_below_target"].find(timezone.now())
    assert one.cause == "0.0 % were verified within 48 hours; the target is 95 %."

    settings.COMPLIANCE_TARGET_PERCENT = 0.0

    assert found("compliance_below_target") == []


def test_an_exhausted_budget_is_found_until_reddit_answers_again():
    budget = factories.request_budget(blocked_until=timezone.now() + HOUR)
    assert found("budget_exhausted") == [("scraping.RequestBudget", f"Reddit client {budget.pk}")]

    RequestBudget.objects.update(blocked_until=timezone.now() - HOUR)

    assert found("budget_exhausted") == []


def test_a_bot_stopped_by_reddit_is_found_until_it_is_activated():
    bot = factories.bot_config(is_active=False, paused_at=timezone.now(), refusal_kind="private", refusals=3)
    (one,) = RULES["stopped_by_reddit"].find(timezone.now())
    assert (one.name, one.occurrences, one.config_id) == (bot.name, 3, bot.pk)

    bot.is_active = True
    bot.save()

    assert found("stopped_by_reddit") == []


def test_every_rule_says_what_it_finds_and_has_its_test():
    source = Path(__file__).read_text()
    for code, rule in RULES.items():
        assert rule.find.__doc__
        assert f'"{code}"' in source
