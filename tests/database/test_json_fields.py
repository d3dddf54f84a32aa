"""JSON columns of a known shape: whatever was written there, what is read has it."""

import pytest
from django.db.models import JSONField, Value

from database.json_fields import Unreadable
from maintenance.ledger import performing
from maintenance.models import JobRun
from maintenance.purging.kept_plan import made_at, tables_of
from maintenance.purging.plan import TablePlan
from scraping.models import BotConfig
from tests.kit import factories

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("value", [[], "x", 5, True, Value(None, JSONField())])
def test_what_is_no_object_is_read_as_an_empty_one_that_can_be_told_apart(value):
    run = JobRun.objects.get(pk=factories.job_run(counts=value).pk)

    assert run.counts == {}
    assert isinstance(run.counts, Unreadable)
    assert not isinstance(JobRun.objects.get(pk=factories.job_run().pk).counts, Unreadable)


def test_null_stays_null_and_a_part_of_an_object_has_any_shape():
    run = factories.job_run(params={"days": [1, 2]})

    assert JobRun.objects.get(pk=run.pk).plan is None
    assert JobRun.objects.values_list("params__days", flat=True).get() == [1, 2]


@pytest.mark.parametrize(("value", "read"), [({}, []), ("x", []), (["a", 5, None, "b"], ["a", "b"])])
def test_a_list_of_texts_holds_nothing_else(value, read):
    bot = factories.bot_config()
    BotConfig.objects.filter(pk=bot.pk).update(flairs_wanted=value)

    assert BotConfig.objects.get(pk=bot.pk).flairs_wanted == read


def test_a_run_whose_parameters_cannot_be_read_does_nothing_and_says_so():
    to_delete = factories.expired_refresh_token()
    run = factories.job_run(job="cleanup_tokens", status="queued", params=["days", 400])

    performing.perform(run)

    run.refresh_from_db()
    assert (run.status, run.error) == (
        "failed",
        "The parameters of this run cannot be read: request it again.",
    )
    assert type(to_delete).objects.filter(pk=to_delete.pk).exists()


def test_a_table_of_a_kept_plan_that_nobody_can_read_is_left_out():
    good = TablePlan(
        model="scraping.RedditPost", rows=2, total=3, cutoff="2026-01-01T00:00:00+00:00"
    ).as_json()
    plan = {
        "at": "2026-01-02T00:00:00",
        "tables": [5, {}, {**good, "rows": "many"}, {**good, "cutoff": "soon"}, good],
    }

    assert [table.rows for table in tables_of(plan)] == [2]
    assert made_at(plan).isoformat() == "2026-01-02T00:00:00+00:00"
    assert made_at({"at": 5}) is made_at(None) is None
    assert tables_of({"tables": {"x": good}}) == []
