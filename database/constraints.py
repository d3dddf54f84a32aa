"""A foreign key whose ``ON DELETE`` action the database performs.

Django 5.2 cascades in Python: to delete 1,000 posts it first loads all their comments. Declare the field
with ``on_delete=DO_NOTHING, db_constraint=False``, put ``DatabaseOnDelete`` into ``Meta.constraints``, and
PostgreSQL and SQLite delete (or null) the children themselves. From Django 6.1 on, ``DB_CASCADE`` does this.
"""

from enum import StrEnum
from typing import Any

from django.db import DEFAULT_DB_ALIAS, models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor


class OnDelete(StrEnum):
    """What happens to a child row when its parent is deleted."""

    CASCADE = "CASCADE"
    SET_NULL = "SET NULL"


class DatabaseOnDelete(models.BaseConstraint):
    """A named FOREIGN KEY constraint on one field, with its ``ON DELETE`` action."""

    def __init__(self, *, field: str, name: str, action: str = OnDelete.CASCADE) -> None:
        super().__init__(name=name)
        self.field = field
        self.action = OnDelete(action)

    def _body(self, model: type[models.Model], editor: BaseDatabaseSchemaEditor) -> str:
        field = model._meta.get_field(self.field)
        assert isinstance(field, models.ForeignKey)
        parent = field.remote_field.model._meta
        # The stubs allow None, because a many-to-many relation has no column; a foreign key has one.
        assert field.column is not None
        assert field.target_field.column is not None
        column, table = editor.quote_name(field.column), editor.quote_name(parent.db_table)
        key = editor.quote_name(field.target_field.column)
        return (
            f"FOREIGN KEY ({column}) REFERENCES {table} ({key})"
            f" ON DELETE {self.action} DEFERRABLE INITIALLY DEFERRED"
        )

    def constraint_sql(
        self, model: type[models.Model] | None, schema_editor: BaseDatabaseSchemaEditor | None
    ) -> str:
        """Return the clause for CREATE TABLE."""
        assert model is not None  # the stubs allow None, Django passes both
        assert schema_editor is not None
        return f"CONSTRAINT {schema_editor.quote_name(self.name)} {self._body(model, schema_editor)}"

    def create_sql(self, model: type[models.Model], schema_editor: BaseDatabaseSchemaEditor) -> str:  # type: ignore[override]  # the stubs promise a Statement, Django executes any string
        """Return the ALTER TABLE that adds the constraint; SQLite rebuilds the table instead."""
        table = schema_editor.quote_name(model._meta.db_table)
        return f"ALTER TABLE {table} ADD {self.constraint_sql(model, schema_editor)}"

    def remove_sql(self, model: type[models.Model], schema_editor: BaseDatabaseSchemaEditor) -> str:  # type: ignore[override]  # as above
        """Return the ALTER TABLE that drops the constraint."""
        table = schema_editor.quote_name(model._meta.db_table)
        return f"ALTER TABLE {table} DROP CONSTRAINT {schema_editor.quote_name(self.name)}"

    def validate(
        self,
        model: type[models.Model],
        instance: models.Model,
        exclude: Any = None,
        using: str = DEFAULT_DB_ALIAS,
    ) -> None:
        """Do nothing: the field's own validation checks that the parent exists."""

    def deconstruct(self) -> tuple[str, tuple[Any, ...], dict[str, Any]]:
        """Return what a migration needs to recreate this constraint."""
        path, args, kwargs = super().deconstruct()
        return path, tuple(args), {**kwargs, "field": self.field, "action": str(self.action)}

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, DatabaseOnDelete):
            return NotImplemented
        return (self.name, self.field, self.action) == (other.name, other.field, other.action)

    def __hash__(self) -> int:
        return hash((self.name, self.field, self.action))


def cascaded_children(model: type[models.Model]) -> list[models.ForeignObject]:
    """Return the foreign keys whose rows the database deletes together with a row of ``model``.

    Raises:
        TypeError: another model points to ``model`` with a cascade that only Python performs; a set-based
            delete would leave its rows behind or be refused by the database.
    """
    children = []
    for relation in model._meta.related_objects:
        field = relation.field
        declared = [
            c
            for c in relation.related_model._meta.constraints
            if isinstance(c, DatabaseOnDelete) and c.field == field.name
        ]
        if declared:
            if declared[0].action == OnDelete.CASCADE:
                children.append(field)
        elif getattr(field, "db_constraint", False):
            raise TypeError(
                f"{field} points to {model.__name__} and Python performs its on_delete: declare DatabaseOnDelete there."
            )
    return children
