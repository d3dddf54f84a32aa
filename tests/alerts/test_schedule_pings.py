"""A service outside is told about the runs of a schedule: in order, once, without the address being told."""

import logging
from datetime import timedelta

import pytest
from django.core.exceptions import PermissionDenied
from django.db import IntegrityError, connection
from django.db.models import Exists
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from alerts.channels.addresses import AddressRefused
from alerts.models import Ping, PingAddress
from alerts.models.outgoing import CLAIM
from alerts.schedule_pings import addresses, requests, sending
from alerts.schedule_pings.scan import Scanner
from audit.models import Event
from maintenance.models import JobRun
from tests.alerts.sinks import SECRET
from tests.kit import factories, pings

pytestmark = pytest.mark.django_db
MINUTE = timedelta(minutes=1)


@pytest.fixture
def address(service):
    return pings.ping_address(url=service.url, since=timezone.now() - timedelta(days=2))


def run_of(address, status, ago=MINUTE, **fields):
    now = timezone.now()
    if status in ("running", "succeeded", "failed", "partial", "cancelled", "interrupted", "blocked"):
        fields.setdefault("started_at", now - ago - MINUTE)
    if status in ("running", "blocked"):
        fields.setdefault("heartbeat_at", now - ago)
    if status not in ("queued", "running", "blocked"):
        fields.setdefault("finished_at", now - ago)
    fields.setdefault("job", "cleanup_tokens")
    return factories.job_run(schedule=address.schedule, status=status, **fields)


def scan():
    return Scanner().scan(timezone.now())


def told():
    return list(Ping.objects.order_by("pk").values_list("run", "event"))


def test_start_comes_before_the_end_and_each_run_in_its_turn(service, address):
    first = run_of(address, "succeeded", ago=20 * MINUTE)
    second = run_of(address, "failed", ago=5 * MINUTE, error="no room", reason="database_full")
    third = run_of(address, "running", ago=MINUTE)

    scan()
    sending.SENDER.send_due()

    paths = [path for path, _body in service.requests]
    assert paths == [f"/{SECRET}{end}" for end in ("/start", "", "/start", "/fail", "/start")]
    assert [body.decode().splitlines() for _path, body in service.requests][3] == [
        f"Cleanup tokens #{second.pk}: failed – the database has no room left",
        "no room",
    ]
    assert told() == [
        (first.pk, "start"),
        (first.pk, "success"),
        (second.pk, "start"),
        (second.pk, "fail"),
        (third.pk, "start"),
    ]
    assert set(Ping.objects.values_list("answer", flat=True)) == {"HTTP 200 OK"}


@pytest.mark.parametrize(
    ("status", "fields", "events"),
    [
        ("succeeded", {}, ["start", "success"]),
        ("partial", {}, ["start", "fail"]),
        ("cancelled", {"reason": "operator"}, ["start", "fail"]),
        ("interrupted", {"reason": "time_limit"}, ["start", "fail"]),
        ("failed", {"reason": "time_limit"}, ["start", "fail"]),
        ("blocked", {}, ["start", "fail"]),
        ("missed", {}, ["fail"]),
        ("skipped", {"reason": "paused"}, []),
        ("skipped", {"reason": "overlap", "started_at": timezone.now() - MINUTE}, ["start", "fail"]),
        ("cancelled", {"reason": "superseded"}, ["start"]),
        ("queued", {}, []),
        ("succeeded", {"dry_run": True}, []),
    ],
)
def test_what_is_told_of_each_end(address, status, fields, events):
    run_of(address, status, **fields)

    scan()

    assert [event for _run, event in told()] == events


def test_several_attempts_are_one_start_and_one_end(address):
    first = run_of(address, "failed", ago=9 * MINUTE)
    last = run_of(address, "succeeded", ago=MINUTE, retry_of=first, attempt=2, trigger="retry")

    scan()

    assert told() == [(first.pk, "start"), (last.pk, "success")]


def test_a_blocked_run_that_was_approved_succeeds_after_its_fail(address):
    run = run_of(address, "blocked")
    scan()
    JobRun.objects.filter(pk=run.pk).update(status="succeeded", finished_at=timezone.now())

    scan()

    assert told() == [(run.pk, "start"), (run.pk, "fail"), (run.pk, "success")]


def test_what_was_before_the_address_or_of_another_schedule_is_not_told(address):
    PingAddress.objects.update(since=timezone.now() - 5 * MINUTE)
    run_of(address, "succeeded", ago=10 * MINUTE)
    begun_before = run_of(address, "succeeded", ago=4.5 * MINUTE, started_at=timezone.now() - 6 * MINUTE)
    factories.job_run(status="failed", schedule=factories.schedule(), finished_at=timezone.now())

    scan()

    assert told() == [(begun_before.pk, "success")]


def test_a_scan_that_runs_twice_writes_one_ping(address, monkeypatch):
    run = run_of(address, "succeeded")
    scanner = Scanner()
    assert [scanner.scan(timezone.now()), scanner.scan(timezone.now()), scan()] == [2, 0, 0]

    # Another process has not seen the rows yet: the constraint decides.
    from alerts.schedule_pings import scan as module

    monkeypatch.setattr(module, "_told", lambda _event: Exists(Ping.objects.none()))
    scan_all = Scanner()
    monkeypatch.setattr(module, "ROUNDS", 1)
    scan_all.scan(timezone.now())

    assert told() == [(run.pk, "start"), (run.pk, "success")]
    with pytest.raises(IntegrityError):
        pings.ping(address=address, run=run, event="start")


def test_without_an_address_a_scan_reads_no_run_and_a_run_costs_nothing():
    factories.job_run(status="succeeded", schedule=factories.schedule())

    with CaptureQueriesContext(connection) as captured:
        scan()

    assert [("jobrun" in query["sql"], "pingaddress" in query["sql"]) for query in captured] == [
        (False, True)
    ]


def test_a_scan_costs_the_same_for_many_runs(address):
    def cost():
        with CaptureQueriesContext(connection) as captured:
            scan()
        return sum(query["sql"].startswith("SELECT") for query in captured)

    run_of(address, "succeeded")
    few = cost()
    for _ in range(12):
        run_of(address, "succeeded")
    assert (few, cost()) == (3, 3)


def test_an_error_is_tried_again_with_a_growing_wait_and_holds_the_next_one_back(service, address, hand):
    run_of(address, "succeeded")
    Scanner().scan(hand.now)
    service.answers = [(500, "broken"), (503, "again")]

    assert sending.SENDER.send_due() == 1
    start = Ping.objects.get(event="start")
    assert (start.answer, start.attempts) == ("HTTP 500 broken", 1)
    assert start.next_attempt_at == hand.now + timedelta(seconds=30)
    hand.forward(seconds=29)
    assert sending.SENDER.send_due() == 0
    hand.forward(seconds=1)
    assert sending.SENDER.send_due() == 1
    hand.forward(seconds=60)
    assert sending.SENDER.send_due() == 2

    assert [path for path, _body in service.requests] == [f"/{SECRET}/start"] * 3 + [f"/{SECRET}"]
    assert Ping.objects.filter(delivered_at__isnull=False).count() == 2


def test_after_a_day_it_is_given_up_and_the_next_one_goes(service, address, hand):
    run_of(address, "succeeded")
    Scanner().scan(hand.now)
    Ping.objects.filter(event="start").update(created_at=hand.now - timedelta(hours=25))
    service.answers = [(500, "broken")]

    sending.SENDER.send_due()

    assert list(Ping.objects.order_by("pk").values_list("failed_at", "delivered_at")) == [
        (hand.now, None),
        (None, hand.now),
    ]


def test_one_schedule_that_is_not_answered_holds_no_other_back(service, address, hand):
    other = pings.ping_address(url=service.url)
    pings.ping(address=address, next_attempt_at=hand.now + MINUTE)
    pings.ping(address=address, event="fail", next_attempt_at=hand.now)
    pings.ping(address=other, next_attempt_at=hand.now)

    assert sending.SENDER.send_due() == 1
    assert Ping.objects.get(delivered_at__isnull=False).address_id == other.pk


def test_what_one_process_sends_another_does_not(address, hand):
    pings.ping(address=address, next_attempt_at=hand.now)

    assert sending.SENDER.claim_next(hand.now) is not None
    assert sending.SENDER.claim_next(hand.now) is None
    assert sending.SENDER.claim_next(hand.now + CLAIM) is not None


def test_a_private_address_is_refused_and_the_run_is_not_touched(settings, service, address):
    settings.WEBHOOKS_TO_PRIVATE_ADDRESSES = False
    run = run_of(address, "succeeded")
    scan()

    sending.SENDER.send_due()

    ping = Ping.objects.get(event="start")
    assert (ping.answer, ping.delivered_at) == ("127.0.0.1 is not a public address.", None)
    assert service.requests == []
    run.refresh_from_db()
    assert run.status == "succeeded"


def test_the_address_is_told_nowhere(service, address, caplog):
    caplog.set_level(logging.DEBUG)
    run_of(address, "failed", error=f"could not reach {service.url}")
    scan()
    service.answers = [(404, f"no check {SECRET} here")]
    sending.SENDER.send_due()
    person = factories.user("django_celery_beat.change_periodictask")
    addresses.set_address(address.schedule, f"https://hc-ping.example.org/{SECRET}", by=person)

    with connection.cursor() as cursor:
        stored = ""
        for table in ("alerts_pingaddress", "alerts_ping", "audit_event"):
            cursor.execute(f"SELECT * FROM {table}")
            stored += str(cursor.fetchall())
    assert "no check … here" in stored
    for text in (stored, caplog.text, str(list(Event.objects.values()))):
        assert SECRET not in text


def test_setting_and_taking_away_are_for_editors_and_have_events(address):
    editor = factories.user("django_celery_beat.change_periodictask")
    schedule = factories.schedule()
    with pytest.raises(PermissionDenied):
        addresses.set_address(schedule, "https://x.example.org/a", by=factories.user())

    addresses.set_address(schedule, "https://x.example.org/a", by=editor)
    addresses.remove_address(schedule, by=editor)

    assert list(Event.objects.order_by("pk").values_list("verb", flat=True)) == [
        "schedule.ping_set",
        "schedule.ping_removed",
    ]
    assert not PingAddress.objects.filter(schedule=schedule).exists()


@pytest.mark.parametrize(
    "url",
    [
        "http://x.example.org/a",
        "https:///a",
        "x",
        "https://a:b@x.org/",
        "https://x.org/a b",
        "https://x.org:0/",
        "https://x.org:z/",
    ],
)
def test_what_is_no_usable_address_is_refused(url):
    with pytest.raises(AddressRefused) as error:
        addresses.check(url)
    assert url not in str(error.value)


def test_the_event_goes_before_the_query_of_the_address():
    url = "https://hc-ping.example.org/key/slug/?create=1#x"

    assert requests.address_for(url, "fail") == "https://hc-ping.example.org/key/slug/fail?create=1"
    assert requests.address_for(url, "success") == "https://hc-ping.example.org/key/slug?create=1"


def test_a_test_goes_to_the_log_of_the_service(service, address):
    editor = factories.user("django_celery_beat.change_periodictask")

    answer = addresses.try_address(address.schedule, by=editor)

    assert answer.is_delivered
    assert service.requests == [(f"/{SECRET}/log", b"test")]
    assert Event.objects.get().verb == "schedule.ping_tested"
