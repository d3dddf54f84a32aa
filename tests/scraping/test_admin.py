"""Bots, sessions and content in the admin."""

from datetime import timedelta

import pytest
from django.contrib import admin
from django.db import connection
from django.test import RequestFactory
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from adminkit import paginator
from scraping.admin.content import stored_subreddits
from scraping.models import BotConfig, RedditApp
from tests import factories

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


@pytest.fixture
def owner(client):
    user = factories.user(
        "scraping.view_botconfig", "scraping.add_botconfig", "scraping.change_botconfig",
        "scraping.delete_botconfig", "scraping.view_scrapesession",
    )  # fmt: skip
    client.force_login(user)
    return user


@pytest.fixture
def superuser(client):
    user = factories.superuser()
    client.force_login(user)
    return user


def bot_form(data):
    """The form of the page that adds a bot."""
    request = RequestFactory().get("/")
    request.user = factories.superuser()
    return admin.site.get_model_admin(BotConfig).get_form(request)(data)


def listed(response):
    return list(response.context["cl"].result_list)


# --- Bots ----------------------------------------------------------------------------------------


def test_a_new_bot_belongs_to_whoever_made_it(client, owner):
    other = factories.user()

    response = client.post(reverse("admin:scraping_botconfig_add"), {**BOT, "owner": other.pk})

    assert response.status_code == 302, response.context["errors"]
    bot = BotConfig.objects.get()
    assert bot.owner == owner
    assert bot.subreddits == ["python", "django", "u_someone", "Flask"]


def test_a_name_twice_is_refused_at_its_field(client, owner):
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


def test_stored_subreddits_are_shown_one_a_line(client, owner):
    bot = factories.bot_config(owner=owner, subreddits=["python", "django"])

    page = client.get(reverse("admin:scraping_botconfig_change", args=[bot.pk])).content.decode()

    assert "python\ndjango</textarea>" in page


def test_scrape_now_leads_to_the_page_that_asks(client, owner):
    bot = factories.bot_config(owner=owner)
    idle = factories.bot_config(owner=owner, is_active=False)
    target = reverse("admin:maintenance_job_run", args=["scrape_now"])

    page = client.get(reverse("admin:scraping_botconfig_changelist")).content.decode()
    form = client.get(reverse("admin:scraping_botconfig_change", args=[bot.pk])).content.decode()

    assert f"{target}?config={bot.pk}" in page
    assert f"{target}?config={bot.pk}" in form
    assert f"{target}?config={idle.pk}" not in page
    assert client.get(f"{target}?config={bot.pk}").status_code == 200


def test_the_list_shows_how_the_last_session_ended_without_a_query_for_each_bot(client, owner):
    def queries():
        with CaptureQueriesContext(connection) as captured:
            response = client.get(reverse("admin:scraping_botconfig_changelist"))
        return len(captured), response.content.decode()

    bot = factories.bot_config(owner=owner)
    factories.session(config=bot, status="failed")
    factories.session(config=bot, status="partial")
    one, page = queries()
    assert "badge-partial" in page
    assert "badge-failed" not in page
    for _ in range(5):
        factories.session(config=factories.bot_config(owner=owner))
    assert queries()[0] == one


# --- Reddit apps -----------------------------------------------------------------------------------


def test_a_secret_goes_in_and_never_comes_out(client, superuser):
    form = {"name": "app", "client_id": "id", "user_agent": "x:y:1 (by /u/z)", "new_secret": "s3cr3t-words"}
    client.post(reverse("admin:scraping_redditapp_add"), form)
    app = RedditApp.objects.get()
    assert app.client_secret == "s3cr3t-words"

    for address in (
        reverse("admin:scraping_redditapp_change", args=[app.pk]),
        reverse("admin:scraping_redditapp_changelist"),
        reverse("admin:scraping_redditapp_history", args=[app.pk]),
    ):
        assert "s3cr3t-words" not in client.get(address).content.decode()


def test_an_empty_secret_keeps_the_stored_one(client, superuser):
    app = factories.reddit_app(client_secret="kept")
    form = {"name": "renamed", "client_id": app.client_id, "user_agent": app.user_agent, "new_secret": ""}

    assert client.post(reverse("admin:scraping_redditapp_change", args=[app.pk]), form).status_code == 302

    app = RedditApp.objects.get()
    assert (app.name, app.client_secret) == ("renamed", "kept")


def test_the_budget_of_an_app_is_on_its_page_and_asked_for_again(client, superuser):
    app = factories.reddit_app(name="My app")
    other = factories.request_budget(client_id="unnamed-client", used=7)
    soon = timezone.now() + timedelta(minutes=5, seconds=50)
    factories.request_budget(
        client_id=app.client_id, used=412, leased=16, used_by_compliance=30, ends_at=soon
    )

    page = client.get(reverse("admin:scraping_redditapp_change", args=[app.pk])).content.decode()
    live = client.get(reverse("admin:scraping_redditapp_budget", args=[app.pk])).content.decode()
    everybody = client.get(reverse("admin:scraping_redditapp_changelist")).content.decode()

    assert 'max="1000" value="412"' in page
    assert reverse("admin:scraping_redditapp_budget", args=[app.pk]) in page
    for text in ("My app", 'value="412"', "16 leased to workers", "70 reserved", "5 m"):
        assert text in live
    assert other.client_id not in everybody  # it is the environment's: its secret's other half stays untold
    assert "REDDIT_CLIENT_ID" in everybody
    assert "My app" in everybody


def test_an_app_that_has_sent_nothing_says_so(client, superuser):
    app = factories.reddit_app()

    assert (
        "No request was sent yet"
        in client.get(reverse("admin:scraping_redditapp_change", args=[app.pk])).content.decode()
    )


def test_budgets_are_for_who_may_see_apps(client):
    app = factories.reddit_app()
    addresses = [
        reverse("admin:scraping_redditapp_budgets"),
        reverse("admin:scraping_redditapp_budget", args=[app.pk]),
    ]
    client.force_login(factories.user("scraping.view_botconfig"))
    assert [client.get(address).status_code for address in addresses] == [403, 403]
    client.force_login(factories.user("scraping.view_redditapp"))
    assert [client.get(address).status_code for address in addresses] == [200, 200]
    assert client.get(reverse("admin:scraping_redditapp_budget", args=[app.pk + 1])).status_code == 404


# --- What a bot has listed, and why it is paused -------------------------------------------------------


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


def test_a_paused_bot_says_why_and_is_freed_by_saving_it_as_active(client, owner):
    bot = factories.bot_config(
        owner=owner, is_active=False, paused_at=timezone.now(), refusal_kind="private", refusals=3
    )
    address = reverse("admin:scraping_botconfig_change", args=[bot.pk])

    assert "private subreddit" in client.get(reverse("admin:scraping_botconfig_changelist")).content.decode()
    assert "Private subreddit, 3 times in a row" in client.get(address).content.decode()
    client.post(address, BOT)
    bot.refresh_from_db()
    assert (bot.is_active, bot.paused_at, bot.refusals) == (True, None, 0)


def test_a_search_needs_words_and_numbers_left_empty_take_their_defaults():
    bot = {**BOT, "owner": factories.user().pk, "sort": "search"}
    assert list(bot_form(bot).errors) == ["query"]

    form = bot_form({**bot, "query": "django", "comment_requests": ""})
    assert form.is_valid(), form.errors
    assert (form.cleaned_data["comment_requests"], form.cleaned_data["comment_refresh_hours"]) == (5, 24)


def test_a_session_shows_warnings_what_was_skipped_and_when_it_goes_on(client, superuser):
    session = factories.session(
        status="interrupted", requests_used=9, retries=2, resume_at=timezone.now(),
        totals={"python": {"skipped": {"no name": 3}, "warnings": ["No new posts for 9 h"], "posts_changed": 4}},
    )  # fmt: skip

    page = client.get(reverse("admin:scraping_scrapesession_change", args=[session.pk])).content.decode()

    for text in ("3 × no name", "No new posts for 9 h", "2 repeated", "Goes on after"):
        assert text in page


# --- Sessions and content ----------------------------------------------------------------------------


def test_owners_see_only_sessions_of_their_own_bots(client, owner):
    mine = factories.session(config=factories.bot_config(owner=owner))
    theirs = factories.session()

    assert listed(client.get(reverse("admin:scraping_scrapesession_changelist"))) == [mine]
    assert client.get(reverse("admin:scraping_scrapesession_change", args=[mine.pk])).status_code == 200
    foreign, missing = (
        client.get(reverse("admin:scraping_scrapesession_change", args=[pk])) for pk in (theirs.pk, 99_999)
    )
    assert (foreign.status_code, missing.status_code) == (404, 404)
    assert foreign.context["refusal"] == missing.context["refusal"]
    assert "no permission" in foreign.context["refusal"]


@pytest.mark.parametrize("name", ["scrapesession", "redditpost", "redditcomment"])
def test_what_was_found_is_read_only_even_for_superusers(client, superuser, name):
    row = {
        "scrapesession": factories.session,
        "redditpost": factories.post,
        "redditcomment": factories.comment,
    }[name]()

    assert client.get(reverse(f"admin:scraping_{name}_add")).status_code == 403
    assert client.post(reverse(f"admin:scraping_{name}_change", args=[row.pk]), {}).status_code == 403
    assert (
        client.post(reverse(f"admin:scraping_{name}_delete", args=[row.pk]), {"post": "yes"}).status_code
        == 403
    )
    assert type(row).objects.filter(pk=row.pk).exists()


@pytest.mark.parametrize("term", ["{fullname}", "r/PYTHON", "python", "u/ada"])
def test_posts_are_found_by_what_is_exact(client, superuser, term):
    wanted = factories.post(fullname="t3_abc", subreddit="Python", author="ada")
    factories.post(subreddit="django", author="grace")

    response = client.get(
        reverse("admin:scraping_redditpost_changelist"), {"q": term.format(fullname=wanted.fullname)}
    )

    assert listed(response) == [wanted]


@pytest.mark.parametrize("term", ["t1_abc", "abc", "t3_def", "u/ada"])
def test_comments_are_found_by_what_is_exact(client, superuser, term):
    wanted = factories.comment(fullname="t1_abc", author="ada", post=factories.post(fullname="t3_def"))
    factories.comment()

    assert listed(client.get(reverse("admin:scraping_redditcomment_changelist"), {"q": term})) == [wanted]


def test_posts_are_filtered_by_subreddit_and_state(client, superuser):
    wanted = factories.post(subreddit="django", state="author")
    factories.post(subreddit="django")
    factories.post(subreddit="python", state="author")

    response = client.get(
        reverse("admin:scraping_redditpost_changelist"), {"subreddit": "django", "state__exact": "author"}
    )

    assert listed(response) == [wanted]


def test_stored_subreddits_are_each_named_once():
    for name in ("python", "django", "python", "Flask"):
        factories.post(subreddit=name)

    assert sorted(stored_subreddits()) == ["Flask", "django", "python"]


def test_no_subreddits_are_stored_at_first():
    assert stored_subreddits() == []


def test_a_big_list_is_not_counted_to_its_end(client, superuser, monkeypatch):
    monkeypatch.setattr(paginator, "ROWS_MAX", 3)
    for _ in range(5):
        factories.post()

    with CaptureQueriesContext(connection) as captured:
        response = client.get(reverse("admin:scraping_redditpost_changelist"))

    assert response.context["cl"].result_count == 3
    counts = [query["sql"] for query in captured if "COUNT(" in query["sql"]]
    assert counts
    assert all("LIMIT 3" in sql for sql in counts)
    assert "The first 3" in response.content.decode()


def test_reddits_words_are_never_taken_for_markup(client, superuser):
    post = factories.post(title="<script>alert(1)</script>", body="<img src=x>", author="<b>")
    comment = factories.comment(post=post, body="<script>alert(2)</script>")

    for address in (
        reverse("admin:scraping_redditpost_changelist"),
        reverse("admin:scraping_redditpost_change", args=[post.pk]),
        reverse("admin:scraping_redditcomment_changelist"),
        reverse("admin:scraping_redditcomment_change", args=[comment.pk]),
    ):
        page = client.get(address).content.decode()
        assert "<script>alert" not in page
        assert "<img src=x>" not in page
        assert "u/<b>" not in page
