"""A subreddit that is not stored yet is looked for in an index: at a million posts a scan takes more than a second."""

import re

import pytest
from django.db import connection

from tests.kit.scraped import make_config, raw_post
from tests.kit.steps import scrape
from tests.scraping.reddit_replay import RedditReplay


@pytest.mark.slow
@pytest.mark.django_db
def test_the_posts_of_a_new_subreddit_are_looked_for_in_an_index(reddit: RedditReplay) -> None:
    reddit.add_posts("brandnew", [raw_post(subreddit="brandnew") for _ in range(3)])
    config = make_config(subreddits=["brandnew"])
    is_postgres = connection.vendor == "postgresql"
    if is_postgres:
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL enable_seqscan = off")
    plans: list[str] = []

    def explain(execute, sql, params, many, context):
        if sql.startswith("SELECT") and re.search(r'LOWER\(+"scraping_redditpost"."subreddit"', sql):
            with connection.cursor() as cursor:
                cursor.cursor.execute(f"EXPLAIN {'' if is_postgres else 'QUERY PLAN '}{sql}", params)
                plans.append("\n".join(str(row[-1]) for row in cursor.cursor.fetchall()))
        return execute(sql, params, many, context)

    with connection.execute_wrapper(explain):
        scrape(config)

    assert plans
    assert [plan for plan in plans if "redditpost_subreddit_folded" not in plan] == []
