"""Counts what a purge would delete: by month, group and rule, with the cascaded rows, in one reading of the table.

PostgreSQL and SQLite keep the few columns that are counted in a materialized common table expression, and make every
count from it; Django can write neither that nor grouping sets. ADR 37 has the times.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from django.core.exceptions import EmptyResultSet
from django.db import connections, models
from django.utils.dateparse import parse_datetime

from database.background import background_reads
from database.constraints import cascaded_children
from database.utc_days import UTCDay
from maintenance.purging.facts import Facts, Group, RuleEffect

GROUPS_SHOWN = 10
# If there are more groups than this, only the largest are read.
GROUPS_READ = 1_000


@dataclass
class Counted:
    """How many rows would be deleted."""

    # By label of the table, then by the month of the first table's row in UTC: {"2026-01": 12}
    by_month: dict[str, dict[str, int]]
    oldest: datetime | None = None
    newest: datetime | None = None
    # The largest groups of the first table's rows, and the rest as a group without a name.
    groups: dict[str, list[Group]] = field(default_factory=dict)
    rules: list[RuleEffect] = field(default_factory=list)


def count_deletion(
    queryset: models.QuerySet[Any], *, key: str, estimates: Mapping[str, str] | None = None
) -> dict[str, int]:
    """Return how many rows of each table deleting ``queryset`` would delete, by label; ``estimates``: see ``count_once``."""
    counted = count_once(queryset, key=key, estimates=estimates)
    return {label: sum(months.values()) for label, months in counted.by_month.items()}


def count_once(
    queryset: models.QuerySet[Any],
    *,
    key: str,
    facts: Facts | None = None,
    cutoff: datetime | None = None,
    estimates: Mapping[str, str] | None = None,
) -> Counted:
    """Count the rows that deleting ``queryset`` would delete.

    Args:
        queryset: the rows of the first table.
        key: its time field, by whose months all rows are counted.
        facts: by what to group the rows, and the rules that decide them.
        cutoff: the general one, with which the rules are compared.
        estimates: by label of a cascaded table, the column of the first table to add up instead of counting.
    """
    statement = _Statement(queryset, key, facts or Facts(), cutoff, estimates or {})
    with background_reads(queryset.db):
        return statement.read()


class _Statement:
    """The statement that counts, and the reading of its answer."""

    def __init__(
        self,
        queryset: models.QuerySet[Any],
        key: str,
        facts: Facts,
        cutoff: datetime | None,
        estimates: Mapping[str, str],
    ) -> None:
        self._queryset, self._facts, self._estimates = queryset, facts, estimates
        self._cutoff = cutoff
        self._label = queryset.model._meta.label
        self._children = cascaded_children(queryset.model)
        self._connection = connections[queryset.db]
        self._has_rules = facts.by_rule is not None and cutoff is not None
        self._source = self._columns(key)

    def _columns(self, key: str) -> models.QuerySet[Any]:
        """Return the rows to read with the columns that are counted, in the order of ``_names``."""
        rows = self._queryset
        columns = [key, "_day", *self._facts.groups.values(), *self._estimates.values()]
        self._names = ["at", "day"]
        self._names += [f"group_{number}" for number in range(len(self._facts.groups))]
        self._names += [f"estimate_{number}" for number in range(len(self._estimates))]
        if len(self._children) > len(self._estimates):  # else the primary key may be of several columns
            columns.append("pk")
            self._names.append("pk")
        if self._has_rules:
            assert self._facts.by_rule is not None
            rows = self._facts.by_rule
            columns += ["rule", "aged_from"]
            self._names += ["rule", "aged_from"]
        read: models.QuerySet[Any] = rows.order_by().annotate(_day=UTCDay(key)).values_list(*columns)
        return read

    def read(self) -> Counted:
        """Execute the statement."""
        labels = [self._label, *(child.model._meta.label for child in self._children)]
        months: dict[str, Counter[str]] = {label: Counter() for label in labels}
        counted = Counted({})
        names: dict[str, Counter[str]] = {name: Counter() for name in self._facts.groups}
        rules: dict[int, tuple[int, int, int]] = {}
        for part, value, rows, oldest, newest, sooner, kept in sorted(self._execute(), key=_in_order):
            kind, _, which = part.partition(":")
            if kind == "rows" and rows:
                months[which][value[:7]] += int(rows)
                if oldest is not None:
                    counted.oldest = min(filter(None, [counted.oldest, _moment(oldest)]))
                    counted.newest = max(filter(None, [counted.newest, _moment(newest)]))
            elif kind == "group":
                names[which][self._facts.name_of(which, value)] += int(rows)
            elif kind == "rule":
                rules[int(value)] = (int(rows), int(sooner), int(kept))
        counted.by_month = {label: dict(found) for label, found in months.items()}
        total = months[self._label].total()
        counted.groups = {name: _largest(found, total) for name, found in names.items()}
        if self._has_rules:
            counted.rules = [
                RuleEffect(rule.name, rule.days, *rules.get(number, (0, 0, 0)))
                for number, rule in enumerate(self._facts.rules)
            ]
        return counted

    def _execute(self) -> Iterable[tuple[Any, ...]]:
        try:
            source, params = self._source.query.get_compiler(self._queryset.db).as_sql()
        except EmptyResultSet:
            return []
        # The names are ours, of models and of their fields; every value is a parameter.
        planned, params = self._planned(source, list(params))
        sql = f"WITH {planned}, {self._summed()} " + " UNION ALL ".join(self._parts())
        with self._connection.cursor() as cursor:
            cursor.execute(sql, params)
            found: list[tuple[Any, ...]] = cursor.fetchall()
        return found

    def _planned(self, source: str, params: list[Any]) -> tuple[str, list[Any]]:
        """Return the expression for the rows; with rules, whether the rule of each deletes it, and whether it is old."""
        names = ", ".join(self._names)
        if not self._has_rules:
            return f"planned ({names}) AS MATERIALIZED ({source})", params
        adapted = self._connection.ops.adapt_datetimefield_value
        cutoffs = [adapted(rule.cutoff) for rule in self._facts.rules]
        cases = " ".join(f"WHEN {number} THEN %s" for number in range(len(cutoffs)))
        # PostgreSQL would merge both, and find the rule of a row again wherever it is named.
        apart = " OFFSET 0" if self._connection.vendor == "postgresql" else ""
        sql = (
            f"read ({names}) AS ({source}{apart}), planned ({names}, goes, old) AS MATERIALIZED (SELECT {names},"  # noqa: S608  # our names
            f" CASE WHEN aged_from < CASE rule {cases} END THEN true ELSE false END,"
            " CASE WHEN at < %s THEN true ELSE false END FROM read)"
        )
        return sql, [*params, *cutoffs, adapted(self._cutoff)]

    def _summed(self) -> str:
        """Return the expression for the sums of each day, from which all counts but those of groups are made."""
        by = "day, rule, goes, old" if self._has_rules else "day"
        sums = "".join(f", sum(estimate_{number}) AS sum_{number}" for number in range(len(self._estimates)))
        return (
            f"summed AS MATERIALIZED (SELECT {by}, count(*) AS number, min(at) AS oldest, max(at) AS newest{sums}"  # noqa: S608  # our names
            f" FROM planned GROUP BY {by})"
        )

    def _parts(self) -> Iterable[str]:
        """Yield the counts; each returns part, value, rows, oldest, newest, sooner and kept."""
        quote = self._connection.ops.quote_name
        goes = " WHERE goes" if self._has_rules else ""
        day, rest = "CAST(day AS text)", "NULL, NULL, 0, 0"
        yield (
            f"SELECT 'rows:{self._label}', {day}, sum(number), min(oldest), max(newest), 0, 0"  # noqa: S608  # quoted names, labels of our models
            f" FROM summed{goes} GROUP BY day"
        )
        for child in self._children:
            label = child.model._meta.label
            if label in self._estimates:
                column = f"sum_{list(self._estimates).index(label)}"
                yield f"SELECT 'rows:{label}', {day}, sum({column}), {rest} FROM summed{goes} GROUP BY day"  # noqa: S608  # quoted names, labels of our models
                continue
            table, column = quote(child.model._meta.db_table), quote(str(child.column))
            yield (
                f"SELECT 'rows:{label}', {day}, count(*), {rest} FROM planned"  # noqa: S608  # quoted names, labels of our models
                f" JOIN {table} child ON child.{column} = planned.pk{goes} GROUP BY day"
            )
        for number, name in enumerate(self._facts.groups):
            yield (
                f"SELECT 'group:{name}', value, number, {rest} FROM (SELECT CAST(group_{number} AS text) AS value,"  # noqa: S608  # quoted names, labels of our models
                f" count(*) AS number FROM planned{goes} GROUP BY group_{number}"
                f" ORDER BY number DESC, value LIMIT {GROUPS_READ}) AS of_{number}"
            )
        if self._has_rules:
            yield (
                "SELECT 'rule', CAST(rule AS text), coalesce(sum(number) FILTER (WHERE goes), 0), NULL, NULL,"
                " coalesce(sum(number) FILTER (WHERE goes AND NOT old), 0),"
                " coalesce(sum(number) FILTER (WHERE old AND NOT goes), 0) FROM summed GROUP BY rule"
            )


def _in_order(row: tuple[Any, ...]) -> tuple[str, str]:
    return row[0], row[1] or ""


def _moment(value: datetime | str) -> datetime:
    """Return a time as the driver returns it; SQLite returns text in UTC."""
    if isinstance(value, datetime):
        return value
    parsed = parse_datetime(value)
    assert parsed is not None
    return parsed.replace(tzinfo=UTC)


def _largest(counts: Counter[str], total: int) -> list[Group]:
    shown = [Group(name, number) for name, number in counts.most_common(GROUPS_SHOWN)]
    rest = total - sum(one.rows for one in shown)
    return [*shown, Group(None, rest)] if rest > 0 else shown
