"""The properties of a run that describe its state."""

import pytest

from maintenance.models import JobRun
from tests.kit import factories

pytestmark = pytest.mark.django_db
Status = JobRun.Status


@pytest.mark.parametrize("status", Status.values)
def test_a_run_says_of_itself_in_which_state_it_is(status):
    run = factories.job_run(status=status)

    assert run.is_queued == (status == "queued")
    assert run.is_running == (status == "running")
    assert run.is_blocked == (status == "blocked")


@pytest.mark.parametrize("status", Status.values)
def test_a_run_and_the_queries_agree_about_its_state(status):
    run = factories.job_run(status=status)
    of_it = JobRun.objects.filter(pk=run.pk)

    assert run.is_queued == of_it.queued().exists()
    assert run.is_running == of_it.running().exists()
    assert run.is_blocked == of_it.blocked().exists()
    assert run.is_final == of_it.finished().exists() == (not of_it.open().exists())
