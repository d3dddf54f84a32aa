"""Rows of a run: SQL and Python read the same from its counts."""

import pytest

from maintenance.models import JobRun
from maintenance.yields.rows import RowsDone, rows_of
from tests.kit import factories

pytestmark = pytest.mark.django_db

COUNTS = [
    {},
    {"scraping.RedditPost": 2, "scraping.RedditComment": 3},
    {"scraping.RedditPost": 0, "posts_new": 5},
    {"posts_found": 9, "posts_new": 2, "comments_new": 4},
    {"comments_new": 4},
    {"checked": 500, "unchanged": 490},
    {"scraping.RedditPost": "many", "accounts.ApiToken": 7},
]


@pytest.mark.parametrize("counts", COUNTS, ids=str)
def test_the_database_reads_the_rows_as_python_does(counts):
    run = factories.job_run(counts=counts)

    found = JobRun.objects.annotate(rows=RowsDone("counts")).values_list("rows", flat=True).get()

    assert found == (rows_of(run) or 0)
