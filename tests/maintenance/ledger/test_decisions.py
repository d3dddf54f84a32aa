"""Decisions about runs stay on record; a setting prevents people from approving runs that they requested."""

import pytest
from django.core.exceptions import PermissionDenied
from django.urls import reverse

from audit.models import Event
from maintenance.ledger import decisions, interventions, requests
from maintenance.models import JobRun
from tests.kit import factories
from tests.kit.purges import approved, blocked_purge, posts, purged, requested_purge, shown

pytestmark = pytest.mark.django_db(transaction=True)

Status = JobRun.Status


@pytest.fixture(autouse=True)
def caps(settings):
    settings.PURGE_CAP_ROWS, settings.PURGE_CAP_SHARE = 10_000, 1.0


def verbs(run):
    return [event.verb for event in decisions.decisions_about(run)]


def test_every_decision_stays_when_the_run_has_ended(settings):
    posts(3)
    run = blocked_purge(settings)
    ada = factories.superuser(username="ada")

    interventions.approve_run(run, by=ada, reason="after the import")
    purged(run)

    assert "ada" not in run.message
    assert verbs(run) == [decisions.BLOCKED, decisions.APPROVED]
    event = Event.objects.get(verb=decisions.APPROVED)
    assert (event.actor, event.reason, event.parameters["rows"]["scraping.RedditPost"]) == (
        ada,
        "after the import",
        3,
    )
    assert decisions.in_words(event) == "approved: after the import"


def test_rejecting_forcing_and_using_a_plan_are_decisions_too(settings):
    posts(3)
    dry = purged(dry_run=True)
    ada = factories.superuser(username="ada")
    planned = requests.request_run(
        job="purge_old_content", trigger="admin", by=ada, shown=shown(dry), send=False
    )
    forced = requested_purge(force_reason="the import")
    run = blocked_purge(settings)

    interventions.reject_run(run, by=ada, reason="looks wrong")

    assert verbs(planned) == [decisions.PLAN_USED]
    assert verbs(run) == [decisions.BLOCKED, decisions.REJECTED]
    assert verbs(forced) == [decisions.FORCED]
    assert Event.objects.get(verb=decisions.FORCED).actor_kind == Event.ActorKind.SHELL
    assert Event.objects.get(verb=decisions.PLAN_USED).parameters["plan"] == dry.pk


def test_a_refused_decision_leaves_no_event(settings):
    posts(3)
    run = blocked_purge(settings)
    interventions.reject_run(run, by=factories.superuser(), reason="no")
    before = Event.objects.count()

    with pytest.raises(interventions.NotPossible):
        interventions.approve_run(JobRun.objects.get(pk=run.pk), by=factories.superuser(), reason="yes")

    assert Event.objects.count() == before


def test_who_asked_may_be_kept_from_approving(settings):
    settings.APPROVE_OWN_RUNS = False
    settings.PURGE_CAP_ROWS = 0
    posts(3)
    ada = factories.superuser(username="ada")
    run = purged(by=ada)

    with pytest.raises(PermissionDenied, match="somebody else"):
        interventions.approve_run(run, by=ada, reason="mine")
    with pytest.raises(PermissionDenied, match="without force"):
        requested_purge(by=ada, force_reason="mine")
    ada.username = "a new name"
    ada.save()
    with pytest.raises(PermissionDenied, match="somebody else"):
        interventions.approve_run(run, by=ada, reason="mine")

    assert JobRun.objects.get().status == Status.BLOCKED
    assert approved(run, username="bob").status == Status.SUCCEEDED


def test_who_asked_may_approve_by_default_and_anybody_may_what_a_schedule_asked_for(settings):
    posts(3)
    ada = factories.superuser(username="ada")
    run = blocked_purge(settings, by=ada)
    interventions.approve_run(run, by=ada, reason="mine")
    settings.APPROVE_OWN_RUNS = False
    other = factories.job_run(job="purge_old_content", status="blocked", trigger="schedule")

    interventions.approve_run(other, by=ada, reason="the schedule's")

    assert JobRun.objects.filter(status="queued").count() == 2


def test_an_approval_of_before_there_were_events_is_still_shown(client):
    mandate = {
        "kind": "approval",
        "made_at": "2026-11-01T00:00:00+00:00",
        "by": "ada",
        "reason": "an old reason",
    }
    run = factories.job_run(mandate=mandate)
    client.force_login(factories.superuser())

    page = client.get(reverse("admin:maintenance_jobrun_change", args=[run.pk])).content.decode()

    assert "· ada · an old reason" in page


@pytest.mark.parametrize("decide", [interventions.approve_run, interventions.reject_run])
def test_a_run_that_was_planned_anew_meanwhile_is_not_decided(decide, monkeypatch):
    run = factories.job_run(status="blocked", job="cleanup_tokens")
    for name in ("approve", "reject"):  # another person approved it, and it is blocked again
        monkeypatch.setattr(JobRun, name, lambda self, **_values: False)

    with pytest.raises(interventions.NotPossible):
        decide(run, by=factories.superuser(), reason="x")

    assert not Event.objects.exists()
