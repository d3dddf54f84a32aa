"""Who sees which rows: each model by each role, in one table."""

import importlib
import re
from types import SimpleNamespace

import pytest
from django.apps import apps
from django.contrib.auth.models import AnonymousUser, Group
from django.db import connection
from django.urls import reverse
from django.utils import timezone

from console.roles import APPROVERS, BOT_OWNERS, OPERATORS, VIEWERS
from maintenance.models import JobRun
from scraping.content.storage import store_posts
from scraping.models import (
    BotConfig,
    PostSighting,
    RedditApp,
    RedditComment,
    RedditPost,
    ScrapeSession,
)
from tests.kit import factories

pytestmark = pytest.mark.django_db


def member(group):
    person = factories.user()
    person.groups.add(Group.objects.get(name=group))
    return person


def raw_post(number):
    return {"id": f"p{number}", "name": f"t3_p{number}", "subreddit": "python", "title": f"Post {number}",
            "created_utc": 1_700_000_000.0 + number}  # fmt: skip


@pytest.fixture
def world():
    """Make two owners with a bot each: the first bot found t3_p1, the second t3_p3, both found t3_p2."""
    owner, other = member(BOT_OWNERS), member(BOT_OWNERS)
    bots = {"own": factories.bot_config(owner=owner), "other": factories.bot_config(owner=other)}
    for name, numbers in (("own", (1, 2)), ("other", (2, 3))):
        session = factories.session(config=bots[name])
        store_posts(map(raw_post, numbers), session=session, seen_at=timezone.now())
        factories.job_run(job="scrape_now", params={"config": bots[name].pk})
    factories.job_run(job="purge_old_content")
    for post in RedditPost.objects.all():
        factories.comment(post=post, body=post.fullname)
    for name, app_owner in (("shared", None), ("own", owner), ("other", other)):
        RedditApp.objects.create(name=name, client_id=name, owner=app_owner)
    return {"owner": owner, "other": other, **{f"bot_{name}": bot for name, bot in bots.items()}}


PEOPLE = {
    "superuser": lambda world: factories.superuser(),
    "inactive superuser": lambda world: factories.superuser(is_active=False),
    "viewer": lambda world: member(VIEWERS),
    "operator": lambda world: member(OPERATORS),
    "approver": lambda world: member(APPROVERS),
    "owner": lambda world: world["owner"],
    "owner of nothing": lambda world: member(BOT_OWNERS),
    "nobody": lambda world: AnonymousUser(),
}
ALL_POSTS = {"t3_p1", "t3_p2", "t3_p3"}
EVERYTHING = {"bots": 2, "sessions": 2, "runs": 3, "posts": ALL_POSTS, "comments": ALL_POSTS}
NOTHING = {"bots": 0, "sessions": 0, "runs": 0, "posts": set(), "comments": set()}
SHARED, ALL_APPS = {"shared"}, {"shared", "own", "other"}
TABLE = {
    "superuser": {**EVERYTHING, "apps": ALL_APPS},
    "inactive superuser": {**NOTHING, "apps": SHARED},
    "viewer": {**EVERYTHING, "apps": SHARED},
    "operator": {**EVERYTHING, "apps": SHARED},
    "approver": {**EVERYTHING, "apps": SHARED},
    "owner": {
        "bots": 1, "sessions": 1, "runs": 1, "posts": {"t3_p1", "t3_p2"}, "comments": {"t3_p1", "t3_p2"},
        "apps": {"shared", "own"},
    },
    "owner of nothing": {**NOTHING, "apps": SHARED},
    "nobody": {**NOTHING, "apps": set()},
}  # fmt: skip


@pytest.mark.parametrize("role", TABLE)
def test_a_role_sees_what_the_table_says(world, role):
    person = PEOPLE[role](world)

    assert {
        "bots": BotConfig.objects.visible_to(person).count(),
        "sessions": ScrapeSession.objects.visible_to(person).count(),
        "runs": JobRun.objects.visible_to(person).count(),
        "posts": set(RedditPost.objects.visible_to(person).values_list("fullname", flat=True)),
        "comments": set(RedditComment.objects.visible_to(person).values_list("body", flat=True)),
        "apps": set(RedditApp.objects.visible_to(person).values_list("name", flat=True)),
    } == TABLE[role]


@pytest.mark.parametrize("role", ["viewer", "operator", "approver", "owner", "owner of nothing"])
def test_only_owners_and_superusers_manage_a_bot(world, role):
    person = PEOPLE[role](world)

    assert set(BotConfig.objects.managed_by(person)) == ({world["bot_own"]} if role == "owner" else set())


# --- Sightings -----------------------------------------------------------------------------------


def test_a_second_sight_writes_no_sighting(world, django_assert_num_queries):
    session = ScrapeSession.objects.filter(config=world["bot_own"]).get()
    before = set(PostSighting.objects.values_list("post_id", "config_id"))

    store_posts(map(raw_post, (1, 2)), session=session, seen_at=timezone.now())

    assert set(PostSighting.objects.values_list("post_id", "config_id")) == before


def test_the_database_deletes_the_sightings_of_a_post_and_of_a_bot(world):
    RedditPost.objects.filter(fullname="t3_p1")._raw_delete("default")
    assert PostSighting.objects.count() == 3

    ScrapeSession.objects.all()._raw_delete("default")
    world["bot_other"].delete()
    assert set(PostSighting.objects.values_list("post__fullname", "config")) == {
        ("t3_p2", world["bot_own"].pk)
    }


def test_posts_of_a_bot_that_is_gone_are_stored_without_a_sighting(world):
    session = ScrapeSession.objects.filter(config=world["bot_other"]).get()
    BotConfig.objects.filter(pk=world["bot_other"].pk).delete()

    store_posts([raw_post(4)], session=session, seen_at=timezone.now())

    assert RedditPost.objects.filter(fullname="t3_p4").exists()
    assert not PostSighting.objects.filter(post__fullname="t3_p4").exists()


def test_the_migration_gives_each_post_to_the_bot_that_found_it_first(world):
    PostSighting.objects.all()._raw_delete("default")
    RedditPost.objects.filter(fullname="t3_p3").update(config_id=99_999)  # a bot that is gone
    migration = importlib.import_module("scraping.migrations.0009_fill_sightings")

    editor = SimpleNamespace(connection=connection, quote_name=connection.ops.quote_name)

    for _ in range(2):
        migration.fill(apps, editor)

    assert set(PostSighting.objects.values_list("post__fullname", "config")) == {
        ("t3_p1", world["bot_own"].pk),
        ("t3_p2", world["bot_own"].pk),
    }


# --- Pages ---------------------------------------------------------------------------------------


def listed(client, model, query=""):
    page = client.get(reverse(f"admin:scraping_{model}_changelist") + query)
    return set(page.context["cl"].result_list)


def test_an_owners_lists_and_export_hold_what_their_bots_found(client, world):
    client.force_login(world["owner"])
    mine = set(RedditPost.objects.filter(fullname__in=["t3_p1", "t3_p2"]))

    assert listed(client, "redditpost") == mine
    assert listed(client, "redditpost", "?q=t3_p3") == set()
    assert {comment.body for comment in listed(client, "redditcomment")} == {"t3_p1", "t3_p2"}
    answer = client.get(reverse("admin:scraping_redditpost_export", args=["jsonl"]))
    text = b"".join(answer.streaming_content).decode()
    assert ("t3_p1" in text, "t3_p2" in text, "t3_p3" in text) == (True, True, False)


def test_an_owner_reads_no_name_of_another_owners_bot_or_session(client, world):
    client.force_login(world["other"])
    post = RedditPost.objects.get(fullname="t3_p2")  # found first by the other owner's bot

    page = client.get(reverse("admin:scraping_redditpost_change", args=[post.pk])).content.decode()

    assert world["bot_own"].name not in page
    assert world["bot_other"].name in page


def test_an_operator_follows_a_runs_link_to_its_session(client, world):
    run = factories.job_run(job="auto_scraping")
    session = factories.session(config=world["bot_own"], run=run)
    client.force_login(member(OPERATORS))
    address = reverse("admin:scraping_scrapesession_change", args=[session.pk])

    assert address in client.get(reverse("admin:maintenance_jobrun_change", args=[run.pk])).content.decode()
    assert client.get(address).status_code == 200


def test_operators_look_at_bots_and_change_none(client, world):
    person = member(OPERATORS)
    person.groups.add(Group.objects.get(name=BOT_OWNERS))  # may change bots, but has none
    client.force_login(person)
    address = reverse("admin:scraping_botconfig_change", args=[world["bot_own"].pk])

    page = client.get(address)
    assert page.status_code == 200
    assert world["owner"].get_username() in page.content.decode()
    assert client.post(address, {"name": "taken"}).status_code == 403
    assert (
        client.post(
            reverse("admin:scraping_botconfig_delete", args=[world["bot_own"].pk]), {"post": "yes"}
        ).status_code
        == 403
    )
    scrape = f"{reverse('admin:maintenance_job_run', args=['scrape_now'])}?config={world['bot_own'].pk}"
    assert client.post(scrape).status_code == 403
    assert not BotConfig.objects.filter(name="taken").exists()


def test_the_bot_of_another_person_is_refused_like_a_missing_one(client, world):
    client.force_login(world["owner"])
    address = reverse("admin:maintenance_job_run", args=["scrape_now"])

    foreign = client.get(f"{address}?config={world['bot_other'].pk}")
    missing = client.get(f"{address}?config=99999")

    assert (foreign.status_code, missing.status_code) == (403, 403)
    of_the_request = r'name="csrfmiddlewaretoken" value="[^"]*"|data-now="[^"]*"'
    told = [re.sub(of_the_request, "", page.content.decode()) for page in (foreign, missing)]
    assert told[0] == told[1]


# --- Apps ----------------------------------------------------------------------------------------


def bot_form(client, bot, **fields):
    values = {
        "name": bot.name, "subreddits": "python", "sort": "new", "nsfw": "any", "time_filter": "day",
        "post_limit": "10", "comment_policy": "none", "comment_limit": "5", "comment_depth": "1", **fields,
    }  # fmt: skip
    return client.post(reverse("admin:scraping_botconfig_change", args=[bot.pk]), values)


@pytest.mark.slow
def test_an_owner_chooses_shared_apps_and_their_own(client, world):
    client.force_login(world["owner"])
    own, other = RedditApp.objects.get(name="own"), RedditApp.objects.get(name="other")

    page = client.get(reverse("admin:scraping_botconfig_change", args=[world["bot_own"].pk]))
    offered = page.context["adminform"].form.fields["app"].queryset
    assert set(offered.values_list("name", flat=True)) == {"shared", "own"}
    assert bot_form(client, world["bot_own"], app=own.pk).status_code == 302
    assert bot_form(client, world["bot_own"], app=other.pk).status_code == 200
    world["bot_own"].refresh_from_db()
    assert world["bot_own"].app == own


def test_a_superuser_cannot_give_a_bot_the_app_of_another_person(client, world):
    client.force_login(factories.superuser())
    other = RedditApp.objects.get(name="other")

    answer = bot_form(client, world["bot_own"], app=other.pk, owner=world["owner"].pk)

    assert list(answer.context["adminform"].form.errors) == ["app"]
    assert bot_form(client, world["bot_other"], app=other.pk, owner=world["other"].pk).status_code == 302


def test_a_shared_app_is_not_taken_from_the_bots_of_others(client, world):
    client.force_login(factories.superuser())
    shared = RedditApp.objects.get(name="shared")
    BotConfig.objects.filter(pk=world["bot_other"].pk).update(app=shared)
    address = reverse("admin:scraping_redditapp_change", args=[shared.pk])
    values = {
        "name": "shared",
        "client_id": "shared",
        "user_agent": "a:b:c (by /u/d)",
        "owner": world["owner"].pk,
    }

    assert list(client.post(address, values).context["adminform"].form.errors) == ["owner"]
    BotConfig.objects.filter(pk=world["bot_other"].pk).update(app=None)
    assert client.post(address, values).status_code == 302


def test_budgets_show_no_app_that_the_person_may_not_see(client, world):
    factories.request_budget(client_id="other")
    factories.request_budget(client_id="shared")
    client.force_login(member(OPERATORS))

    page = client.get(reverse("admin:scraping_redditapp_budgets")).content.decode()

    assert "<strong>shared</strong>" in page
    assert "<strong>other</strong>" not in page


def test_filters_are_tried_on_posts_of_ones_own_bots(client, world):
    client.force_login(world["other"])
    address = reverse("admin:scraping_botconfig_try_filters", args=[world["bot_other"].pk])
    form = {"name": "n", "subreddits": "python", "sort": "new", "nsfw": "any", "time_filter": "day",
            "post_limit": "10", "comment_policy": "none", "comment_limit": "5", "comment_depth": "1"}  # fmt: skip

    tried = client.post(address, form).context["tried"]

    assert {post.fullname for post, _reason in tried.posts} == {"t3_p2", "t3_p3"}
