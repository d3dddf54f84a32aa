"""The list of bots puts those that need somebody on top; the page of a stopped one says what to do."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone, translation

from scraping.content.storage import store_posts
from scraping.models import BotConfig, ErrorKind, Freshness
from scraping.sessions.warnings import LASTING
from tests.kit import factories
from tests.scraping.admin.lists import listed

pytestmark = pytest.mark.django_db
ADDRESS = "/admin/scraping/botconfig/"


@pytest.fixture(autouse=True)
def reader(superuser):
    return superuser


def stopped(kind="private", **fields):
    return factories.bot_config(
        is_active=False, paused_at=timezone.now(), refusal_kind=kind, refusals=3, **fields
    )


def silent(**fields):
    bot = factories.bot_config(**fields)
    since = timezone.now() - timedelta(days=2)
    Freshness.objects.create(config=bot, subreddit="python", silent_since=since, why="quiet", newest_at=since)
    return bot


def test_bots_that_need_somebody_are_on_top(client):
    fine = factories.bot_config(name="A fine one")
    off = factories.bot_config(name="B switched off", is_active=False)
    quiet = silent(name="C silent")
    paused = stopped(name="D stopped")

    assert listed(client.get(ADDRESS)) == [paused, quiet, fine, off]


def test_a_click_on_a_column_still_sorts_by_it(client):
    paused, fine = stopped(name="B"), factories.bot_config(name="A")

    assert listed(client.get(ADDRESS, {"o": "1"})) == [fine, paused]


@pytest.mark.parametrize("state", ["stopped", "silent", "fine", "off"])
def test_the_list_is_filtered_by_state(client, state):
    bots = {
        "stopped": stopped(),
        "silent": silent(),
        "fine": factories.bot_config(),
        "off": factories.bot_config(is_active=False),
    }

    assert listed(client.get(ADDRESS, {"state": state})) == [bots[state]]


def test_a_row_says_what_is_new_and_what_was_last(client):
    bot = factories.bot_config(subreddits=["a1", "b1"])
    now = timezone.now()
    for subreddit, hours in (("a1", 5), ("b1", 2)):
        Freshness.objects.create(config=bot, subreddit=subreddit, newest_at=now - timedelta(hours=hours))
    for hours in (20, 1):
        last = factories.session(config=bot, started_at=now - timedelta(hours=hours))

    response = client.get(ADDRESS)
    facts = listed(response)[0].facts

    assert facts.newest_at == now - timedelta(hours=2)
    assert facts.session == last
    assert "2\xa0hours ago" in response.content.decode()


def test_the_posts_of_a_day_are_those_that_the_bot_found_first_or_not(client):
    first, second, none = (factories.bot_config(name=name) for name in "ABC")
    now = timezone.now()
    for hours, finders in ((1, [first]), (2, [first, second]), (23, [second, first]), (25, [first, second])):
        id36 = f"h{hours}"
        made = (now - timedelta(hours=hours)).timestamp()
        raw = {"id": id36, "name": f"t3_{id36}", "subreddit": "python", "title": "A", "created_utc": made}
        for bot in finders:
            store_posts([raw], session=factories.session(config=bot), seen_at=now)

    assert {bot: bot.facts.posts_of_day for bot in listed(client.get(ADDRESS))} == {
        first: 3,
        second: 2,
        none: 0,
    }


def test_a_silent_bot_says_why_and_a_late_post_is_not_taken_for_silence(client):
    silent(name="A silent", subreddits=["python"])
    late = factories.bot_config(name="B late")
    Freshness.objects.create(config=late, subreddit="python", due_at=timezone.now() - timedelta(hours=1))

    page = " ".join(client.get(ADDRESS).content.decode().split())

    assert "1 subreddit: no new posts, although some were expected" in page
    assert "1 subreddit: next post is late" in page


def test_the_subreddits_that_are_not_named_are_counted(client):
    factories.bot_config(subreddits=[f"s{number:03}" for number in range(200)])

    assert "r/s000, r/s001, r/s002, r/s003 and 196 more" in client.get(ADDRESS).content.decode()


def test_a_page_of_bots_costs_as_many_queries_as_one(client):
    def fill(number):
        bot = factories.bot_config(subreddits=[f"s{number}"], name=f"Bot {number}")
        Freshness.objects.create(config=bot, subreddit=f"s{number}", newest_at=timezone.now())
        factories.session(config=bot)

    fill(0)
    client.get(ADDRESS)
    with CaptureQueriesContext(connection) as one:
        client.get(ADDRESS)
    for number in range(1, 12):
        fill(number)

    with CaptureQueriesContext(connection) as many:
        client.get(ADDRESS)

    assert len(many) == len(one)
    assert len(many) <= 25


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "names"),
    [
        ("r/python", ["Snakes"]),
        ("R/PYTHON", ["Snakes"]),
        ("https://www.reddit.com/r/python/new/", ["Snakes"]),
        ("pyth", ["Pythagoras", "Snakes", "Wild snakes"]),
        ("r/pyth", []),
        ("snakes", ["Snakes", "Wild snakes"]),
        ("%", []),
    ],
)
def test_a_bot_is_found_by_its_name_and_its_subreddits(client, words, names):
    factories.bot_config(name="Snakes", subreddits=["Python", "django"])
    factories.bot_config(name="Wild snakes", subreddits=["pythons"])
    factories.bot_config(name="Pythagoras", subreddits=["maths"])

    assert sorted(bot.name for bot in listed(client.get(ADDRESS, {"q": words}))) == names


def test_a_bot_owner_finds_no_bot_of_others_by_its_subreddit(client):
    factories.bot_config(subreddits=["python"])
    client.force_login(factories.user("scraping.view_botconfig"))

    assert listed(client.get(ADDRESS, {"q": "r/python"})) == []


@pytest.mark.slow
@pytest.mark.parametrize("kind", sorted(LASTING))
def test_the_page_of_a_stopped_bot_says_what_to_do(client, kind):
    bot = stopped(kind)

    page = client.get(f"{ADDRESS}{bot.pk}/change/").content.decode()

    assert "Stopped by Reddit" in page
    assert ErrorKind(kind).remedy
    assert ErrorKind(kind).remedy.split("’")[0][:40] in page
    with translation.override("zh-hans"):
        assert ErrorKind(kind).remedy != str(BotConfig(refusal_kind="").pause_remedy)


def test_a_bot_that_scrapes_has_no_such_notice(client):
    bot = factories.bot_config()

    assert "Stopped by Reddit" not in client.get(f"{ADDRESS}{bot.pk}/change/").content.decode()


def test_who_may_not_change_the_app_is_told_whom_to_ask(client):
    owner = factories.user("scraping.view_botconfig", "scraping.change_botconfig")
    refused, private = stopped("unauthorized", owner=owner, name="A"), stopped(owner=owner, name="B")
    asked = "ask a superuser"

    assert asked not in client.get(f"{ADDRESS}{refused.pk}/change/").content.decode()
    client.force_login(owner)
    assert asked in client.get(f"{ADDRESS}{refused.pk}/change/").content.decode()
    assert asked not in client.get(f"{ADDRESS}{private.pk}/change/").content.decode()


def test_who_may_not_change_the_bot_is_told_who_can(client):
    bot = stopped()
    client.force_login(factories.user("scraping.view_botconfig", "scraping.view_everybodys_content"))

    page = client.get(f"{ADDRESS}{bot.pk}/change/").content.decode()

    assert "Its owner or a superuser" in page


def test_the_form_of_a_bot_offers_the_test_but_enter_saves(client):
    bot = factories.bot_config()
    for address, test in (
        (f"{ADDRESS}add/", reverse("admin:scraping_botconfig_add_test")),
        (f"{ADDRESS}{bot.pk}/change/", reverse("admin:scraping_botconfig_test", args=[bot.pk])),
    ):
        _head, form = client.get(address).content.decode().split('id="botconfig_form"')

        assert test in form
        assert "Test this config" in form
        # Browsers press the first submit button of the form.
        assert 'name="_save"' in form[form.index('type="submit"') :].partition(">")[0]
