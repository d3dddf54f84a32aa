"""After a transactional test the database is as migrations left it."""

import pytest
from django.contrib.auth.models import Group, Permission
from django.db import connection

from console.roles import OPERATORS
from maintenance.models import JobRun
from scraping.models import RedditComment
from tests.kit import baseline, factories

pytestmark = pytest.mark.django_db(transaction=True)


def columns_of_runs():
    with connection.cursor() as cursor:
        return [
            one.name for one in connection.introspection.get_table_description(cursor, JobRun._meta.db_table)
        ]


def test_rows_that_a_test_adds_deletes_or_changes_are_set_back():
    before = baseline.of(connection)
    permissions = set(Permission.objects.values_list("pk", "codename"))
    factories.log_line()
    factories.comment()
    Group.objects.filter(name=OPERATORS).update(name="x")
    Permission.objects.filter(codename="run_job").delete()

    before.restore()

    assert not JobRun.objects.exists()
    assert set(Permission.objects.values_list("pk", "codename")) == permissions
    assert Group.objects.get(name=OPERATORS).permissions.filter(codename="run_job").exists()


def test_many_rows_are_set_back_too(monkeypatch):
    monkeypatch.setattr(baseline, "TRUNCATED_FROM", 0)
    before = baseline.of(connection)
    groups = set(Group.objects.values_list("pk", "name"))
    factories.comment()

    before.restore()

    assert not RedditComment.objects.exists()
    assert set(Group.objects.values_list("pk", "name")) == groups


@pytest.mark.slow
@pytest.mark.skipif(connection.vendor != "sqlite", reason="PostgreSQL migrates without making a table anew")
def test_a_column_that_a_test_loses_comes_back():
    """On SQLite a migration makes its table anew, without the columns that only the release before knows."""
    before, columns = baseline.of(connection), columns_of_runs()
    with connection.schema_editor() as editor:
        field = JobRun._meta.get_field("stage")
        wider = field.clone()
        wider.max_length += 100
        wider.set_attributes_from_name("stage")
        wider.model = JobRun
        editor.alter_field(JobRun, field, wider)
    assert columns_of_runs() != columns

    before.restore()

    assert columns_of_runs() == columns
