"""How many rows a run deleted or stored, by its counts: in Python, and as an expression of both databases."""

from collections.abc import Mapping
from typing import Any

from django.db.models import BigIntegerField, Func

from maintenance.models import JobRun

# The counts of a scrape that are rows of content; a deletion counts by the labels of models, which have a dot.
STORED = ("posts_new", "comments_new")


def rows_of(run: JobRun) -> int | None:
    """Return how many rows a run deleted (counts by model label) or added; None for neither."""
    return rows_in({name: number for name, number in run.counts.items() if type(number) is int})


def rows_in(counts: Mapping[str, int]) -> int | None:
    """Return how many rows such counts, of one or more runs of a job, deleted or added; None for neither."""
    deleted = [number for name, number in counts.items() if "." in name]
    if deleted:
        return sum(deleted)
    stored = [counts[name] for name in STORED if name in counts]
    return sum(stored) if stored else None


class RowsDone(Func):
    """The same for a column of counts, and 0 for neither."""

    arity = 1
    output_field = BigIntegerField()

    def as_postgresql(self, compiler: Any, connection: Any, **context: Any) -> Any:
        """Read the numbers of the JSON object."""
        template = (
            "COALESCE((SELECT SUM(TRUNC(value::numeric)) FROM jsonb_each(%(expressions)s)"
            " WHERE strpos(key, '.') > 0 AND jsonb_typeof(value) = 'number'),"
            " COALESCE((%(expressions)s ->> 'posts_new')::numeric, 0)"
            " + COALESCE((%(expressions)s ->> 'comments_new')::numeric, 0))::bigint"
        )
        return self.as_sql(compiler, connection, template=template, **context)

    def as_sqlite(self, compiler: Any, connection: Any, **context: Any) -> Any:
        """Read the numbers of the text, which is JSON."""
        template = (
            "COALESCE((SELECT SUM(value) FROM json_each(%(expressions)s)"
            " WHERE instr(key, '.') > 0 AND type = 'integer'),"
            " COALESCE(json_extract(%(expressions)s, '$.posts_new'), 0)"
            " + COALESCE(json_extract(%(expressions)s, '$.comments_new'), 0))"
        )
        return self.as_sql(compiler, connection, template=template, **context)
