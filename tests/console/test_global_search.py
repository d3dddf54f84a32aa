"""One search for everything: what it finds, what it hides, and what it costs."""

import re

import pytest
from django.contrib.auth.models import Group
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from console import global_search
from console.roles import BOT_OWNERS
from maintenance.scheduling import seeding
from scraping.content.storage import store_posts
from scraping.models import Erasure
from tests.kit import factories

pytestmark = pytest.mark.django_db
ADDRESS = "/admin/search/"


@pytest.fixture
def superuser(client):
    user = factories.superuser()
    client.force_login(user)
    return user


def hits(client, words):
    """Return the titles of the hits by group."""
    response = client.get(ADDRESS, {"q": words})
    assert response.status_code == 200
    return {group.title: [hit.title for hit in group.hits] for group in response.context["groups"]}


def test_schedules_and_runs_are_found_by_a_part_of_the_jobs_title(client, superuser):
    seeding.seed()
    run = factories.job_run(job="purge_old_content")
    factories.job_run(job="cleanup_tokens")

    assert hits(client, "old cont") == {
        "Schedules": ["Purge old content"],
        "Job runs": [f"Purge old content #{run.pk}"],
    }


def test_a_run_is_found_by_its_number(client, superuser):
    run = factories.job_run()

    for words in (str(run.pk), f"#{run.pk}"):
        assert [title.endswith(f"#{run.pk}") for title in hits(client, words)["Job runs"]] == [True]


def test_bots_and_subreddits_are_found_by_a_part_of_their_name(client, superuser):
    factories.bot_config(name="Garden news", subreddits=["TinyGardens", "python"])
    factories.bot_config(name="Other", subreddits=["python"])

    assert hits(client, "garden") == {"Bots": ["Garden news"], "Subreddits": ["r/TinyGardens"]}
    assert hits(client, "r/PYTHON") == {"Subreddits": ["r/python"]}


@pytest.mark.slow
@pytest.mark.parametrize(
    "words",
    [
        "t3_abc123",
        "T3_ABC123",
        "abc123",
        "https://www.reddit.com/r/python/comments/abc123/a_title/",
        "https://redd.it/abc123",
        "https://old.reddit.com/r/python/comments/abc123/a_title/def456/",
    ],
)
def test_a_post_is_found_by_fullname_id_and_link(client, superuser, words):
    factories.post(fullname="t3_abc123", title="The post")
    factories.post(fullname="t3_other")

    assert hits(client, words)["Posts"] == ["The post"]


def test_a_comment_is_found_by_its_link_beside_its_post(client, superuser):
    comment = factories.comment(
        fullname="t1_def456", post=factories.post(fullname="t3_abc123", title="The post")
    )

    found = hits(client, "https://www.reddit.com/r/python/comments/abc123/a_title/def456/")

    assert found == {"Posts": ["The post"], "Comments": [str(comment)]}


def test_a_post_that_is_gone_leads_to_the_run_that_deleted_it(client, superuser):
    run = factories.job_run(job="purge_old_content")
    Erasure.objects.create(kind=3, number=int("abc123", 36), run_id=run.pk, rule="retention", days=90)

    for words in ("t3_abc123", "https://www.reddit.com/r/python/comments/abc123/a_title/def456/"):
        page = client.get(ADDRESS, {"q": words}).content.decode()
        assert reverse("admin:maintenance_jobrun_change", args=[run.pk]) in page
        assert "deleted with its comments" in page


def test_an_item_that_is_not_here_is_explained(client, superuser):
    factories.bot_config(subreddits=["python"], name="Snakes")
    factories.post(fullname="t3_abc123")

    for words, said in (
        ("t3_never", "it was never stored"),
        ("https://www.reddit.com/r/python/comments/zzz9/a/", "is read by Snakes"),
        ("https://www.reddit.com/r/rust/comments/zzz9/a/", "no active bot reads r/rust"),
        ("https://www.reddit.com/r/python/comments/abc123/a/zzz9/", "t1_zzz9 is not stored, but its post is"),
        ("https://www.reddit.com/r/python/s/AbC1", "does not name its post"),
    ):
        assert said in client.get(ADDRESS, {"q": words}).content.decode(), words
    assert "not stored" not in client.get(ADDRESS, {"q": "t3_abc123"}).content.decode().lower()


def test_the_posts_of_a_subreddit_or_an_author_are_found_without_a_bot(client, superuser):
    factories.post(fullname="t3_abc123", subreddit="NobodyReads", author="Some-Body")
    listed = "/admin/scraping/redditpost/?subreddit=NobodyReads"

    for words in ("r/nobodyreads", "NOBODYREADS", "https://old.reddit.com/r/nobodyreads/new/"):
        assert hits(client, words) == {"Posts": ["Stored posts of r/NobodyReads"]}
        assert listed in client.get(ADDRESS, {"q": words}).content.decode()
    assert client.get(listed).context["cl"].result_count == 1
    for words in ("u/Some-Body", "https://www.reddit.com/user/Some-Body/"):
        assert hits(client, words) == {"Posts": ["Stored posts by u/Some-Body"]}
    assert hits(client, "r/nobody") == {}


def test_a_link_longer_than_a_stored_text_names_its_comment(client, superuser):
    comment = factories.comment(
        fullname="t1_def456", post=factories.post(fullname="t3_abc123", title="The post")
    )
    link = f"https://www.reddit.com/r/python/comments/abc123/{'%E6%A0%87' * 40}/def456/"

    assert hits(client, link) == {"Posts": ["The post"], "Comments": [str(comment)]}


def test_a_group_has_five_rows_at_most_and_leads_to_its_list(client, superuser):
    for number in range(7):
        factories.bot_config(name=f"Garden {number}", subreddits=[f"garden{number}"])

    found = hits(client, "garden")

    assert {title: len(names) for title, names in found.items()} == {"Bots": 5, "Subreddits": 5}
    assert "/admin/scraping/botconfig/?q=garden" in client.get(ADDRESS, {"q": "garden"}).content.decode()


def test_a_bot_owner_finds_only_what_is_theirs(client, superuser):
    owner = factories.user()
    owner.groups.add(Group.objects.get(name=BOT_OWNERS))
    mine = factories.bot_config(owner=owner, name="Garden mine", subreddits=["gardenmine"])
    theirs = factories.bot_config(name="Garden theirs", subreddits=["gardentheirs"])
    for bot, number in ((mine, "aaa"), (theirs, "bbb")):
        session = factories.session(config=bot)
        raw = {"id": number, "name": f"t3_{number}", "subreddit": "x1", "title": number, "created_utc": 1.7e9}
        store_posts([raw], session=session, seen_at=session.started_at)
    run = factories.job_run(job="cleanup_tokens")
    Erasure.objects.create(kind=3, number=int("ccc", 36), run_id=run.pk, rule="retention", days=90)
    seeding.seed()
    client.force_login(owner)

    assert hits(client, "garden") == {"Bots": ["Garden mine"], "Subreddits": ["r/gardenmine"]}
    assert list(hits(client, "t3_aaa")) == ["Posts"]
    assert hits(client, "t3_bbb") == {}
    assert hits(client, "cleanup") == {}
    assert hits(client, str(run.pk)) == {}
    page = client.get(ADDRESS, {"q": "t3_ccc"}).content.decode()
    assert f"#{run.pk}" not in page
    assert "Somebody who may see all runs can find out" in page
    page = client.get(ADDRESS, {"q": "https://www.reddit.com/r/gardentheirs/comments/ccc/"}).content.decode()
    assert "no active bot of yours reads" in page
    assert hits(client, "r/x1") == {"Posts": ["Stored posts of r/x1"]}


@pytest.mark.slow
def test_rubbish_is_answered_with_a_page(client, superuser):
    for words in (
        "",
        " ",
        "%",
        "'",
        "/",
        "#",
        "#" + "9" * 30,
        "t3_",
        "t3_aſb",
        "https://",
        "中文",
        "r/",
        "a b c",
        "<b>",
    ):
        assert client.get(ADDRESS, {"q": words}).status_code == 200, words
    assert client.get(ADDRESS, {"q": "a" * 300}).status_code == 400
    assert client.get(ADDRESS, {"q": "a\0b"}).status_code == 400


BIG = ("scraping_redditpost", "scraping_redditcomment", "scraping_erasure", "maintenance_jobrun",
       "maintenance_runlogline", "scraping_scrapesession")  # fmt: skip


@pytest.mark.slow
@pytest.mark.skipif(
    connection.vendor != "sqlite", reason="PostgreSQL scans a small table whatever its indexes"
)
@pytest.mark.parametrize(
    "words", ["t3_abc", "abc", "purge", "7", "https://redd.it/abc/", "r/python", "u/somebody", "zzz"]
)
def test_no_search_reads_a_big_table(client, superuser, words):
    factories.post(fullname="t3_abc")
    client.get(ADDRESS, {"q": words})

    with CaptureQueriesContext(connection) as queries:
        client.get(ADDRESS, {"q": words})

    asked = [query["sql"] for query in queries if query["sql"].startswith("SELECT")]
    assert len(asked) <= 20
    for sql in asked:
        with connection.cursor() as cursor:
            plan = [row[3] for row in cursor.execute(f"EXPLAIN QUERY PLAN {sql}").fetchall()]
        scans = [line for line in plan if re.search(rf"SCAN ({'|'.join(BIG)})", line)]
        assert scans == [], sql


@pytest.mark.slow
def test_every_page_has_the_box(client, superuser):
    for name in ("index", "scraping_redditpost_changelist", "password_change"):
        page = client.get(reverse(f"admin:{name}")).content.decode()
        assert f'action="{ADDRESS}"' in page
        assert 'id="shortcuts"' in page


def test_a_subreddit_leads_to_a_bot_only_if_it_is_known_to_be_its_only_one(client, superuser, monkeypatch):
    first = factories.bot_config(name="a", subreddits=["TinyGardens"])
    factories.bot_config(name="b", subreddits=["python"])

    def hit():
        groups = client.get(ADDRESS, {"q": "r/tinygardens"}).context["groups"]
        ((found,),) = [group.hits for group in groups if group.title == "Subreddits"]
        return found.address, found.note

    monkeypatch.setattr(global_search, "BOTS_MAX", 1)
    assert hit() == (reverse("admin:scraping_botconfig_change", args=[first.pk]), "a")
    factories.bot_config(name="c", subreddits=["TinyGardens"])
    assert hit() == (reverse("admin:scraping_botconfig_changelist") + "?q=r%2FTinyGardens", "a…")
