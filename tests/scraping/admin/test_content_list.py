"""Posts and comments say who found them, whether they are held, and where they are on Reddit."""

import pytest
from django.contrib.auth.models import Permission
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from scraping.content import holds
from scraping.content.storage import store_posts
from scraping.models import ContentState, RedditPost
from tests.kit import factories

pytestmark = pytest.mark.django_db
LISTS = ("redditpost", "redditcomment")


def found_by(*bots, id36="abc"):
    """Return a post that these bots found, with a comment."""
    raw = {"id": id36, "name": f"t3_{id36}", "subreddit": "python", "title": "A", "created_utc": 1.7e9}
    for bot in bots:
        store_posts([raw], session=factories.session(config=bot), seen_at=timezone.now())
    post = RedditPost.objects.get(fullname=f"t3_{id36}")
    return post, factories.comment(post=post, fullname=f"t1_{id36}")


@pytest.fixture
def owner(client):
    user = factories.user(
        "scraping.view_redditpost", "scraping.view_redditcomment", "scraping.view_scrapesession"
    )
    client.force_login(user)
    return user


def finders(client, name):
    response = client.get(reverse(f"admin:scraping_{name}_changelist"))
    return [row.finders for row in response.context["cl"].result_list]


@pytest.mark.slow
@pytest.mark.parametrize("name", LISTS)
def test_a_bot_owner_sees_only_own_bots_among_the_finders(client, owner, name):
    mine, theirs = factories.bot_config(owner=owner, name="Mine"), factories.bot_config(name="Theirs")
    post, comment = found_by(theirs, mine)
    row = post if name == "redditpost" else comment

    assert finders(client, name) == [["Mine"]]
    for view in (
        reverse(f"admin:scraping_{name}_changelist"),
        reverse(f"admin:scraping_{name}_change", args=[row.pk]),
    ):
        page = client.get(view).content.decode()
        assert "Mine" in page
        assert "Theirs" not in page


@pytest.mark.parametrize("name", LISTS)
def test_who_sees_everything_sees_all_finders(client, superuser, name):
    found_by(factories.bot_config(name="B"), factories.bot_config(name="A"))

    assert finders(client, name) == [["A", "B"]]


def test_the_page_of_a_post_names_all_its_finders_and_whose_retention_applies(client, superuser):
    bots = [factories.bot_config(name=f"Bot {letter}") for letter in "DCBA"]
    post, _comment = found_by(*bots)
    RedditPost.objects.filter(pk=post.pk).update(score=12345, num_comments=67890)
    address = reverse("admin:scraping_redditpost_change", args=[post.pk])
    page = client.get(address).content.decode()

    assert "Bot A, Bot B, Bot C, Bot D" in page
    assert ">Bot D<" in page  # the first
    assert "12,345" in page
    assert "67,890" in page

    client.force_login(bots[1].owner)
    bots[1].owner.user_permissions.add(Permission.objects.get(codename="view_redditpost"))
    page = client.get(address).content.decode()
    assert "Bot C" in page
    assert ">Bot C<" in page  # the only one that its owner may see, but not as the first
    assert "Bot D" not in page


@pytest.mark.slow
@pytest.mark.parametrize("name", LISTS)
def test_more_rows_cost_no_more_queries(client, superuser, name):
    bot = factories.bot_config()
    address = reverse(f"admin:scraping_{name}_changelist")
    found_by(bot, id36="a0")
    client.get(address)
    with CaptureQueriesContext(connection) as few:
        client.get(address)
    for number in range(1, 9):
        post, _comment = found_by(bot, id36=f"a{number}")
        holds.hold_posts(RedditPost.objects.filter(pk=post.pk), by=superuser, reason="court order")

    with CaptureQueriesContext(connection) as many:
        client.get(address)

    assert len(many) == len(few)


@pytest.mark.parametrize("name", LISTS)
def test_list_and_page_show_the_hold_the_state_and_the_way_to_reddit(client, superuser, settings, name):
    settings.REDDIT_URL = "https://www.reddit.com"
    post, comment = found_by(factories.bot_config())
    holds.hold_posts(RedditPost.objects.filter(pk=post.pk), by=superuser, reason="court order")
    row, link = (
        (post, "https://www.reddit.com/comments/abc/")
        if name == "redditpost"
        else (comment, "https://www.reddit.com/comments/abc/_/abc/")
    )

    for view in (
        reverse(f"admin:scraping_{name}_changelist"),
        reverse(f"admin:scraping_{name}_change", args=[row.pk]),
    ):
        page = client.get(view).content.decode()
        assert f'href="{link}"' in page
        assert "court order" in page
        assert "Live" in page or "live" in page


@pytest.mark.parametrize("name", LISTS)
def test_what_is_gone_on_reddit_has_no_link_there(client, superuser, name):
    post, comment = found_by(factories.bot_config())
    row = post if name == "redditpost" else comment
    type(row).objects.filter(pk=row.pk).update(state=ContentState.MISSING)

    page = client.get(reverse(f"admin:scraping_{name}_changelist")).content.decode()

    assert "noreferrer" not in page
