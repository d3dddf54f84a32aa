"""A value that cannot be edited: its link is open to the reader, its icon is in their language."""

import inspect
from typing import Any

import pytest
from django.contrib.admin import helpers, utils
from django.contrib.admin.templatetags import admin_list
from django.contrib.auth.models import Permission
from django.urls import reverse

from adminkit import readonly
from scraping.content import holds
from scraping.models import RedditPost
from tests.kit import factories

pytestmark = pytest.mark.django_db


@pytest.fixture
def held():
    """A post that somebody holds."""
    boss = factories.superuser(username="boss")
    post = factories.post()
    holds.hold_posts(RedditPost.objects.filter(pk=post.pk), by=boss, reason="court order")
    return reverse("admin:scraping_redditpost_change", args=[post.pk]), boss


@pytest.mark.slow
@pytest.mark.parametrize("may_see_users", [False, True])
def test_a_person_is_linked_only_for_who_may_see_people(client, held, may_see_users):
    page, boss = held
    reader = factories.operator(username="reader")
    rights = ["view_redditpost", "view_user"] if may_see_users else ["view_redditpost"]
    reader.user_permissions.add(*Permission.objects.filter(codename__in=rights))
    client.force_login(reader)
    person = reverse("admin:auth_user_change", args=[boss.pk])

    shown = client.get(page)

    assert shown.status_code == 200
    assert (person in shown.content.decode()) is may_see_users
    assert client.get(person).status_code == (200 if may_see_users else 403)


@pytest.mark.slow
@pytest.mark.parametrize(("language", "name"), [("en", "No"), ("zh-hans", "否")])
def test_an_icon_is_named_in_the_readers_language(client, held, language, name):
    page, boss = held
    client.force_login(boss)

    shown = client.get(page, headers={"accept-language": language}).content.decode()

    assert f'alt="{name}"' in shown
    assert 'alt="False"' not in shown


def test_django_still_looks_up_the_two_names_that_are_replaced():
    assert helpers.AdminReadonlyField is readonly.ReadonlyField
    assert vars(admin_list)["_boolean_icon"] is readonly.boolean_icon
    assert readonly.ReadonlyField.__mro__[1].__name__ == "AdminReadonlyField"
    assert "yield AdminReadonlyField(" in inspect.getsource(helpers.Fieldline)
    # Imported at each call: a name bound once would keep Django's own icon.
    djangos: Any = readonly.ReadonlyField.__mro__[1]
    for caller in (djangos.contents, utils.display_for_field, utils.display_for_value):
        assert "import _boolean_icon" in inspect.getsource(caller)
