"""Indexes that a migration adds beside whoever uses the table."""

import pytest
from django.db import connection, models
from django.db.migrations.state import ProjectState

from database.concurrent_indexes import AddIndexBeside
from scraping.models import Watermark

INDEX = models.Index(fields=["listed_at"], name="watermark_tried")
OPERATION = AddIndexBeside("Watermark", INDEX)


def add():
    from django.apps import apps

    before = ProjectState.from_apps(apps)
    after = before.clone()
    OPERATION.state_forwards("scraping", after)
    with connection.schema_editor(atomic=False) as editor:
        OPERATION.database_forwards("scraping", editor, before, after)


def is_there():
    with connection.cursor() as cursor:
        found = connection.introspection.get_constraints(cursor, Watermark._meta.db_table)
    return INDEX.name in found


@pytest.fixture
def _dropped_at_the_end():
    yield
    with connection.cursor() as cursor:
        cursor.execute(f"DROP INDEX IF EXISTS {INDEX.name}")


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("_dropped_at_the_end")
def test_the_index_is_made():
    add()

    assert is_there()


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("_dropped_at_the_end")
@pytest.mark.skipif("connection.vendor != 'postgresql'", reason="SQLite makes an index in a transaction")
def test_a_migration_that_was_stopped_is_run_again():
    add()
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE pg_index SET indisvalid = false WHERE indexrelid = to_regclass(%s)", [INDEX.name]
        )

    add()
    add()  # and where the next one of its indexes had failed

    with connection.cursor() as cursor:
        cursor.execute("SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass(%s)", [INDEX.name])
        assert cursor.fetchall() == [(True,)]
