"""The page on which a person decides about what a sweep has set aside."""

import pytest
from django.urls import reverse

from scraping.models import Doubt, SetAside
from tests.kit import factories

pytestmark = pytest.mark.django_db

LIST = "admin:scraping_setaside_changelist"


@pytest.fixture
def aside():
    post = factories.post(title="Lost and found")
    return factories.set_aside(doubt={"fullname": post.fullname})


def page_of(aside):
    return reverse("admin:scraping_setaside_change", args=[aside.pk])


def decide(client, aside, what):
    return client.post(reverse(f"admin:scraping_setaside_{what}", args=[aside.pk]), follow=True)


def test_the_page_shows_the_figures_and_some_of_the_items(client, superuser, aside):
    page = client.get(page_of(aside)).content.decode()

    assert "120 of 480 checked (25.0 %)" in page
    assert "1.0 %" in page
    assert "Lost and found" in page
    assert "Reddit is right, go on" in page


@pytest.mark.parametrize(("what", "state"), [("confirm", "confirmed"), ("ask_again", "asked_again")])
def test_a_decision_is_kept_with_who_made_it(client, superuser, aside, what, state):
    response = decide(client, aside, what)

    aside.refresh_from_db()
    assert (aside.state, aside.decided_by, aside.decided_by_name) == (state, superuser, superuser.username)
    assert "1 item is" in response.content.decode()
    assert "Reddit is right, go on" not in response.content.decode()
    assert Doubt.objects.count() == 1


def test_a_second_decision_is_refused_with_the_first(client, superuser, aside):
    decide(client, aside, "confirm")

    response = decide(client, aside, "ask_again")

    assert "This has been decided already: Reddit is right." in response.content.decode()
    aside.refresh_from_db()
    assert aside.state == "confirmed"


def test_viewing_the_page_decides_nothing(client, superuser, aside):
    for what in ("confirm", "ask_again"):
        assert client.get(reverse(f"admin:scraping_setaside_{what}", args=[aside.pk])).status_code == 405
    assert SetAside.objects.get().is_open


@pytest.mark.parametrize(
    ("permissions", "sees", "may_decide"),
    [
        ([], False, False),
        (["scraping.view_setaside"], True, False),
        (["scraping.decide_setaside"], False, False),
        (["scraping.view_setaside", "scraping.decide_setaside"], True, True),
    ],
)
def test_permissions_decide_who_sees_and_who_decides(client, aside, permissions, sees, may_decide):
    client.force_login(factories.user(*permissions))

    page = client.get(page_of(aside))

    assert (page.status_code == 200) == sees
    assert ("Reddit is right, go on" in page.content.decode()) == may_decide
    assert "Lost and found" not in page.content.decode()  # whose posts they may not see
    decide(client, aside, "confirm")
    aside.refresh_from_db()
    assert (aside.state == "confirmed") == may_decide


@pytest.mark.slow
def test_the_dashboard_shows_open_decisions(client, superuser, aside):
    # Of the 120 items that were set aside, one still waits; Reddit has shown the others again.
    told = "waits for a decision: 1 item is set aside"
    assert told in client.get(reverse("admin:index")).content.decode()
    decide(client, aside, "confirm")
    assert told not in client.get(reverse("admin:index")).content.decode()
