"""Bots in the admin."""

import pytest
from django.contrib import admin
from django.db import connection
from django.test import RequestFactory
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from scraping.models import BotConfig
from tests.kit import factories
from tests.scraping.admin.lists import listed

pytestmark = pytest.mark.django_db
BOT = {
    "name": "News",
    "subreddits": "r/python, django\n/r/u_someone\nhttps://www.reddit.com/r/Flask/ python",
    "sort": "new",
    "nsfw": "any",
    "time_filter": "day",
    "post_limit": "100",
    "comment_policy": "first_page",
    "comment_limit": "500",
    "comment_depth": "10",
    "is_active": "on",
    "auto_scrape": "on",
}


def bot_form(data):
    """Return the form of the page that adds a bot."""
    request = RequestFactory().get("/")
    request.user = factories.superuser()
    return admin.site.get_model_admin(BotConfig).get_form(request)(data)


def test_a_new_bot_belongs_to_whoever_made_it(client, owner):
    other = factories.user()

    response = client.post(reverse("admin:scraping_botconfig_add"), {**BOT, "owner": other.pk})

    assert response.status_code == 302, response.context["errors"]
    bot = BotConfig.objects.get()
    assert bot.owner == owner
    assert bot.subreddits == ["python", "django", "u_someone", "Flask"]


@pytest.mark.slow
def test_a_duplicate_name_is_refused_at_its_field(client, owner):
    mine = factories.bot_config(owner=owner, name="Other")
    factories.bot_config(name=BOT["name"])  # somebody else's
    add, change = (
        reverse("admin:scraping_botconfig_add"),
        reverse("admin:scraping_botconfig_change", args=[mine.pk]),
    )

    assert client.post(add, BOT).status_code == 302
    for target in (add, change):
        response = client.post(target, BOT)
        assert list(response.context["adminform"].form.errors) == ["name"]
    assert client.post(change, {**BOT, "name": "Third"}).status_code == 302
    assert sorted(BotConfig.objects.filter(owner=owner).values_list("name", flat=True)) == [
        BOT["name"],
        "Third",
    ]


def test_a_superuser_chooses_the_owner(client, superuser):
    other = factories.user()

    client.post(reverse("admin:scraping_botconfig_add"), {**BOT, "owner": other.pk})

    assert BotConfig.objects.get().owner == other


@pytest.mark.slow
def test_owners_see_and_change_only_their_own_bots(client, owner):
    mine, theirs = factories.bot_config(owner=owner), factories.bot_config()

    assert listed(client.get(reverse("admin:scraping_botconfig_changelist"))) == [mine]
    for view in ("change", "delete", "history"):
        client.post(reverse(f"admin:scraping_botconfig_{view}", args=[theirs.pk]), {**BOT, "post": "yes"})
    theirs.refresh_from_db()
    assert theirs.name != "News"


def test_an_error_names_the_bad_subreddit():
    form = bot_form({**BOT, "subreddits": "python\nbad-name!\nr/x"})

    assert not form.is_valid()
    assert ["“bad-name!”" in error or "“x”" in error for error in form.errors["subreddits"]] == [True, True]


def test_no_subreddit_is_an_error():
    form = bot_form({**BOT, "subreddits": " , "})

    assert "subreddits" in form.errors


def test_stored_subreddits_are_shown_one_per_line(client, owner):
    bot = factories.bot_config(owner=owner, subreddits=["python", "django"])

    page = client.get(reverse("admin:scraping_botconfig_change", args=[bot.pk])).content.decode()

    assert "python\ndjango</textarea>" in page


@pytest.mark.slow
def test_scrape_now_leads_to_the_confirmation_page(client, owner):
    bot = factories.bot_config(owner=owner)
    idle = factories.bot_config(owner=owner, is_active=False)
    target = reverse("admin:maintenance_job_run", args=["scrape_now"])

    page = client.get(reverse("admin:scraping_botconfig_changelist")).content.decode()
    form = client.get(reverse("admin:scraping_botconfig_change", args=[bot.pk])).content.decode()

    assert f"{target}?config={bot.pk}" in page
    assert f"{target}?config={bot.pk}" in form
    assert f"{target}?config={idle.pk}" not in page
    assert client.get(f"{target}?config={bot.pk}").status_code == 200


@pytest.mark.slow
def test_the_list_shows_how_the_last_session_ended_without_a_query_for_each_bot(client, owner):
    def queries():
        with CaptureQueriesContext(connection) as captured:
            response = client.get(reverse("admin:scraping_botconfig_changelist"))
        return len(captured), response.content.decode()

    bot = factories.bot_config(owner=owner)
    factories.session(config=bot, status="failed")
    factories.session(config=bot, status="partial")
    queries()  # the first request of a session also writes when it was last used
    one, page = queries()
    assert "badge-partial" in page
    assert "badge-failed" not in page
    for _ in range(5):
        factories.session(config=factories.bot_config(owner=owner))
    assert queries()[0] == one


@pytest.mark.slow
def test_a_bots_page_shows_how_far_each_subreddit_is_listed(client, owner):
    bot = factories.bot_config(owner=owner, post_limit=1000)
    factories.watermark(config=bot, subreddit="python", name="Python", posts_per_hour=310.2)
    factories.watermark(config=bot, name="Elsewhere")  # it was taken out of the bot
    factories.watermark(name="Elsewhere")

    page = client.get(reverse("admin:scraping_botconfig_change", args=[bot.pk])).content.decode()

    for text in ("r/Python", "310.2", "3 h"):
        assert text in page
    assert "Elsewhere" not in page
    assert "Listed so far" not in client.get(reverse("admin:scraping_botconfig_add")).content.decode()


@pytest.mark.slow
def test_a_paused_bot_says_why_and_is_resumed_by_saving_it_as_active(client, owner):
    bot = factories.bot_config(
        owner=owner, is_active=False, paused_at=timezone.now(), refusal_kind="private", refusals=3
    )
    address = reverse("admin:scraping_botconfig_change", args=[bot.pk])

    assert "private subreddit" in client.get(reverse("admin:scraping_botconfig_changelist")).content.decode()
    assert "Private subreddit, 3 times in a row" in client.get(address).content.decode()
    client.post(address, BOT)
    bot.refresh_from_db()
    assert (bot.is_active, bot.paused_at, bot.refusals) == (True, None, 0)


def test_a_search_needs_words_and_empty_numbers_get_their_defaults():
    bot = {**BOT, "owner": factories.user().pk, "sort": "search"}
    assert list(bot_form(bot).errors) == ["query"]

    form = bot_form({**bot, "query": "django", "comment_requests": ""})
    assert form.is_valid(), form.errors
    assert (form.cleaned_data["comment_requests"], form.cleaned_data["comment_refresh_hours"]) == (5, 24)


def test_a_session_shows_warnings_skipped_items_and_when_it_is_resumed(client, superuser):
    session = factories.session(
        status="interrupted", requests_used=9, retries=2, resume_at=timezone.now(),
        totals={"python": {"skipped": {"no name": 3}, "warnings": ["No new posts for 9 h"], "posts_changed": 4}},
    )  # fmt: skip

    page = client.get(reverse("admin:scraping_scrapesession_change", args=[session.pk])).content.decode()

    for text in ("3 × no name", "No new posts for 9 h", "2 repeated", "Goes on after"):
        assert text in page
