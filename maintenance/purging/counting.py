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
from django.db.models import F, Q
from django.utils.dateparse import parse_datetime

from database.background import background_reads
from database.constraints import cascaded_children
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
        self._label = queryset.model._meta.label
        self._children = cascaded_children(queryset.model)
        self._connection = connections[queryset.db]
        self._has_rules = facts.by_rule is not None and cutoff is not None
        self._source = self._columns(key, cutoff)

    def _columns(self, key: str, cutoff: datetime | None) -> models.QuerySet[Any]:
        """Return the rows to read with the columns that are counted, in the order of ``_names``."""
        rows = self._queryset
        if self._has_rules:
            assert self._facts.by_rule is not None
            rows = self._facts.by_rule.annotate(
                _goes=_is_true(Q(aged_from__lt=F("own_cutoff"))), _old=_is_true(Q(**{f"{key}__lt": cutoff}))
            )
        columns = [key, "_month", *self._facts.groups.values(), *self._estimates.values()]
        self._names = ["at", "month"]
        self._names += [f"group_{number}" for number in range(len(self._facts.groups))]
        self._names += [f"estimate_{number}" for number in range(len(self._estimates))]
        if self._children:  # else the primary key may be of several columns
            columns.append("pk")
            self._names.append("pk")
        if self._has_rules:
            columns += ["rule", "_goes", "_old"]
            self._names += ["rule", "goes", "old"]
        read: models.QuerySet[Any] = rows.order_by().annotate(_month=Month(key)).values_list(*columns)
        return read

    def read(self) -> Counted:
        """Execute the statement."""
        labels = [self._label, *(child.model._meta.label for child in self._children)]
        counted = Counted({label: {} for label in labels})
        names: dict[str, Counter[str]] = {name: Counter() for name in self._facts.groups}
        rules: dict[int, tuple[int, int, int]] = {}
        for part, value, rows, oldest, newest, sooner, kept in sorted(self._execute(), key=_month_of):
            kind, _, which = part.partition(":")
            if kind == "rows" and rows:
                counted.by_month[which][value[:7]] = int(rows)
                if oldest is not None:
                    counted.oldest = min(filter(None, [counted.oldest, _moment(oldest)]))
                    counted.newest = max(filter(None, [counted.newest, _moment(newest)]))
            elif kind == "group":
                names[which][self._facts.name_of(which, value)] += rows
            elif kind == "rule":
                rules[int(value)] = (rows, sooner, kept)
        total = sum(counted.by_month[self._label].values())
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
        # The names are ours, of models and of their fields; every value is a parameter of the source.
        sql = f"WITH planned ({', '.join(self._names)}) AS MATERIALIZED ({source}) " + " UNION ALL ".join(
            self._parts()
        )
        with self._connection.cursor() as cursor:
            cursor.execute(sql, params)
            found: list[tuple[Any, ...]] = cursor.fetchall()
        return found

    def _parts(self) -> Iterable[str]:
        """Yield the counts; each returns part, value, rows, oldest, newest, sooner and kept."""
        quote = self._connection.ops.quote_name
        goes = " WHERE goes = 1" if self._has_rules else ""
        month, rest = "CAST(month AS text)", "NULL, NULL, 0, 0"
        yield (
            f"SELECT 'rows:{self._label}', {month}, count(*), min(at), max(at), 0, 0"  # noqa: S608  # quoted names, labels of our models
            f" FROM planned{goes} GROUP BY month"
        )
        for child in self._children:
            label = child.model._meta.label
            if label in self._estimates:
                column = f"estimate_{list(self._estimates).index(label)}"
                yield f"SELECT 'rows:{label}', {month}, sum({column}), {rest} FROM planned{goes} GROUP BY month"  # noqa: S608  # quoted names, labels of our models
                continue
            table, column = quote(child.model._meta.db_table), quote(str(child.column))
            yield (
                f"SELECT 'rows:{label}', {month}, count(*), {rest} FROM planned"  # noqa: S608  # quoted names, labels of our models
                f" JOIN {table} child ON child.{column} = planned.pk{goes} GROUP BY month"
            )
        for number, name in enumerate(self._facts.groups):
            yield (
                f"SELECT 'group:{name}', value, number, {rest} FROM (SELECT CAST(group_{number} AS text) AS value,"  # noqa: S608  # quoted names, labels of our models
                f" count(*) AS number FROM planned{goes} GROUP BY group_{number}"
                f" ORDER BY number DESC, value LIMIT {GROUPS_READ}) AS of_{number}"
            )
        if self._has_rules:
            yield (
                "SELECT 'rule', CAST(rule AS text), count(*) FILTER (WHERE goes = 1), NULL, NULL,"
                " count(*) FILTER (WHERE goes = 1 AND old = 0), count(*) FILTER (WHERE old = 1 AND goes = 0)"
                " FROM planned GROUP BY rule"
            )


def _is_true(condition: Q) -> models.Case:
    return models.Case(models.When(condition, then=1), default=0, output_field=models.IntegerField())


def _month_of(row: tuple[Any, ...]) -> tuple[str, str]:
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


class Month(models.Func):
    """The month of a time in UTC, beginning as ``2026-01``; Django's TruncMonth is a Python function on SQLite."""

    output_field = models.CharField()

    def as_sqlite(self, compiler: Any, connection: Any, **extra: Any) -> Any:
        """Cut the text in which Django stores a UTC time on SQLite."""
        return self.as_sql(compiler, connection, template="substr(%(expressions)s, 1, 7)", **extra)

    def as_postgresql(self, compiler: Any, connection: Any, **extra: Any) -> Any:
        """Truncate in UTC, whatever the connection's zone. A date: to group by text is slow."""
        template = "date_trunc('month', %(expressions)s AT TIME ZONE 'UTC')::date"
        return self.as_sql(compiler, connection, template=template, **extra)
