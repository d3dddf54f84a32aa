"""Every foreign key that something looks up from the other side leads to an index."""

import pytest
from django.db import connection, models

from database.constraints import DatabaseOnDelete
from tests.test_constraints import MODELS


def is_looked_up(model, field):
    """Whether deleting the row it points to makes Django or the database look for its rows."""
    by_database = any(
        isinstance(part, DatabaseOnDelete) and part.field == field.name for part in model._meta.constraints
    )
    return by_database or field.db_constraint or field.remote_field.on_delete is not models.DO_NOTHING


def foreign_keys():
    return [
        (model, field)
        for model in MODELS
        for field in model._meta.local_concrete_fields
        if isinstance(field, models.ForeignKey) and is_looked_up(model, field)
    ]


def first_columns(cursor, table):
    """The columns with which the table's indexes begin."""
    if connection.vendor == "postgresql":
        cursor.execute(
            "SELECT a.attname FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]"
            " WHERE i.indrelid = to_regclass(%s)",
            [table],
        )
    else:
        cursor.execute(
            "SELECT part.name FROM pragma_index_list(%s) AS found, pragma_index_info(found.name) AS part"
            " WHERE part.seqno = 0 UNION SELECT name FROM pragma_table_info(%s) WHERE pk = 1",
            [table, table],
        )
    return {name for (name,) in cursor.fetchall()}


@pytest.mark.django_db
def test_a_deleted_row_finds_what_points_to_it_by_an_index():
    with connection.cursor() as cursor:
        unindexed = [
            f"{model._meta.label}.{field.name}"
            for model, field in foreign_keys()
            if field.column not in first_columns(cursor, model._meta.db_table)
        ]

    assert unindexed == []
