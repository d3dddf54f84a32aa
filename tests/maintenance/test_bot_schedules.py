"""Deleting a bot shows its schedules, and deletes them if the person chooses that."""

import json

import pytest
from django.urls import reverse
from django_celery_beat.models import PeriodicTask

from audit.models import Event
from maintenance.scheduling.bot_schedules import naming
from scraping.models import BotConfig
from tests.kit import factories

pytestmark = pytest.mark.django_db

LIST = reverse("admin:scraping_botconfig_changelist")


def scrapes(value, task="maintenance.scrape_now"):
    return factories.schedule(task=task, kwargs=json.dumps({"config": value}))


def left():
    return set(PeriodicTask.objects.filter(task="maintenance.scrape_now"))


def delete_page(bot):
    return reverse("admin:scraping_botconfig_delete", args=[bot.pk])


@pytest.mark.slow
def test_the_schedules_of_a_bot_name_it_by_key_or_name():
    bot, other = factories.bot_config(name="新闻 1"), factories.bot_config(name="plain")
    wanted = [scrapes(bot.pk), scrapes(str(bot.pk)), scrapes("新闻 1")]
    others = [scrapes(other.pk), scrapes("plain"), scrapes(bot.pk * 1000 + 7)]
    scrapes(bot.pk, task="other.task")
    factories.schedule(task="maintenance.scrape_now", kwargs=f"[{bot.pk}")

    assert naming([bot]) == wanted
    assert naming([other]) == others[:2]
    assert naming([]) == []


@pytest.mark.slow
@pytest.mark.parametrize(("name", "least"), [("news 1", 1), ("新闻", 2)])
def test_schedules_of_other_bots_are_not_read_whole(name, least, django_assert_num_queries, monkeypatch):
    bot = factories.bot_config(name=name, pk=7)
    wanted = scrapes(name)
    for number in range(20):
        scrapes(factories.bot_config(pk=7_170 + number).pk)  # its text contains a 7 too
    read = []
    whole = PeriodicTask.from_db

    def from_db(*row):
        read.append(row)
        return whole(*row)

    monkeypatch.setattr(PeriodicTask, "from_db", from_db)

    with django_assert_num_queries(least):
        assert naming([bot]) == [wanted]
    assert len(read) == 1


@pytest.mark.slow
@pytest.mark.parametrize("too", [True, False])
def test_the_page_that_deletes_a_bot_lists_its_schedules_and_deletes_them_if_told(client, too):
    client.force_login(factories.superuser())
    bot, survivor = factories.bot_config(), factories.bot_config()
    to_delete, kept = scrapes(bot.pk), scrapes(survivor.pk)

    page = client.get(delete_page(bot)).content.decode()
    assert reverse("admin:django_celery_beat_periodictask_change", args=[to_delete.pk]) in page
    assert 'name="schedules" value="yes" checked' in page
    client.post(delete_page(bot), {"post": "yes", **({"schedules": "yes"} if too else {})})

    assert set(BotConfig.objects.all()) == {survivor}
    assert left() == ({kept} if too else {to_delete, kept})
    assert Event.objects.filter(verb="row.deleted").count() == 1 + too


def test_deleting_several_bots_at_once_asks_the_same(client):
    client.force_login(factories.superuser())
    bots = [factories.bot_config() for _ in range(3)]
    to_delete = [scrapes(bot.pk) for bot in bots[:2]]
    kept = scrapes(bots[2].pk)
    form = {"action": "delete_selected", "_selected_action": [bot.pk for bot in bots[:2]]}

    page = client.post(LIST, form).content.decode()
    assert page.count("/periodictask/") >= 2
    assert "2 schedules scrape with it." in page
    client.post(LIST, {**form, "post": "yes", "schedules": "yes"})

    assert set(BotConfig.objects.all()) == {bots[2]}
    assert left() == {kept}
    assert not PeriodicTask.objects.filter(pk__in=[task.pk for task in to_delete]).exists()


def test_who_may_not_delete_schedules_is_told_of_them_and_deletes_the_bot_alone(client):
    owner = factories.user("scraping.view_botconfig", "scraping.delete_botconfig")
    client.force_login(owner)
    bot = factories.bot_config(owner=owner)
    task = scrapes(bot.pk)

    page = client.get(delete_page(bot)).content.decode()
    assert "1 schedule scrapes with it." in page
    assert "You may not delete schedules" in page
    assert task.name not in page
    assert 'name="schedules"' not in page
    client.post(delete_page(bot), {"post": "yes", "schedules": "yes"})

    assert not BotConfig.objects.exists()
    assert left() == {task}
