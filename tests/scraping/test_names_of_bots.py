"""Pages about something else name the bots of others, and sessions, only to people who may view bots and sessions."""

import pytest
from django.urls import reverse

from tests.kit import factories

pytestmark = pytest.mark.django_db
OTHERS = (
    "scraping.view_everybodys_content",
    "scraping.view_redditpost",
    "scraping.view_redditcomment",
    "maintenance.view_jobrun",
    "alerts.view_alert",
    "django_celery_beat.view_periodictask",
)
NAMING = ("scraping.view_botconfig", "scraping.view_scrapesession")
NAME = "Moonlit Harbour"


@pytest.fixture
def addresses():
    """Return the pages that name the bot, or its owner."""
    owner = factories.user(username=f"owner of {NAME}")
    bot = factories.bot_config(name=NAME, subreddits=["python"], owner=owner)
    session = factories.session(config=bot)
    post = factories.post(session=session, config=bot)
    comment = factories.comment(post=post)
    factories.sighting(post=post, config=bot)
    run = factories.job_run(job="scrape_now", status="failed", params={"config": bot.pk})
    page = "admin:{}_change".format
    return [
        reverse("admin:scraping_redditpost_changelist"),
        reverse(page("scraping_redditpost"), args=[post.pk]),
        reverse("admin:scraping_redditcomment_changelist"),
        reverse(page("scraping_redditcomment"), args=[comment.pk]),
        reverse("admin:maintenance_jobrun_changelist"),
        reverse(page("maintenance_jobrun"), args=[run.pk]),
        reverse("admin:django_celery_beat_periodictask_changelist"),
        reverse("admin:index"),
        f"{reverse('admin:search')}?q=https://www.reddit.com/r/python/comments/zz9/title/",
    ]


def named_on(client, addresses, *permissions):
    client.force_login(factories.user(*permissions))
    answers = [client.get(address) for address in addresses]
    assert {answer.status_code for answer in answers} == {200}
    return [NAME in answer.content.decode() for answer in answers]


def test_bots_are_named_only_to_people_who_may_view_bots(client, addresses):
    assert named_on(client, addresses, *OTHERS, *NAMING) == [True] * len(addresses)
    assert named_on(client, addresses, *OTHERS) == [False] * len(addresses)


def test_a_session_is_named_only_to_people_who_may_view_sessions(client, addresses):
    post = addresses[1:2]

    assert named_on(client, post, *OTHERS, NAMING[1]) == [True]
    assert named_on(client, post, *OTHERS) == [False]


def test_who_may_not_view_bots_is_not_told_that_none_reads_a_subreddit(client, addresses):
    client.force_login(factories.user(*OTHERS))

    text = client.get(addresses[-1]).content.decode()

    assert "It is not stored" in text
    assert "no active bot" not in text
