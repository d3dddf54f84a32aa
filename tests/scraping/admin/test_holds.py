"""Holding and releasing posts in the admin."""

from datetime import timedelta

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from audit.models import Event
from scraping.content import holds
from scraping.models import RedditPost
from scraping.visibility import SEE_EVERYBODYS
from tests.kit import factories

pytestmark = pytest.mark.django_db
LIST = reverse("admin:scraping_redditpost_changelist")
SEE = "scraping.view_redditpost"


@pytest.fixture
def holder(client):
    user = factories.user(SEE, SEE_EVERYBODYS, holds.PERMISSION, username="ada")
    client.force_login(user)
    return user


def selection(*posts, action="hold", **more):
    return {"action": action, "_selected_action": [post.pk for post in posts], **more}


def held():
    return set(RedditPost.objects.held())


def test_the_list_asks_for_a_reason_before_it_holds_the_selection(client, holder):
    first, second, other = (factories.post() for _ in range(3))

    page = client.post(LIST, selection(first, second, index="0")).content.decode()

    assert "Hold 2 posts?" in page
    assert page.count('name="_selected_action"') == 2
    assert held() == set()

    answer = client.post(LIST, selection(first, second, reason="court order", until=""), follow=True)

    assert held() == {first, second}
    assert other not in held()
    assert [str(message) for message in answer.context["messages"]] == ["2 posts are held."]
    assert "ada: court order" in answer.content.decode()


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        ({"reason": ""}, "This field is required."),
        ({"reason": "x", "until": "2020-01-01T00:00"}, "The end is in the past."),
        ({"reason": "x", "until": "soon"}, "Enter a valid date/time."),
    ],
)
def test_an_invalid_form_is_shown_again(client, holder, answer, error):
    post = factories.post()

    page = client.post(LIST, selection(post, **answer)).content.decode()

    assert error in page
    assert held() == set()


def test_releasing_asks_why(client, holder):
    post = factories.post(held_at=timezone.now(), hold_reason="x")
    kept = factories.post(held_at=timezone.now(), hold_reason="x")

    assert "Release 1 post?" in client.post(LIST, selection(post, action="release")).content.decode()
    client.post(LIST, selection(post, action="release", reason="settled"))

    assert held() == {kept}
    assert Event.objects.values_list("verb", "reason").get() == ("post.released", "settled")


def test_all_matching_posts_are_held_not_only_those_of_the_page(client, holder):
    RedditPost.objects.bulk_create(factories.unsaved_post(subreddit="django") for _ in range(120))
    other = factories.post(subreddit="python")
    on_page = RedditPost.objects.filter(subreddit="django")[:50]
    all_matching = selection(*on_page, select_across="1")

    page = client.post(f"{LIST}?subreddit=django", all_matching).content.decode()
    assert "Hold 120 posts?" in page
    assert 'name="select_across" value="1"' in page
    answer = client.post(f"{LIST}?subreddit=django", {**all_matching, "reason": "study"})

    assert answer.url.endswith("?subreddit=django")
    assert len(held()) == 120
    assert other not in held()


def test_too_many_posts_are_refused_before_the_form(client, holder, monkeypatch):
    monkeypatch.setattr(holds, "POSTS_MAX", 2)
    posts = [factories.post() for _ in range(3)]

    answer = client.post(LIST, selection(*posts), follow=True)

    assert "At most 2 posts at once" in answer.content.decode()
    assert held() == set()


@pytest.mark.slow
def test_a_posts_own_page_offers_both_and_comes_back(client, holder):
    post = factories.post()
    address = reverse("admin:scraping_redditpost_change", args=[post.pk])

    page = client.get(address).content.decode()
    assert "Hold…" in page
    assert "Release…" not in page
    answer = client.post(LIST, selection(post, next=address, reason="court order"))

    assert answer.url == address
    page = client.get(address).content.decode()
    assert "Release…" in page
    assert "court order" in page
    activity = client.get(reverse("admin:scraping_redditpost_history", args=[post.pk]), follow=True)
    assert "Held against deletion" in activity.content.decode()


def test_no_redirect_leads_to_another_site(client, holder):
    answer = client.post(LIST, selection(factories.post(), next="https://example.org/", reason="x"))

    assert answer.url == LIST


@pytest.mark.slow
@pytest.mark.parametrize("action", ["hold", "release"])
def test_only_people_who_may_hold_can_use_the_actions(client, action):
    post = factories.post(held_at=timezone.now() - timedelta(days=1), hold_reason="before")
    client.force_login(factories.user(SEE, SEE_EVERYBODYS))

    for address in (LIST, reverse("admin:scraping_redditpost_change", args=[post.pk])):
        page = client.get(address).content.decode()
        assert f'value="{action}"' not in page
    client.post(LIST, selection(post, action=action, reason="x"))
    client.force_login(factories.user(holds.PERMISSION))
    assert client.post(LIST, selection(post, action=action, reason="x")).status_code == 403

    post.refresh_from_db()
    assert post.hold_reason == "before"


def test_a_hold_needs_the_token_of_a_form(holder):
    post = factories.post()
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(holder)

    assert browser.post(LIST, selection(post, reason="x")).status_code == 403
    assert held() == set()


@pytest.mark.parametrize("chosen", ["held", "ended", "none"])
def test_posts_are_filtered_by_their_hold(client, holder, chosen):
    now = timezone.now()
    long_ago = now - timedelta(days=9)
    posts = {
        "held": {
            factories.post(held_at=now, hold_reason="x"),
            factories.post(held_at=now, held_until=now + timedelta(days=1), hold_reason="x"),
        },
        "ended": {factories.post(held_at=long_ago, held_until=now, hold_reason="x")},
    }
    posts["none"] = {factories.post(), *posts["ended"]}

    found = client.get(LIST, {"hold": chosen})

    assert set(found.context["cl"].result_list) == posts[chosen]
