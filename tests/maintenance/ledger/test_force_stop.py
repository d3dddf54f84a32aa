"""Stopping a run by force, from its page; tests/chaos/test_hanging.py tests what happens to the process."""

from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from audit.models import Event
from maintenance.ledger import decisions, interventions
from maintenance.ledger.decisions import decisions_about
from maintenance.models import FORCE_STOP_AFTER, JobRun
from tests.kit import factories

pytestmark = pytest.mark.django_db(transaction=True)
SEE, CANCEL = "maintenance.view_jobrun", "maintenance.cancel_jobrun"


def running(cancelled_ago=None, **fields):
    asked = None if cancelled_ago is None else timezone.now() - timedelta(seconds=cancelled_ago)
    return factories.job_run(
        status="running", cancel_requested_at=asked, heartbeat_at=timezone.now(), **fields
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("ago", "permissions", "is_offered"),
    [
        (31, [SEE, CANCEL], True),
        (31, [SEE], False),
        (29, [SEE, CANCEL], False),
        (None, [SEE, CANCEL], False),
    ],
)
def test_it_is_offered_thirty_seconds_after_a_cancel(client, ago, permissions, is_offered):
    run = running(ago)
    client.force_login(factories.user(*permissions))

    page = client.get(reverse("admin:maintenance_jobrun_change", args=[run.pk])).content.decode()

    assert ("Force stop</button>" in page) == is_offered


def test_the_button_marks_the_run_and_says_who(client):
    run = running(31)
    person = factories.user(SEE, CANCEL)
    client.force_login(person)

    client.post(reverse("admin:maintenance_jobrun_force_stop", args=[run.pk]))

    run.refresh_from_db()
    assert (run.status, run.force_stop_at is not None) == ("running", True)
    assert person.username in run.log_lines.get().text
    assert [(event.verb, event.actor) for event in decisions_about(run)] == [("run.stopped_by_force", person)]
    page = client.get(reverse("admin:maintenance_jobrun_live", args=[run.pk])).content.decode()
    assert "Its process is being killed." in page
    assert "Force stop</button>" not in page


def test_a_run_that_was_not_cancelled_or_is_over_cannot_be_stopped_by_force():
    person = factories.superuser()

    with pytest.raises(interventions.NotPossible, match="Cancel it first"):
        interventions.force_stop_run(running(), by=person)
    with pytest.raises(interventions.NotPossible, match="succeeded"):
        interventions.force_stop_run(factories.job_run(status="succeeded"), by=person)
    assert not JobRun.objects.filter(force_stop_at__isnull=False).exists()


def test_a_second_click_neither_restarts_the_thirty_seconds_nor_writes_another_event(client):
    person, run = factories.superuser(), factories.job_run(status="running")
    interventions.cancel_run(run, by=person)
    asked = timezone.now() - FORCE_STOP_AFTER
    JobRun.objects.filter(pk=run.pk).update(cancel_requested_at=asked)

    interventions.cancel_run(JobRun.objects.get(pk=run.pk), by=person)
    run.refresh_from_db()
    assert (run.cancel_requested_at, run.may_be_forced) == (asked, True)

    for _ in range(2):
        interventions.force_stop_run(JobRun.objects.get(pk=run.pk), by=person)
    verbs = Event.objects.filter(subject_id=str(run.pk)).order_by("pk").values_list("verb", flat=True)
    assert list(verbs) == [decisions.CANCELLED, decisions.STOPPED_BY_FORCE]
    assert run.log_lines.count() == 1
