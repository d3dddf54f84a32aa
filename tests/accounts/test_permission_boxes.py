"""Permissions are check boxes, grouped by what they are about, each with a plain name in the reader's language."""

import re

import pytest
from django.contrib.auth.models import Group, Permission
from django.urls import reverse
from django.utils import translation

from accounts.permission_choices import group_name, plain_name
from tests.kit import factories

pytestmark = pytest.mark.django_db


@pytest.fixture
def admin(client):
    client.force_login(factories.superuser())
    return client


def permission(name):
    app, codename = name.split(".")
    return Permission.objects.get(content_type__app_label=app, codename=codename)


@pytest.mark.parametrize(
    ("name", "group", "plain", "in_chinese"),
    [
        ("scraping.view_botconfig", "Bots", "See", "查看"),
        ("django_celery_beat.change_periodictask", "Schedules", "Change", "修改"),
        ("scraping.hold_redditpost", "Posts", "Can hold and release posts", None),
        ("maintenance.run_job", "Job runs", "Can run jobs now", None),
    ],
)
def test_a_permission_has_a_plain_name(name, group, plain, in_chinese):
    assert (group_name(permission(name)), plain_name(permission(name))) == (group, plain)
    with translation.override("zh-hans"):
        assert re.search("[一-鿿]", plain_name(permission(name)))
        assert in_chinese is None or plain_name(permission(name)) == in_chinese


def test_every_model_has_a_name_in_chinese():
    models = {each.content_type: each for each in Permission.objects.select_related("content_type")}
    with translation.override("zh-hans"):
        names = {group_name(each) for each in models.values()}

    assert {name for name in names if not re.search("[一-鿿]", name)} == set()


def test_a_groups_page_offers_each_permission_once_in_fieldsets(admin):
    page = admin.get(reverse("admin:auth_group_add")).content.decode()

    boxes = re.findall(r'type="checkbox" name="permissions" value="(\d+)"', page)
    assert sorted(map(int, boxes)) == sorted(Permission.objects.values_list("pk", flat=True))
    assert "<legend>Bots</legend>" in page


def internal_tables(page):
    folded = re.search(r'<details class="permissions-internal"( open)?>(.*?)</details>', page, re.DOTALL)
    return bool(folded[1]), re.findall("<legend>(.*?)</legend>", folded[2])


def test_internal_tables_are_folded_unless_one_of_their_boxes_is_checked(admin):
    group = Group.objects.create(name="Night shift")
    address = reverse("admin:auth_group_change", args=[group.pk])

    is_open, titles = internal_tables(admin.get(address).content.decode())

    assert not is_open
    assert {"Content types", "Watermarks"} <= {*titles}
    assert not {"Bots", "Maintenance mode", "Groups"} & {*titles}

    group.permissions.add(permission("contenttypes.view_contenttype"))
    assert internal_tables(admin.get(address).content.decode())[0]


def test_boxes_that_are_checked_are_saved(admin):
    wanted = [permission("scraping.view_botconfig").pk, permission("maintenance.run_job").pk]

    response = admin.post(reverse("admin:auth_group_add"), {"name": "Readers", "permissions": wanted})

    assert response.status_code == 302
    assert sorted(Group.objects.get(name="Readers").permissions.values_list("pk", flat=True)) == sorted(
        wanted
    )


def test_a_group_of_many_permissions_is_read_in_few_queries(admin, django_assert_max_num_queries):
    group = Group.objects.create(name="All")
    group.permissions.set(Permission.objects.all())

    page = reverse("admin:auth_group_change", args=[group.pk])
    admin.get(page)  # lists the session

    with django_assert_max_num_queries(15):
        assert admin.get(page).status_code == 200


@pytest.mark.parametrize("name", ["scraping_botconfig", "scraping_redditapp", "auth_user", "auth_group"])
def test_no_form_has_icons_to_edit_what_is_chosen(admin, name):
    page = admin.get(reverse(f"admin:{name}_add")).content.decode()

    assert "related-widget-wrapper" not in page
