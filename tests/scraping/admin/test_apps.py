"""Reddit apps in the admin."""

from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from scraping.models import RedditApp
from tests.kit import factories

pytestmark = pytest.mark.django_db


def test_a_secret_can_be_set_but_is_never_shown(client, superuser):
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


def test_the_budget_of_an_app_is_on_its_page_and_refreshed(client, superuser, settings):
    settings.REDDIT_CLIENT_ID = "unnamed-client"
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


def test_the_budget_of_a_deleted_app_is_not_shown_as_that_of_the_environment(client, superuser, settings):
    settings.REDDIT_CLIENT_ID = "environments"
    app = factories.reddit_app()
    for client_id in ("environments", "deleted", app.client_id):
        factories.request_budget(client_id=client_id)

    page = client.get(reverse("admin:scraping_redditapp_budgets")).content.decode()

    assert page.count("<strong>REDDIT_CLIENT_ID</strong>") == 1
    assert page.count("<strong>") == 2


def test_an_app_that_has_sent_nothing_says_so(client, superuser):
    app = factories.reddit_app()

    assert (
        "No request was sent yet"
        in client.get(reverse("admin:scraping_redditapp_change", args=[app.pk])).content.decode()
    )


def test_only_people_who_may_see_apps_see_budgets(client):
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
