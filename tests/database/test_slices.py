"""The first rows of each of many lists, as rows or as values."""

from itertools import chain

import pytest

from database.slices import Each, bound, first_of_each, keys_of_each, values_of_each
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
    rows = list(chain.from_iterable(first_of_each(parts(JobRun.objects.only(*FIELDS)))))

    with django_assert_num_queries(1):
        values = values_of_each(parts(JobRun.objects.values_list(*FIELDS)))

    assert len(values) == 4
    assert values == [tuple(getattr(row, name) for name in FIELDS) for row in rows]
    assert values_of_each([JobRun.objects.none().values_list(*FIELDS)]) == []


def test_one_queryset_is_bound_to_the_values_of_several_parts(django_assert_num_queries):
    mine = [factories.job_run(job="cleanup_tokens").pk for _number in range(3)]
    other = factories.job_run(job="scrape_now").pk
    runs = JobRun.objects.filter(job=Each("job")).order_by("-pk").only("pk")[:2]
    slugs = ("cleanup_tokens", "nothing", "scrape_now")
    none = JobRun.objects.filter(pk__in=[]).only("pk")
    parts = [bound(none), *(bound(runs, job=slug) for slug in slugs)]

    with django_assert_num_queries(1):
        found = first_of_each(parts)

    assert [[run.pk for run in rows] for rows in found] == [[], mine[:0:-1], [], [other]]
    keys = keys_of_each([bound(runs.values("pk"), job="scrape_now"), bound(runs.values("pk"), job="nothing")])
    assert [run.pk for run in JobRun.objects.filter(pk__in=keys)] == [other]
