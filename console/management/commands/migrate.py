"""`manage.py migrate`: Django's command, but only one at a time for each database."""

import fcntl
import hashlib
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from django.core.management.commands import migrate
from django.db import connections

# The key of an advisory lock is a 64-bit number; no other code of ours uses one.
LOCK = int.from_bytes(hashlib.sha256(b"maintenance-console migrate").digest()[:8], signed=True)
# The pause between two attempts to get the lock.
SECONDS_BETWEEN = 0.2


class Command(migrate.Command):
    """Waits for another process that migrates the database: two hosts that start at once must not migrate together."""

    def handle(self, *args: Any, **options: Any) -> None:
        """Migrate while holding the lock."""
        with self._alone(options["database"]):
            super().handle(*args, **options)

    @contextmanager
    def _alone(self, alias: str) -> Iterator[None]:
        connection = connections[alias]
        if connection.vendor == "sqlite":
            with _alone_on_sqlite(str(connection.settings_dict["NAME"]), self._tell):
                yield
            return
        # In a separate session: migrations may close theirs, which would release the lock.
        own = connection.copy()
        try:
            with own.cursor() as cursor:
                if not _locks(cursor):
                    self._tell()
                    # Not pg_advisory_lock(): CREATE INDEX CONCURRENTLY waits for every running statement, and that
                    # statement would wait for the lock: a deadlock.
                    while not _locks(cursor):
                        time.sleep(SECONDS_BETWEEN)
                yield
        finally:
            own.close()

    def _tell(self) -> None:
        self.stdout.write("Another process migrates this database: waiting for it.")
        self.stdout.flush()


def _locks(cursor: Any) -> bool:
    cursor.execute("SELECT pg_try_advisory_lock(%s)", [LOCK])
    return bool(cursor.fetchone()[0])


def lock_file(database: str) -> Path:
    """Return the lock file for migrations of this SQLite database."""
    path = Path(database)
    if not path.is_absolute():  # in memory
        return (
            Path(tempfile.gettempdir()) / f"migrate-{hashlib.sha256(database.encode()).hexdigest()[:16]}.lock"
        )
    return path.with_name(f"{path.name}.migrate.lock")


@contextmanager
def _alone_on_sqlite(database: str, tell: Any) -> Iterator[None]:
    with lock_file(database).open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            tell()
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
