"""The first rows of each of many lists, as rows or as values."""

import pytest

from database.slices import first_of_each, values_of_each
from maintenance.models import JobRun
from tests.kit import factories

pytestmark = pytest.mark.django_db
FIELDS = ("pk", "job", "params", "finished_at", "dry_run")


def parts(runs):
    return [runs.filter(job=slug).order_by("-pk")[:2] for slug in ("cleanup_tokens", "nothing", "scrape_now")]


def test_values_are_those_of_the_rows_with_their_types(django_assert_num_queries):
    for number in range(3):
        factories.job_run(job="cleanup_tokens", params={"days": number}, dry_run=bool(number))
        factories.job_run(job="scrape_now", params={"config": number})
    rows = first_of_each(parts(JobRun.objects.only(*FIELDS)))

    with django_assert_num_queries(1):
        values = values_of_each(parts(JobRun.objects.values_list(*FIELDS)))

    assert len(values) == 4
    assert values == [tuple(getattr(row, name) for name in FIELDS) for row in rows]
    assert values_of_each([JobRun.objects.none().values_list(*FIELDS)]) == []
