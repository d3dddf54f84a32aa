"""The test database as migrations left it: kept as a file between sessions, restored after each transactional test.

Django would empty all tables after such a test and create permissions and roles again: 0.3 s each time on SQLite,
0.8 s on PostgreSQL. It would also leave the schema as the test has changed it.
"""

import fcntl
import hashlib
import os
import shutil
import sqlite3
from contextlib import closing
from importlib import import_module
from pathlib import Path

import django
from django.apps import apps
from django.conf import settings
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.utils import CursorWrapper
from django.db.migrations.loader import MigrationLoader

# Bytes. With more, tables are truncated; with less, deleting is faster and leaves no bloat that matters.
TRUNCATED_FROM = 200_000


class SQLiteBaseline:
    """A copy of the whole database in memory: rows and schema."""

    def __init__(self, connection: BaseDatabaseWrapper) -> None:
        connection.ensure_connection()
        self._connection = connection
        self._copy = sqlite3.connect(":memory:")
        connection.connection.backup(self._copy)

    def restore(self) -> None:
        """Set rows and schema back."""
        self._connection.ensure_connection()
        self._copy.backup(self._connection.connection)


class PostgreSQLBaseline:
    """The rows that migrations created, in a database schema of their own."""

    def __init__(self, connection: BaseDatabaseWrapper) -> None:
        self._connection = connection
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace"
                " AND relkind IN ('r', 'p') AND NOT relispartition ORDER BY relname"
            )
            self._tables = [f'public."{name}"' for (name,) in cursor.fetchall()]
            cursor.execute("DROP SCHEMA IF EXISTS baseline CASCADE")
            cursor.execute("CREATE SCHEMA baseline")
            self._contents = {table: self._content(cursor, table) for table in self._filled(cursor)}
            for table in self._contents:
                cursor.execute(f"CREATE TABLE {_copy_of(table)} AS TABLE {table}")

    def restore(self) -> None:
        """Set the rows back; the schema is left alone."""
        with self._connection.cursor() as cursor:
            spoilt = [name for name, was in self._contents.items() if self._content(cursor, name) != was]
            added = [name for name in self._filled(cursor) if name not in self._contents]
            if not spoilt and not added:
                return
            cursor.execute("BEGIN")
            cursor.execute("SET CONSTRAINTS ALL DEFERRED")
            cursor.execute("SELECT " + " + ".join(f"pg_relation_size('{name}')" for name in added + spoilt))
            if cursor.fetchone()[0] > TRUNCATED_FROM:
                spoilt, added = [*self._contents], []
                cursor.execute(f"TRUNCATE {', '.join(self._tables)}")
            for table in added + spoilt:
                cursor.execute(f"DELETE FROM {table}")
            for table in spoilt:
                cursor.execute(f"INSERT INTO {table} SELECT * FROM {_copy_of(table)}")
            cursor.execute("COMMIT")

    def _filled(self, cursor: CursorWrapper) -> list[str]:
        """Return the tables that have rows."""
        each = (f"SELECT '{table}' WHERE EXISTS (SELECT FROM {table})" for table in self._tables)
        cursor.execute(" UNION ALL ".join(each))
        return [name for (name,) in cursor.fetchall()]

    def _content(self, cursor: CursorWrapper, table: str) -> str:
        """Return a checksum of the rows."""
        cursor.execute(f"SELECT md5(string_agg(t::text, '|' ORDER BY t::text)) FROM {table} t")
        return str(cursor.fetchone()[0])


def _copy_of(table: str) -> str:
    return table.replace("public.", "baseline.")


def of(connection: BaseDatabaseWrapper) -> SQLiteBaseline | PostgreSQLBaseline:
    """Return the database's present state, to restore it after tests."""
    return SQLiteBaseline(connection) if connection.vendor == "sqlite" else PostgreSQLBaseline(connection)


def schema_key() -> str:
    """Return what the schema depends on: a checksum of all migrations, Django and SQLite."""
    digest = hashlib.sha256(f"{django.VERSION} {sqlite3.sqlite_version}".encode())
    for app in apps.get_app_configs():
        name, _ = MigrationLoader.migrations_module(app.label)
        try:
            folder = Path(str(import_module(str(name)).__file__)).parent
        except ModuleNotFoundError:
            continue
        for file in sorted(folder.glob("*.py")):
            digest.update(file.name.encode() + file.read_bytes())
    return digest.hexdigest()[:16]


class MigratedFile:
    """A migrated SQLite database, from which this and later sessions start while the migrations are the same."""

    def __init__(self, database: Path) -> None:
        """Put a copy of it in the place of the test database, if there is one.

        Other processes wait until ``finish``, so that only one of them migrates.
        """
        folder = Path(settings.VAR_DIR) / "migrated"
        folder.mkdir(parents=True, exist_ok=True)
        self._kept = folder / f"{schema_key()}.sqlite3"
        self._lock = (folder / "lock").open("w")
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        for old in folder.glob("*.sqlite3"):
            if old != self._kept:
                old.unlink()
        for suffix in ("", "-wal", "-shm"):
            database.with_name(database.name + suffix).unlink(missing_ok=True)
        if self._kept.exists():
            shutil.copyfile(self._kept, database)

    def finish(self, connection: BaseDatabaseWrapper) -> None:
        """Keep the database that is migrated now, unless it came from the file."""
        if not self._kept.exists():
            connection.ensure_connection()
            part = self._kept.with_suffix(".part")
            with closing(sqlite3.connect(part)) as copy:
                connection.connection.backup(copy)
            os.replace(part, self._kept)
        self._lock.close()
