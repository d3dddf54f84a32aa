"""Deleting a person, a schedule or a bot works for whoever does not know our tables: the database does the rest."""

import pytest
from django.apps import apps
from django.contrib.auth.models import User
from django.db import connection, models

from alerts.models import QuietHours, Reader, Route
from database.constraints import DatabaseOnDelete
from maintenance.models import ScheduleControl
from tests.kit import factories

OURS = {"accounts", "alerts", "audit", "maintenance", "scraping"}
PROTECTS = "it must not be deleted while something depends on it"
KEPT = "only a number: the row outlives what it names"
KNOWN = "the release before knows the table and sets it to null; a new constraint would read or copy a large table"
WITHOUT = {
    "maintenance.JobRun.schedule": KEPT,
    "scraping.RedditPost.session": KEPT,
    "scraping.RedditPost.config": KEPT,
    "alerts.Alert.config": KEPT,
    "maintenance.RetentionOverride.config": PROTECTS,
    "scraping.RedditApp.owner": PROTECTS,
    "scraping.BotConfig.owner": PROTECTS,
    "scraping.BotConfig.app": PROTECTS,
    "maintenance.JobRun.requested_by": KNOWN,
    "scraping.ScrapeSession.config": KNOWN,
    "scraping.RedditPost.held_by": KNOWN,
    "maintenance.RetentionOverride.policy": "nobody deletes a retention without its overrides",
    "scraping.Doubt.set_aside": "no release deletes what is set aside without knowing its doubts",
}


def keys():
    for model in apps.get_models(include_auto_created=True):
        if model._meta.app_label in OURS:
            for field in model._meta.local_fields:
                if isinstance(field, models.ForeignKey):
                    yield model, field


def declared(model, field):
    return [
        one.action
        for one in model._meta.constraints
        if isinstance(one, DatabaseOnDelete) and one.field == field.name
    ]


def test_each_foreign_key_says_in_the_database_what_a_deletion_does_unless_a_reason_stands_here():
    without = {str(field) for model, field in keys() if not declared(model, field)}

    assert without == set(WITHOUT)


def test_what_is_kept_has_no_constraint_and_what_is_protected_is_protected():
    found = {str(field): field for _model, field in keys()}

    assert not any(found[name].db_constraint for name, why in WITHOUT.items() if why == KEPT)
    assert {found[name].remote_field.on_delete for name, why in WITHOUT.items() if why == PROTECTS} == {
        models.PROTECT
    }


def test_what_is_set_to_null_may_be_null():
    assert all(field.null for model, field in keys() if "SET NULL" in declared(model, field))


@pytest.mark.django_db(transaction=True)
def test_a_person_deleted_in_sql_takes_settings_along_and_leaves_what_others_need():
    gone, other = factories.user(email="a@example.org"), factories.user(email="b@example.org")
    for person in (gone, other):
        factories.quiet_hours(person=person)
        Reader.objects.create(person=person, language="en")
    of_gone = factories.route(to="person", person=gone)
    kept = factories.route(to="person", person=other)
    delivery = factories.delivery(person=gone, route=of_gone)
    mute = factories.mute(muted_by=gone, muted_by_name="ada")
    control = ScheduleControl.objects.get(pk=factories.schedule().pk)
    ScheduleControl.objects.filter(pk=control.pk).update(paused_by=gone)

    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM auth_user WHERE id = %s", [gone.pk])

    connection.check_constraints()
    assert [row.pk for row in QuietHours.objects.all()] == [other.pk]
    assert [row.pk for row in Reader.objects.all()] == [other.pk]
    assert list(Route.objects.filter(to="person")) == [kept]
    for row in (delivery, mute, control):
        row.refresh_from_db()
    assert (delivery.person, delivery.route) == (None, None)
    assert (mute.muted_by, mute.muted_by_name, control.paused_by) == (None, "ada", None)
    assert User.objects.filter(pk=other.pk).exists()
