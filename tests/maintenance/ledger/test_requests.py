"""A request: who may make it, what it contains, and to which plan it refers."""

from datetime import timedelta

import pytest
from django.core.exceptions import PermissionDenied
from django.utils import timezone

from maintenance import registry
from maintenance.ledger import decisions, requests
from maintenance.models import JobRun
from tests.kit import factories
from tests.kit.steps import ran, requested

pytestmark = pytest.mark.django_db(transaction=True)

Status = JobRun.Status


def test_a_request_is_written_down_before_any_message_is_sent():
    run = requests.request_run(job="cleanup_tokens", trigger="admin", by=factories.superuser(username="ada"))

    run.refresh_from_db()
    assert (run.status, run.trigger, run.requested_by_name) == (Status.QUEUED, "admin", "ada")
    assert run.sent_at is not None


def test_a_request_survives_a_broker_that_is_away(settings, no_broker):
    run = requests.request_run(job="cleanup_tokens", trigger="admin")

    run.refresh_from_db()
    assert (run.status, run.sent_at) == (Status.QUEUED, None)


def test_nothing_is_requested_without_permission():
    with pytest.raises(PermissionDenied):
        requests.request_run(job="cleanup_tokens", trigger="admin", by=factories.user())

    assert not JobRun.objects.exists()


@pytest.mark.parametrize("params", [{"days": 0}, {"days": "soon"}, {"days": 36_501}, {"nonsense": 1}])
def test_parameters_that_cannot_be_used_name_themselves(params):
    with pytest.raises(registry.InvalidParams) as error:
        requested("purge_old_content", params=params)

    assert list(error.value.message_dict) == list(params)
    assert not JobRun.objects.exists()


def test_an_unknown_job_says_which_there_are():
    with pytest.raises(registry.UnknownJob, match="purge_old_content"):
        requested("purge_everything")


def test_an_interrupted_run_has_one_next_attempt_however_often_it_is_requested():
    run = factories.job_run(status="interrupted")

    assert requests.request_next_attempt(run) == requests.request_next_attempt(run)


def test_a_plan_is_good_for_fifteen_minutes():
    dry = ran("purge_old_content", dry_run=True)
    at = timezone.now() - timedelta(minutes=15, seconds=1)
    JobRun.objects.filter(pk=dry.pk).update(plan={**dry.plan, "at": at.isoformat()})
    shown = decisions.shown_by_run(dry.pk, job="purge_old_content")

    with pytest.raises(registry.InvalidParams, match="older than 15 minutes"):
        requested("purge_old_content", shown=shown)

    assert JobRun.objects.count() == 1


def test_only_a_dry_run_of_the_same_job_and_parameters_is_a_plan():
    dry = ran("purge_old_content", dry_run=True)
    real = ran("purge_old_content")
    failed = factories.job_run(job="purge_old_content", dry_run=True, status="failed")

    for plan_id, job, params in [
        (dry.pk, "cleanup_sessions", {}),
        (dry.pk, "purge_old_content", {"days": 3}),
        (real.pk, "purge_old_content", {}),
        (failed.pk, "purge_old_content", {}),
        (0, "purge_old_content", {}),
        ("x", "purge_old_content", {}),
    ]:
        with pytest.raises(registry.InvalidParams, match=str(plan_id)):
            decisions.shown_by_run(plan_id, job=job, params=params)
