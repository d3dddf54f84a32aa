"""The ways to store pages of posts and comments that ``bench.ingest`` compares: ours and its peers."""

import io
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

SEEN_AT = datetime(2026, 1, 2, tzinfo=UTC)

Raw = dict[str, Any]
Page = tuple[Any, Raw, list[Raw]]  # model, common fields of all rows, rows

SIGHT = {"first_seen_at": SEEN_AT, "last_seen_at": SEEN_AT, "checked_at": SEEN_AT, "missing_count": 0}


def ours(pages: list[Page]) -> None:
    """Store the rows of the pages as a scrape does."""
    from collections import Counter

    from scraping.content.storage import store_rows
    from scraping.models import BotConfig, RedditPost

    bot = BotConfig.objects.get()
    for model, parent, rows in pages:
        finder = bot.pk if model is RedditPost else None
        store_rows(model, rows, on_insert=parent, seen_at=SEEN_AT, skipped=Counter(), finder=finder)


def without_sightings(pages: list[Page]) -> None:
    """The same without recording which bot found which post."""
    from collections import Counter

    from scraping.content.storage import store_rows

    for model, parent, rows in pages:
        store_rows(model, rows, on_insert=parent, seen_at=SEEN_AT, skipped=Counter())


def one_by_one(pages: list[Page]) -> None:
    """``update_or_create`` of each item, one transaction per page."""
    from django.db import transaction

    for model, parent, rows in pages:
        with transaction.atomic():
            for row in rows:
                seen = {name: value for name, value in SIGHT.items() if name != "first_seen_at"}
                model.objects.update_or_create(
                    fullname=row["fullname"], defaults=row | seen, create_defaults=row | SIGHT | parent
                )


def bulk_create(pages: list[Page]) -> None:
    """``bulk_create(update_conflicts=True)``, one transaction per page."""
    for model, parent, rows in pages:
        fields = [name for name in (*rows[0], *SIGHT) if name not in ("fullname", "first_seen_at")]
        model.objects.bulk_create(
            [model(**row, **SIGHT, **parent) for row in rows],
            update_conflicts=True,
            unique_fields=["fullname"],
            update_fields=fields,
        )


def plain_pages(pages: list[Page]) -> list[Page]:
    """Return the pages with all columns but the key, as values for the driver, so raw SQL need not convert them."""
    import json

    from django.db import connection

    is_sqlite = connection.vendor == "sqlite"
    plain = []
    for model, parent, rows in pages:
        fields = [field for field in model._meta.concrete_fields if not field.primary_key]
        shared = {field.attname: field.get_default() for field in fields} | SIGHT | parent
        values = [shared | row for row in rows]
        for row in values:
            if row.get("media") is not None:
                row["media"] = json.dumps(row["media"])
            for name in [name for name, value in row.items() if is_sqlite and isinstance(value, datetime)]:
                row[name] = connection.ops.adapt_datetimefield_value(row[name])
        plain.append((model, parent, values))
    return plain


def upsert_all(model: Any, columns: list[str], source: str) -> str:
    """Return an upsert that writes every row."""
    said = [name for name in columns if name not in ("fullname", "post_id", "first_seen_at")]
    said = [
        name
        for name in said
        if not name.startswith(("hold", "held", "session", "config", "comments_fetched"))
    ]
    assigned = ", ".join(f"{name} = excluded.{name}" for name in said)
    return (
        f"INSERT INTO {model._meta.db_table} ({', '.join(columns)}) {source}"
        f" ON CONFLICT (fullname) DO UPDATE SET {assigned}"
    )


ESCAPES = str.maketrans({"\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r"})


def copied(value: Any) -> str:
    """Return a value in the text format of COPY."""
    if value is None:
        return r"\N"
    return value.translate(ESCAPES) if isinstance(value, str) else str(value)


def copy_batches(batch: int) -> Callable[[list[Page]], None]:
    """COPY into a temporary table, then INSERT … ON CONFLICT from it, ``batch`` rows per transaction."""

    def flush(model: Any, rows: list[Raw]) -> None:
        from django.db import connection, transaction

        if not rows:
            return
        columns = list(rows[0])
        lines = io.StringIO("".join("\t".join(map(copied, row.values())) + "\n" for row in rows))
        names = ", ".join(columns)
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(
                f"CREATE TEMP TABLE page ON COMMIT DROP AS SELECT {names} FROM {model._meta.db_table} WITH NO DATA"
            )
            cursor.copy_expert(f"COPY page ({names}) FROM STDIN", lines)
            cursor.execute(upsert_all(model, columns, f"SELECT {names} FROM page"))

    def store(pages: list[Page]) -> None:
        waiting: dict[Any, list[Raw]] = {}
        for model, _parent, rows in pages:
            held = waiting.setdefault(model, [])
            held += rows
            if len(held) >= batch:
                flush(model, held)
                held.clear()
        for model, rows in waiting.items():
            flush(model, rows)

    return store


def executemany(pages: list[Page]) -> None:
    """One ``executemany`` per page that writes every row: the best that SQLite can do without checking for changes."""
    from django.db import connection, transaction

    for model, _parent, rows in pages:
        columns = list(rows[0])
        slots = ", ".join(["%s"] * len(columns))
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.executemany(
                upsert_all(model, columns, f"VALUES ({slots})"), [list(row.values()) for row in rows]
            )
