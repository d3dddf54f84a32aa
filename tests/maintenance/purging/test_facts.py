"""A plan names the facts that decide it: subreddits, bots, rules, holds that end, and the usual number of rows."""

import re
from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from maintenance.ledger import performing, requests
from maintenance.purging.facts import Group, RuleEffect
from maintenance.purging.plan import TablePlan
from tests.kit import factories

pytestmark = pytest.mark.django_db
DAY = timedelta(days=1)


def aged(days, **fields):
    return factories.post(created_at=timezone.now() - days * DAY, **fields)


def planned():
    return performing.preview("purge_old_content").tables[0]


def test_the_rows_are_told_by_subreddit_and_by_bot():
    news = factories.bot_config(name="News")
    for _ in range(3):
        aged(100, subreddit="Python", config=news)
    aged(100, subreddit="rust")
    aged(10, subreddit="rust", config=news)  # stays

    table = planned()

    assert table.groups["subreddit"] == [Group("r/Python", 3), Group("r/rust", 1)]
    assert table.groups["bot"] == [Group("News", 3), Group("", 1)]


def test_small_groups_are_one_and_no_profile_names_its_user():
    for number in range(12):
        for _ in range(3):
            aged(100, subreddit=f"sub{number:02}")
    aged(100, subreddit="u_alice")
    aged(100, subreddit="u_bob")

    found = planned().groups["subreddit"]

    assert len(found) == 11
    assert found[-1] == Group(None, 3 * 2 + 2)
    assert "alice" not in str(planned().as_json())


def test_what_overrides_keep_longer_and_take_sooner_stands_in_the_plan():
    factories.retention_policy(job="purge_old_content", days=90)
    bot = factories.bot_config(name="Archive")
    factories.retention_override(subreddit="Memes", days=10)
    factories.retention_override(config=bot, days=400)
    aged(100)
    aged(80)  # stays
    aged(20, subreddit="memes")
    aged(100, subreddit="memes")
    aged(100, config=bot)
    aged(100, config=bot, subreddit="memes")  # the longer of two retentions counts
    aged(500, config=bot)
    aged(100, config=bot, held_at=timezone.now(), hold_reason="kept anyway")

    table = planned()

    assert table.rows == 4
    assert table.rules == [
        RuleEffect("Archive", 400, rows=1, sooner=0, kept=2),
        RuleEffect("r/Memes", 10, rows=2, sooner=1, kept=0),
        RuleEffect("", 90, rows=1, sooner=0, kept=0),
    ]
    assert sum(rule.rows for rule in table.rules) == table.rows


def test_without_overrides_there_are_no_rules_to_tell_apart():
    aged(100)

    assert planned().rules == []


def test_holds_that_end_within_a_week_are_counted():
    now = timezone.now()
    for days in (1, 6, 8):
        aged(100, held_at=now, held_until=now + days * DAY, hold_reason="research")
    aged(100, held_at=now, hold_reason="court order")
    aged(10, held_at=now, held_until=now + DAY, hold_reason="too young")

    table = planned()

    assert (table.held, table.holds_ending) == (4, 2)


def test_the_usual_number_stands_beside_the_rows():
    for number in (10, 20, 30):
        factories.job_run(job="purge_old_content", counts={"scraping.RedditPost": number})

    assert planned().usual == 20


def test_a_plan_with_its_facts_comes_back_from_its_json():
    factories.retention_override(subreddit="python", days=400)
    aged(500, subreddit="python")

    table = planned()

    assert TablePlan.from_json(table.as_json()) == table


@pytest.mark.slow
@pytest.mark.parametrize("which", ["run now", "run"])
def test_the_pages_show_what_decides(client, which):
    factories.retention_override(subreddit="Python", days=400)
    aged(500, subreddit="Python")
    aged(200, subreddit="Python")
    client.force_login(factories.superuser())
    dry = requests.request_run(job="purge_old_content", trigger="admin", dry_run=True, send=False)
    performing.perform(dry)
    addresses = {
        "run now": reverse("admin:maintenance_job_run", args=["purge_old_content"]),
        "run": reverse("admin:maintenance_jobrun_change", args=[dry.pk]),
    }

    text = " ".join(client.get(addresses[which]).content.decode().split())

    assert "<h3>By rule</h3>" in text
    cells = '<th scope="row">r/Python</th> <td class="number"[^>]*>400</td> <td class="number"[^>]*>1</td>'
    assert re.search(cells, text)
    assert "Keeps although older" in text
    assert "<h3>By subreddit</h3>" in text


@pytest.mark.slow
def test_the_form_of_a_retention_says_that_a_purge_is_running(client):
    policy = factories.retention_policy(job="purge_old_content", days=90)
    client.force_login(factories.superuser())
    form = reverse("admin:maintenance_retentionpolicy_change", args=[policy.pk])
    assert "is deleting now" not in client.get(form).content.decode()
    factories.job_run(job="purge_old_content", status="running", dry_run=True)
    factories.job_run(job="cleanup_sessions", status="running")
    assert "is deleting now" not in client.get(form).content.decode()

    run = factories.job_run(job="purge_old_content", status="running", worker="v")

    assert f"Run #{run.pk} of this job is deleting now." in client.get(form).content.decode()
