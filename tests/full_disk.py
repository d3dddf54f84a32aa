"""A database without room."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection

BALLAST = "ballast_of_a_test"
ROOM_PAGES = 20


def leave_no_room(raw):
    """Limit the file, for this connection of sqlite3 only, to a few pages more than it has; none of its pages is free."""
    free, size = (raw.execute(f"PRAGMA {name}").fetchone()[0] for name in ("freelist_count", "page_size"))
    raw.execute(f"CREATE TABLE IF NOT EXISTS {BALLAST} (x)")
    raw.execute(f"INSERT INTO {BALLAST} VALUES (zeroblob(?))", [free * size])
    pages = raw.execute("PRAGMA page_count").fetchone()[0] + ROOM_PAGES
    raw.execute(f"PRAGMA max_page_count = {pages}")
    return pages


def make_room(raw):
    """Take the ballast away."""
    raw.execute(f"DROP TABLE IF EXISTS {BALLAST}")


@contextmanager
def full_when_posts_are_deleted() -> Iterator[None]:
    """Let PostgreSQL refuse the commit of each transaction that deletes posts, as a full disk does."""
    with connection.cursor() as cursor:
        cursor.execute("""
            CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN RAISE EXCEPTION 'could not extend file' USING ERRCODE = '53100'; END $$;
            CREATE CONSTRAINT TRIGGER refuse AFTER DELETE ON scraping_redditpost
            DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION refuse();
        """)
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute("DROP TRIGGER refuse ON scraping_redditpost; DROP FUNCTION refuse()")
