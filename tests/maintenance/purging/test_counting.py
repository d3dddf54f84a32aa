"""The counts of a plan, made in one reading of the table, are those of the deletion: random scenarios, with survivors."""

import random
from collections import Counter

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from maintenance import retention
from maintenance.ledger import performing, requests
from maintenance.models import JobRun, RetentionOverride
from maintenance.purging.counting import count_once
from scraping.models import RedditComment, RedditPost
from tests.maintenance.purging.scenarios import COMMENT, POST, Kept, Scenario

pytestmark = pytest.mark.django_db(transaction=True)


def what_each_group_lost(before):
    """How many of these posts are gone, by subreddit, by bot and by month."""
    left = set(RedditPost.objects.values_list("pk", flat=True))
    gone = [post for pk, post in before.items() if pk not in left]
    return [
        Counter(f"r/{post.subreddit}" for post in gone),
        Counter(post.config.name if post.config else "" for post in gone),
        Counter(f"{post.created_at:%Y-%m}" for post in gone),
    ]


@pytest.mark.parametrize(
    "seed", [*range(3), *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(3, 25))]
)
def test_a_plan_counts_what_the_purge_then_deletes(monkeypatch, settings, seed):
    settings.RETENTION_FLOOR_DAYS = 1
    scenario = Scenario(seed, monkeypatch)
    for days in range(8):  # a survivor, and one row that goes, in every scenario
        scenario.random = random.Random(seed * 100 + days)
        scenario.scrape()
    preview = {table.model: table for table in performing.preview("purge_old_content").tables}
    before = {post.pk: post for post in RedditPost.objects.select_related("config")}
    comments = RedditComment.objects.count()

    run = requests.request_run(job="purge_old_content", trigger="command", force_reason="test", send=False)
    performing.perform(run)

    run.refresh_from_db()
    assert run.status == JobRun.Status.SUCCEEDED, run.message
    table = preview[POST]
    gone = len(before) - RedditPost.objects.count()
    assert (table.rows, preview[COMMENT].rows) == (gone, comments - RedditComment.objects.count())
    by_subreddit, by_bot, by_month = what_each_group_lost(before)
    assert {group.name: group.rows for group in table.groups["subreddit"]} == by_subreddit
    assert {group.name: group.rows for group in table.groups["bot"]} == by_bot
    assert table.by_month == by_month
    assert not table.rules or sum(rule.rows for rule in table.rules) == gone
    assert set(RedditPost.objects.values_list("pk", flat=True)) == {
        pk for pk, row in scenario.rows.items() if row.held or not scenario.kept.dooms(row)
    }


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(25))
def test_the_effect_of_an_edit_is_that_of_the_rows(monkeypatch, settings, seed):
    settings.RETENTION_FLOOR_DAYS = 1
    scenario = Scenario(seed, monkeypatch)
    before, chance = scenario.kept, random.Random(seed)
    targets = before.overrides if seed % 2 else chance.sample(["python", "django", 0, 1], 2)
    after = Kept(
        chance.randint(1, 6),
        {target: chance.randint(1, 6) for target in targets},
        keeps_live_threads=chance.choice([before.keeps_live_threads, True]),
    )
    rows = [row for row in scenario.rows.values() if not row.held]

    found = retention.effect(scenario.policy, scenario.retention_of(after))

    more = [row for row in rows if after.dooms(row) and not before.dooms(row)]
    fewer = [row for row in rows if before.dooms(row) and not after.dooms(row)]
    assert found.more.total == len(more) + sum(row.comments for row in more)
    assert found.fewer.total == len(fewer) + sum(row.comments for row in fewer)


def test_the_table_is_read_once(monkeypatch, settings):
    settings.RETENTION_FLOOR_DAYS = 1
    Scenario(1, monkeypatch)
    RetentionOverride.objects.all().delete()

    with CaptureQueriesContext(connection) as captured:
        performing.preview("purge_old_content")

    counting = [
        query["sql"] for query in captured if "GROUP BY" in query["sql"] and "redditpost" in query["sql"]
    ]
    holds = [sql for sql in counting if "hold_reason" in sql]
    assert len(counting) - len(holds) == 1


def test_rows_that_cannot_exist_are_counted_without_asking():
    counted = count_once(RedditPost.objects.none(), key="created_at")

    assert counted.by_month == {POST: {}, COMMENT: {}}
