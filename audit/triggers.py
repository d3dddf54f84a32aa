"""Triggers that make the log append-only: the database refuses every change and deletion of an event.

There are two exceptions. The key of a deleted user may become null. An event older than ``KEPT_DAYS`` may be deleted,
for the retention; newer events cannot be deleted.
"""

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Model

KEPT_DAYS = 180
CHANGE = "An event cannot be changed."
DELETE = f"An event cannot be deleted before it is {KEPT_DAYS} days old."

_POSTGRESQL = f"""
CREATE FUNCTION audit_event_unchanged() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.actor_id IS NULL AND to_jsonb(NEW) - 'actor_id' = to_jsonb(OLD) - 'actor_id' THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION '{CHANGE}' USING ERRCODE = 'restrict_violation';
END $$;
CREATE FUNCTION audit_event_kept() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' AND OLD.at < clock_timestamp() - interval '{KEPT_DAYS} days' THEN
        RETURN OLD;
    END IF;
    RAISE EXCEPTION '{DELETE}' USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER audit_event_unchanged BEFORE UPDATE ON audit_event
    FOR EACH ROW EXECUTE FUNCTION audit_event_unchanged();
CREATE TRIGGER audit_event_kept BEFORE DELETE ON audit_event
    FOR EACH ROW EXECUTE FUNCTION audit_event_kept();
CREATE TRIGGER audit_event_not_truncated BEFORE TRUNCATE ON audit_event
    FOR EACH STATEMENT EXECUTE FUNCTION audit_event_kept();
"""
_POSTGRESQL_REMOVE = (
    "DROP TRIGGER IF EXISTS audit_event_unchanged ON audit_event",
    "DROP TRIGGER IF EXISTS audit_event_kept ON audit_event",
    "DROP TRIGGER IF EXISTS audit_event_not_truncated ON audit_event",
    "DROP FUNCTION IF EXISTS audit_event_unchanged()",
    "DROP FUNCTION IF EXISTS audit_event_kept()",
)
_SQLITE_REMOVE = (
    "DROP TRIGGER IF EXISTS audit_event_unchanged",
    "DROP TRIGGER IF EXISTS audit_event_kept",
)


def statements(model: type[Model], vendor: str) -> list[str]:
    """Return the SQL that installs the triggers on the table of events."""
    if vendor == "postgresql":
        return [_POSTGRESQL]
    others = [field.column for field in model._meta.concrete_fields if field.name != "actor"]
    same = " AND ".join(f'NEW."{column}" IS OLD."{column}"' for column in others)
    return [
        f"CREATE TRIGGER audit_event_unchanged BEFORE UPDATE ON audit_event"
        f" WHEN NOT (NEW.actor_id IS NULL AND {same})"
        f" BEGIN SELECT RAISE(ABORT, '{CHANGE}'); END",
        # Stored times sort as text.
        f"CREATE TRIGGER audit_event_kept BEFORE DELETE ON audit_event"
        f" WHEN OLD.at >= strftime('%Y-%m-%d %H:%M:%f', 'now', '-{KEPT_DAYS} days')"
        f" BEGIN SELECT RAISE(ABORT, '{DELETE}'); END",
    ]


def install(model: type[Model], connection: BaseDatabaseWrapper) -> None:
    """Install the triggers; also call it after Django has rebuilt the table on SQLite, which drops them."""
    remove(connection)
    with connection.cursor() as cursor:
        for statement in statements(model, connection.vendor):
            cursor.execute(statement)


def remove(connection: BaseDatabaseWrapper) -> None:
    """Remove the triggers."""
    with connection.cursor() as cursor:
        for statement in {"postgresql": _POSTGRESQL_REMOVE, "sqlite": _SQLITE_REMOVE}[connection.vendor]:
            cursor.execute(statement)
