"""Each rule of alerts is provoked on real processes, and told over a channel that answers 500 for an hour.

Two schedules have a ping address besides: a worker is killed between the start and the end of a run, and the service
answers 500 for the same hour. A message or a ping arrives once, unless its sender is killed between sending and storing;
then it arrives once more, a message with the same id: at least once is what HTTP allows.

The list of rules is the code's: a rule without a provocation fails the drill. Nothing is mocked: schedulers and workers
evaluate the rules, send, and are killed. Only the hours are made short, by the clock of the database. A part of
``make soak``: it takes some minutes, and ``pytest -s`` shows its table.
"""

import contextlib
import threading
from collections import Counter
from datetime import timedelta

import pytest
from django.db import connection
from django.db.models.functions import Now
from django.utils import timezone
from django_celery_beat.models import PeriodicTask

from alerts.models import Alert, Delivery, Route
from alerts.models.outgoing import CLAIM
from alerts.rules import RULES
from alerts.schedule_pings.sending import PingSender
from maintenance.models import JobRun
from scraping.models import BotConfig, Freshness, RedditPost, RequestBudget
from tests.alerts.sinks import ping_sink, web_sink
from tests.chaos.pinged import Pinged
from tests.chaos.servers import clock_shows, make_clock_movable, move_clock, own_broker, own_postgres
from tests.chaos.services import MISBEHAVING, beat, worker
from tests.kit import factories, yields
from tests.kit.waiting import wait_until
from tests.soak import IS_SOAK

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("broker", "misbehaving_jobs"),
    pytest.mark.soak,
    pytest.mark.skipif(not IS_SOAK, reason="takes minutes: a part of `make soak`"),
    pytest.mark.skipif(connection.vendor == "sqlite", reason="SQLite has no clock but its host's"),
]
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
ENVIRONMENT = {"WEBHOOKS_TO_PRIVATE_ADDRESSES": "true", "HEARTBEAT_SECONDS": "2", "BEAT_LEASE_SECONDS": "2"}
# The wait for what a quiet machine does within half a minute, and for what has a grace of a minute besides.
PATIENCE = 300
# The worker of the planted runs: its heartbeats are written by the drill.
ELSEWHERE = "elsewhere"


def _ended(job, status, **fields):
    return factories.job_run(job=job, status=status, **fields)


def _running(**fields):
    return factories.job_run(status="running", worker=ELSEWHERE, heartbeat_at=clock_shows(), **fields)


@contextlib.contextmanager
def heartbeats():
    """Keep the planted runs alive: the scheduler ends a run without heartbeats."""
    over = threading.Event()

    def write():
        while not over.wait(1):
            JobRun.objects.running().filter(worker=ELSEWHERE).update(heartbeat_at=Now())
        connection.close()

    thread = threading.Thread(target=write)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _end(run):
    JobRun.objects.filter(pk=run.pk).update(status="cancelled", finished_at=clock_shows(), reason="operator")


def failed():
    _ended("cleanup_sessions", "failed", error="disk full")
    return lambda: _ended("cleanup_sessions", "succeeded")


def partial():
    _ended("cleanup_login_sessions", "partial", error="two of three")
    return lambda: _ended("cleanup_login_sessions", "succeeded")


def missed():
    task = factories.schedule(task="maintenance.cleanup_tokens", name="drill", crontab="0 0 29 2 *")
    slot = {"trigger": "schedule", "schedule": task, "schedule_name": task.name}
    _ended("cleanup_tokens", "missed", reason="no_scheduler", scheduled_for=clock_shows() - HOUR, **slot)
    return lambda: _ended("cleanup_tokens", "succeeded", scheduled_for=clock_shows(), **slot)


def blocked():
    run = factories.job_run(
        job="purge_old_content", status="blocked", started_at=clock_shows(), message="14,077 posts"
    )
    return lambda: _end(run)


def stalled():
    run = _running(job="cleanup_run_history", cancel_requested_at=clock_shows() - HOUR)
    return lambda: _end(run)


def longer_than_usual():
    kind, now = {"job": "refresh_stored_content", "concurrency_key": "refresh_stored_content"}, clock_shows()
    for _ in range(5):
        factories.job_run(started_at=now - DAY, finished_at=now - DAY + MINUTE, **kind)
    run = _running(started_at=now - HOUR, **kind)
    return lambda: _end(run)


def _freshness(**fields):
    bot = factories.bot_config(app=factories.reddit_app(), auto_scrape=True)
    row = factories.freshness(config=bot, **fields)
    return lambda: Freshness.objects.filter(pk=row.pk).update(
        silent_since=None, why="", verdict="", counted_from=None, posts=None, usual_low=None, usual_high=None
    )


def silent():
    return _freshness(silent_since=clock_shows() - DAY, why="private")


def unusual():
    return _freshness(verdict="fewer", counted_from=clock_shows() - DAY, posts=2, usual_low=20, usual_high=40)


def unusual_rows():
    verdict = yields.rows_verdict()
    return verdict.delete


def compliance_below_target():
    factories.post(checked_at=None)
    return lambda: RedditPost.objects.update(checked_at=timezone.now())


def budget_exhausted():
    factories.request_budget(blocked_until=clock_shows() + DAY)
    return lambda: RequestBudget.objects.update(blocked_until=None)


def stopped_by_reddit():
    factories.bot_config(is_active=False, refusal_kind="private", refusals=3, paused_at=clock_shows())
    return lambda: BotConfig.objects.update(paused_at=None, refusal_kind="", refusals=0)


# Planted in the ledger; the three others are provoked by killing.
PLANTED = {
    one.__name__: one
    for one in (
        failed, partial, missed, blocked, stalled, longer_than_usual, silent, unusual, unusual_rows,
        compliance_below_target,
        budget_exhausted, stopped_by_reddit,
    )
}  # fmt: skip
KILLED = {"late", "no_worker", "no_scheduler"}


def wait_for(rules, *, are_open):
    """Wait until each of these rules has an open alert, or none has; the failure names those that do not."""

    def lacking():
        with_alert = set(Alert.objects.open().values_list("rule", flat=True))
        return sorted(set(rules) - with_alert if are_open else set(rules) & with_alert)

    try:
        wait_until(lambda: not lacking(), timeout=PATIENCE, every=0.5)
    except AssertionError:
        raise AssertionError(
            f"after {PATIENCE} s not {'open' if are_open else 'closed'}: {lacking()}"
        ) from None


def pass_time(clock, by):
    """Move the database's clock; wait until all that is due then has been attempted."""
    clock["ahead"] += by
    move_clock(clock["ahead"])

    # The ones that are being sent, too.
    def is_quiet():
        now = clock_shows()
        if Delivery.objects.pending().filter(next_attempt_at__lte=now).exists():
            return False
        # Those behind the first one of a schedule wait for it.
        return not PingSender().due(now + CLAIM).filter(next_attempt_at__lte=now).exists()

    wait_until(is_quiet, timeout=PATIENCE, every=0.5)


def with_real_deaths(stack, clock, cures, pinged):
    """Kill every worker, then every scheduler; the ones that are left must tell it, and that it is over."""
    first = stack.enter_context(worker(app=MISBEHAVING, **ENVIRONMENT))
    schedulers = [stack.enter_context(beat(app=MISBEHAVING, **ENVIRONMENT)) for _ in range(2)]
    wait_for(PLANTED, are_open=True)
    with pinged.run_that_is_held():
        first.kill()
    slot = {"trigger": "schedule", "schedule": PeriodicTask.objects.get(name="drill")}
    ago = clock_shows() - HOUR
    late = factories.job_run(
        status="queued", job="cleanup_tokens", scheduled_for=ago - HOUR, queued_at=ago, **slot
    )
    wait_for(["no_worker", "late"], are_open=True)
    schedulers[0].kill()  # the leader or the one that stands by: the other goes on
    stack.enter_context(worker(app=MISBEHAVING, **ENVIRONMENT))
    wait_for(["no_worker", "late"], are_open=False)
    late.refresh_from_db()
    assert late.status == "succeeded"
    wait_until(pinged.held_run_is_done, timeout=PATIENCE)
    schedulers[1].kill()
    wait_for(["no_scheduler"], are_open=True)
    stack.enter_context(beat(app=MISBEHAVING, **ENVIRONMENT))
    wait_for(["no_scheduler"], are_open=False)
    for cure in cures:
        cure()
    pass_time(clock, 6 * MINUTE)  # compliance is looked at each five minutes
    wait_for(RULES, are_open=False)


def table(arrived):
    lines = ["", f"{'rule':<26}{'opened':>8}{'delivered':>11}{'closed':>8}{'told over':>11}"]
    for code in RULES:
        alerts = list(Alert.objects.filter(rule=code))
        begun, over = arrived[code, "opened"], arrived[code, "closed"]
        closings = sum(one.closed_at is not None for one in alerts)
        lines.append(f"{code:<26}{len(alerts):>8}{begun:>11}{closings:>8}{over:>11}")
    return "\n".join(lines)


@pytest.mark.timeout(1_800)
def test_each_rule_is_opened_told_and_closed_once_over_a_channel_that_is_down_for_an_hour(settings):
    assert set(RULES) == set(PLANTED) | KILLED, "a rule without a provocation, or the other way round"
    clock = {"ahead": timedelta()}
    with contextlib.ExitStack() as stack, web_sink() as sink, ping_sink() as ping_service:
        stack.enter_context(own_broker(settings))
        stack.enter_context(own_postgres())
        make_clock_movable()
        # Not switched off: if all schedules that scrape are, silences are no news.
        PeriodicTask.objects.all().delete()
        Route.objects.all().delete()
        factories.webhook_route(url=sink.url, least_severity="warning")
        sink.answers = [(500, {}, "ill")] * 10_000
        cures = [plant() for plant in PLANTED.values()]
        pinged = Pinged(ping_service)
        pinged.plant()
        stack.enter_context(heartbeats())
        with_real_deaths(stack, clock, cures, pinged)
        for _ in range(4):
            pass_time(clock, HOUR / 4)
        refused = len(sink.requests)
        sink.answers.clear()
        sink.requests.clear()
        pinged.recover()
        # The next attempt of what was refused; then the ends, which wait for the beginnings.
        for _ in range(4):
            pass_time(clock, HOUR)
        judge(sink, refused, pinged.killed)
        pinged.judge()


def judge(sink, refused, killed):
    """Compare what has arrived with the alerts: each once.

    ``killed``: the run whose worker was killed, which may look stalled until it is interrupted.
    """
    arrived: Counter[tuple[str, str]] = Counter()
    about = ("maintenance.JobRun", str(killed))
    ids = Counter(body["id"] for _headers, _raw, body in sink.requests)
    for _headers, _raw, body in sink.requests:
        told = [
            alert for alert in body["alerts"] if (alert["subject"]["type"], alert["subject"]["id"]) != about
        ]
        arrived.update((alert["rule"], body["event"]) for alert in told)
    print(table(arrived), f"\n{refused} attempts were answered by 500")  # noqa: T201
    assert refused >= 2 * len(RULES)
    assert not Delivery.objects.pending().exists()
    assert max(ids.values()) == 1, "a message arrived twice"
    assert {code: (arrived[code, "opened"], arrived[code, "closed"]) for code in RULES} == dict.fromkeys(
        RULES, (1, 1)
    )
    assert not Delivery.objects.filter(failed_at__isnull=False).exists()
