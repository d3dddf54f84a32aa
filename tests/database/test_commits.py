"""A commit that need not wait for the disk leaves every other commit as it was."""

import pytest
from django.db import connection, transaction

from database.commits import without_waiting
from maintenance.models import JobRun
from tests.kit import factories

pytestmark = pytest.mark.django_db(transaction=True)


def is_durable():
    if connection.vendor == "sqlite":
        return True
    with connection.cursor() as cursor:
        cursor.execute("SHOW synchronous_commit")
        return cursor.fetchone()[0] == "on"


def test_the_condition_is_always_true_and_ends_with_its_statement(django_assert_num_queries):
    run, other = factories.job_run(stage="before"), factories.job_run(stage="before")
    with django_assert_num_queries(1):
        assert JobRun.objects.filter(without_waiting(), pk=run.pk).update(stage="after") == 1

    assert is_durable()
    assert JobRun.objects.get(pk=run.pk).stage == "after"
    assert JobRun.objects.get(pk=other.pk).stage == "before"


def test_within_a_transaction_the_commit_stays_durable():
    run = factories.job_run()
    with transaction.atomic():
        assert JobRun.objects.filter(without_waiting(), pk=run.pk).update(stage="after") == 1
        assert is_durable()


@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite has no such setting")
def test_the_statement_itself_does_not_wait():
    run = factories.job_run()
    seen = JobRun.objects.filter(without_waiting(), pk=run.pk).extra(
        select={"setting": "current_setting('synchronous_commit')"}
    )
    assert [row["setting"] for row in seen.values("setting")] == ["off"]
