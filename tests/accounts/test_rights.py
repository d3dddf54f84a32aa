"""Nobody gives rights that are not theirs to give: neither by a password, nor through a group."""

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.urls import reverse

from accounts.rights import may_take_over
from console.roles import OPERATORS
from tests.kit import factories

pytestmark = pytest.mark.django_db

CLERK = ("auth.view_user", "auth.add_user", "auth.change_user", "auth.delete_user", "auth.view_group")


@pytest.fixture
def clerk(client):
    """Somebody who keeps the accounts, and has no rights in the console itself."""
    person = factories.user(*CLERK, "auth.add_group", "auth.change_group", "auth.delete_group")
    client.force_login(person)
    return person


def password_page(account):
    return reverse("admin:auth_user_password_change", args=[account.pk])


def set_password(client, account):
    answer = client.post(password_page(account), {"password1": "tr0ub4dor&3", "password2": "tr0ub4dor&3"})
    return answer.status_code


def operator(**fields):
    person = factories.user(**fields)
    person.groups.add(Group.objects.get(name=OPERATORS))
    return person


@pytest.mark.parametrize("fields", [{}, {"is_active": False}, {"is_staff": False}])
def test_an_operators_account_is_not_taken_over(client, clerk, fields):
    account = operator(password="unchanged", **fields)

    assert set_password(client, account) == 403
    assert (
        client.post(reverse("admin:auth_user_change", args=[account.pk]), {"email": "me@here"}).status_code
        == 403
    )
    assert (
        client.post(reverse("admin:auth_user_delete", args=[account.pk]), {"post": "yes"}).status_code == 403
    )
    assert User.objects.get(pk=account.pk).password == "unchanged"


def test_another_staff_account_is_not_taken_over_whatever_its_rights(client, clerk):
    assert set_password(client, factories.user(password="unchanged")) == 403


def test_selected_accounts_are_deleted_only_where_one_alone_could_be(client, clerk):
    gone, kept = factories.user(is_staff=False), operator()
    chosen = {"action": "delete_selected", "_selected_action": [gone.pk, kept.pk], "post": "yes"}

    client.post(reverse("admin:auth_user_changelist"), chosen)

    assert User.objects.filter(pk__in=[gone.pk, kept.pk]).count() == 2

    client.post(reverse("admin:auth_user_changelist"), {**chosen, "_selected_action": [gone.pk]})

    assert set(User.objects.filter(pk__in=[gone.pk, kept.pk])) == {kept}


def test_an_account_without_rights_gets_a_password_and_no_way_into_the_console(client, clerk):
    account = factories.user(is_staff=False, password="unchanged")

    assert set_password(client, account) == 302
    client.post(
        reverse("admin:auth_user_change", args=[account.pk]),
        {"username": account.username, "is_active": "on", "is_staff": "on"},
    )

    account.refresh_from_db()
    assert account.check_password("tr0ub4dor&3")
    assert not account.is_staff


def test_a_superuser_sets_any_password(client):
    client.force_login(factories.superuser())

    assert set_password(client, operator()) == 302


def test_somebody_inactive_takes_over_nobody():
    assert not may_take_over(factories.superuser(is_active=False), factories.user(is_staff=False))


def group_form(client, group, permissions):
    page = reverse("admin:auth_group_change", args=[group.pk]) if group else reverse("admin:auth_group_add")
    name = group.name if group else "New"
    return client.post(page, {"name": name, "permissions": [permission.pk for permission in permissions]})


def test_a_group_gets_no_right_that_its_editor_lacks(client, clerk):
    group = Group.objects.create(name="Clerks")
    group.user_set.add(clerk)
    approve = Permission.objects.get(codename="approve_run")
    own = Permission.objects.get(codename="view_user")

    refused = group_form(client, group, [approve, own])
    assert refused.status_code == 200
    assert "permissions" in refused.context["adminform"].form.errors
    assert not group.permissions.exists()
    assert group_form(client, None, [approve]).status_code == 200
    assert not Group.objects.filter(name="New").exists()

    assert group_form(client, group, [own]).status_code == 302
    assert set(group.permissions.all()) == {own}


def test_a_group_with_more_rights_is_left_to_superusers(client, clerk):
    group = Group.objects.get(name=OPERATORS)
    before = set(group.permissions.all())

    assert group_form(client, group, []).status_code == 403
    assert (
        client.post(reverse("admin:auth_group_delete", args=[group.pk]), {"post": "yes"}).status_code == 403
    )
    assert set(Group.objects.get(name=OPERATORS).permissions.all()) == before

    client.force_login(factories.superuser())
    assert group_form(client, group, list(before)[:3]).status_code == 302
    assert group.permissions.count() == 3
