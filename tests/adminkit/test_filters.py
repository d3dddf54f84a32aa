"""A filter of a list is answered by an index, also by a partial one."""

import pytest
from django.db import connection

from maintenance.models import JobRun
from scraping.models import RedditComment, RedditPost
from tests.kit import factories

RARE = [
    (RedditPost, "redditpost", "state", "author", "redditpost_gone"),
    (RedditComment, "redditcomment", "state", "author", "redditcomment_gone"),
    (JobRun, "jobrun", "trigger", "admin", "jobrun_not_scheduled"),
]


@pytest.mark.slow
@pytest.mark.django_db
@pytest.mark.parametrize(("model", "name", "field", "value", "index"), RARE)
def test_a_filter_by_a_rare_choice_reads_its_partial_index(
    admin_client, django_assert_max_num_queries, model, name, field, value, index
):
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off")
    address = f"/admin/{model._meta.app_label}/{name}/?{field}__exact={value}"
    with django_assert_max_num_queries(50) as context:
        assert admin_client.get(address).status_code == 200
    listed = [
        query["sql"]
        for query in context.captured_queries
        if f'"{field}" = ' in query["sql"] and "LIMIT" in query["sql"]
    ]

    assert listed
    with connection.cursor() as cursor:
        for sql in listed:
            cursor.execute(
                f"EXPLAIN {'QUERY PLAN ' if connection.vendor == 'sqlite' else ''}{sql}".replace("%", "%%")
            )
            assert index in str(cursor.fetchall()), sql


@pytest.mark.django_db
def test_a_filter_by_the_common_choice_keeps_its_rows(admin_client):
    post = factories.post(state="live")

    answer = admin_client.get("/admin/scraping/redditpost/?state__exact=live")

    assert [row.pk for row in answer.context["cl"].result_list] == [post.pk]
