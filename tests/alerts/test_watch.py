"""Whoever checks the rules also sends, in a thread of its own."""

import threading
from datetime import timedelta

import pytest
from django.utils import timezone

from alerts import sending, watch
from alerts.models import Alert, Delivery
from maintenance.models import BeatLease
from tests.kit import factories
from tests.kit.waiting import wait_until


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_what_a_rule_finds_is_sent_by_the_threads(mails, monkeypatch):
    monkeypatch.setattr(watch, "EVALUATE_SECONDS", 0.05)
    monkeypatch.setattr("alerts.outbox.COLLECT", timedelta())
    factories.route()
    factories.job_run(status="failed", job="cleanup_tokens", error="disk full")
    one = watch.Watch(lambda: True)
    one.start()
    try:
        wait_until(lambda: any("disk full" in mail.get_content() for mail in mails.mails), timeout=30)
    finally:
        one.stop()

    told = Delivery.objects.filter(alert__rule="failed")
    assert [row.delivered_at is not None for row in told] == [True]


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_a_mail_server_that_hangs_delays_no_rule(mails, monkeypatch):
    monkeypatch.setattr(watch, "EVALUATE_SECONDS", 0.05)
    over, sent = threading.Event(), []
    monkeypatch.setattr(sending.SENDER, "send_due", lambda: sent.append(over.wait(30)))
    one = watch.Watch(lambda: True)
    one.start()
    try:
        factories.job_run(status="failed", job="cleanup_tokens")
        wait_until(lambda: Alert.objects.filter(rule="failed").exists(), timeout=30)
        assert sent == []
    finally:
        over.set()
        one.stop()


@pytest.mark.django_db
def test_a_worker_sends_nothing_while_a_scheduler_leads(mails, settings):
    now = timezone.now()
    lease = BeatLease.objects.create(
        holder="other:1:a", expires_at=now + timedelta(seconds=20), ticked_at=now
    )
    worker, scheduler = watch.Watch(watch.nobody_leads), watch.Watch(watch.leads_here)
    for one in (worker, scheduler):
        one.look()
        assert not one._may_send.is_set()

    lease.expires_at = now - timedelta(seconds=1)
    lease.save()
    worker.look()
    scheduler.look()

    assert (worker._may_send.is_set(), scheduler._may_send.is_set()) == (True, False)
