import threading

import pytest
from django.db import connection

from scraping.demo import BOTS, create_demo
from scraping.models import SANDBOX_CLIENT_ID, BotConfig, RedditApp
from tests.kit import factories

pytestmark = pytest.mark.django_db


def test_the_first_call_makes_the_app_and_bots_that_are_valid():
    owner = factories.user()

    made = create_demo(owner)

    app = RedditApp.objects.get()
    app.full_clean()
    assert (app.client_id, app.client_secret, app.is_sandbox) == (SANDBOX_CLIENT_ID, "sandbox", True)
    assert set(BotConfig.objects.auto_scraped()) == set(made)
    assert len(made) == 3
    for config in made:
        config.full_clean()
        assert (config.owner, config.app) == (owner, app)
    assert len({(config.sort, config.comment_policy) for config in made}) == 3


def test_a_second_call_makes_nothing():
    create_demo(factories.user())

    assert create_demo(factories.user()) == []
    assert RedditApp.objects.count() == 1
    assert BotConfig.objects.count() == 3


def test_edits_and_deletions_of_operators_stay():
    owner = factories.user()
    kept, *others = create_demo(owner)
    BotConfig.objects.filter(pk=kept.pk).update(name="Mine now", is_active=False)
    RedditApp.objects.update(name="Renamed", user_agent="mine:mine:1 (by /u/mine)")
    for config in others:
        config.delete()

    create_demo(owner)

    assert [(config.name, config.is_active) for config in BotConfig.objects.all()] == [("Mine now", False)]
    assert RedditApp.objects.get().name == "Renamed"


def test_bots_stay_deleted_when_all_of_them_are():
    owner = factories.user()
    create_demo(owner)
    BotConfig.objects.all().delete()

    assert create_demo(owner) == []
    assert not BotConfig.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_two_calls_at_once_make_one_demo():
    owner = factories.user()
    made = []

    def create():
        try:
            made.append(len(create_demo(owner)))
        finally:
            connection.close()

    threads = [threading.Thread(target=create) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)

    assert sorted(made) == [0, len(BOTS)]
    assert BotConfig.objects.count() == len(BOTS)
