"""Sessions and content in the admin."""

import re

import pytest
from django.urls import reverse

from scraping.admin.content import stored_subreddits
from tests.kit import factories
from tests.scraping.admin.lists import listed

pytestmark = pytest.mark.django_db


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


@pytest.mark.slow
@pytest.mark.parametrize("name", ["scrapesession", "redditpost", "redditcomment"])
def test_content_is_read_only_even_for_superusers(client, superuser, name):
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
    assert type(row)._default_manager.filter(pk=row.pk).exists()


def test_lists_take_a_link_that_is_longer_than_a_stored_text(client, superuser):
    post = factories.post(fullname="t3_abc123")
    comment = factories.comment(fullname="t1_def456", post=post)
    factories.comment(post=factories.post())
    link = f"https://www.reddit.com/r/python/comments/abc123/{'%E6%A0%87' * 40}/def456/"

    for name, row in (("redditpost", post), ("redditcomment", comment)):
        assert listed(client.get(reverse(f"admin:scraping_{name}_changelist"), {"q": link})) == [row]
    for name in (
        "scraping_botconfig",
        "scraping_scrapesession",
        "maintenance_jobrun",
        "django_celery_beat_periodictask",
    ):
        answer = client.get(reverse(f"admin:{name}_changelist"), {"q": link})
        assert (answer.status_code, listed(answer)) == (200, [])


@pytest.mark.slow
@pytest.mark.parametrize("term", ["{fullname}", "r/PYTHON", "python", "u/ada"])
def test_posts_are_found_by_exact_values(client, superuser, term):
    wanted = factories.post(fullname="t3_abc", subreddit="Python", author="ada")
    factories.post(subreddit="django", author="grace")

    response = client.get(
        reverse("admin:scraping_redditpost_changelist"), {"q": term.format(fullname=wanted.fullname)}
    )

    assert listed(response) == [wanted]


@pytest.mark.slow
@pytest.mark.parametrize("term", ["t1_abc", "abc", "t3_def", "u/ada"])
def test_comments_are_found_by_exact_values(client, superuser, term):
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


def test_texts_of_reddit_are_never_rendered_as_markup(client, superuser):
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


def test_a_post_without_an_address_has_no_none_on_its_page(client, superuser):
    post = factories.post(permalink="")

    page = client.get(f"/admin/scraping/redditpost/{post.pk}/change/").content.decode()

    assert not re.search(r">\s*None\s*<", page)


def test_an_owner_of_many_subreddits_waits_for_no_query_of_each(client, django_assert_max_num_queries):
    owner = factories.user("scraping.view_redditpost")
    client.force_login(owner)
    names = [f"place{number:03}" for number in range(250)]
    bot = factories.bot_config(owner=owner, subreddits=names)
    for name in (names[3], names[240]):
        factories.sighting(post=factories.post(subreddit=name.upper()), config=bot)
    factories.post(subreddit=names[7])

    with django_assert_max_num_queries(25):
        page = client.get(reverse("admin:scraping_redditpost_changelist")).content.decode()

    assert [f"r/{name}" in page for name in (names[3], names[7], names[240])] == [True, False, True]
