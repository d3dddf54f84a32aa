import pytest
from django.apps import apps
from django.contrib import admin
from django.contrib.auth.models import Group, Permission
from django.core.management import call_command

from console.roles import APPROVERS, BOT_OWNERS, OPERATORS, PERMISSIONS, VIEWERS, create_groups
from tests.kit import factories

pytestmark = pytest.mark.django_db


def permissions_of(name):
    """Return the permissions of a member who has no other rights."""
    member = factories.user()
    member.groups.add(Group.objects.get(name=name))
    return member.get_all_permissions()


def test_a_migrated_database_has_all_groups():
    assert set(Group.objects.values_list("name", flat=True)) == {VIEWERS, OPERATORS, APPROVERS, BOT_OWNERS}


@pytest.mark.parametrize("name", PERMISSIONS)
def test_a_group_has_what_its_role_says(name):
    assert permissions_of(name) == set(PERMISSIONS[name])


@pytest.mark.parametrize("name", [VIEWERS, OPERATORS, APPROVERS])
def test_all_but_bot_owners_see_every_page_of_the_console(name):
    may = permissions_of(name)

    for model in admin.site._registry:
        assert f"{model._meta.app_label}.view_{model._meta.model_name}" in may


def test_operators_change_schedules_and_retentions_and_nothing_else():
    verbs = ("add_", "change_", "delete_")
    changes = {name for name in permissions_of(OPERATORS) if name.partition(".")[2].startswith(verbs)}

    assert changes == {
        "django_celery_beat.change_periodictask",
        "maintenance.change_maintenancemode",
        "maintenance.change_retentionpolicy",
    }


def test_operators_run_and_cancel_jobs_and_others_approve_them():
    own = {
        f"maintenance.{name}"
        for model in apps.get_app_config("maintenance").get_models()
        for name, _ in model._meta.permissions
    }

    assert own - permissions_of(OPERATORS) == {"maintenance.approve_run"}
    assert own & permissions_of(APPROVERS) == {"maintenance.approve_run"}
    assert own & permissions_of(VIEWERS) == set()


def test_bot_owners_run_no_jobs_and_see_no_other_app():
    assert {name.partition(".")[0] for name in permissions_of(BOT_OWNERS)} == {"alerts", "scraping"}


def test_a_group_that_exists_is_left_alone():
    operators = Group.objects.get(name=OPERATORS)
    operators.permissions.set([Permission.objects.get(codename="view_jobrun")])
    Group.objects.get(name=BOT_OWNERS).delete()

    call_command("migrate", verbosity=0)

    assert permissions_of(OPERATORS) == {"maintenance.view_jobrun"}
    assert permissions_of(BOT_OWNERS) == set(PERMISSIONS[BOT_OWNERS])


def test_a_group_waits_for_its_last_permission():
    Group.objects.all().delete()
    Permission.objects.get(codename="approve_run").delete()

    assert create_groups() == [VIEWERS, OPERATORS, BOT_OWNERS]

    call_command("migrate", verbosity=0)
    assert permissions_of(APPROVERS) == set(PERMISSIONS[APPROVERS])


def test_the_groups_come_after_all_permissions():
    assert list(apps.get_app_configs())[-1].name == "accounts"
