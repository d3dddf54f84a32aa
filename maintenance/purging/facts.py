"""The facts behind a plan: to which subreddits, bots and rules the rows belong, and what overrides change."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from django.db import models
from django.db.models import Count, F, Q

from database.background import background_reads
from maintenance.purging.plan import Group, RuleEffect

GROUPS_SHOWN = 10
# If there are more groups than this, only the largest are read.
GROUPS_READ = 1_000


class Rule(NamedTuple):
    """One rule of a retention: an override, or the general rule."""

    name: str  # empty: the general rule
    days: int


@dataclass(frozen=True)
class Facts:
    """What a job knows about the rows that it would delete from one table."""

    # Groups by their name, such as {"subreddit": "subreddit"}: the field by which they are told apart.
    groups: Mapping[str, str] = field(default_factory=dict)
    # Returns the text for a group's value, such as one that names a person.
    name_of: Callable[[str, Any], str] = lambda _group, value: str(value or "")
    # Rows that no hold keeps, annotated with the number of their ``rule``, the ``own_cutoff`` of that rule, and
    # ``aged_from``, the time that is compared with it.
    by_rule: models.QuerySet[Any] | None = None
    rules: Sequence[Rule] = ()
    # By label of a cascaded table: the column in which a parent row counts its children there.
    estimates: Mapping[str, str] = field(default_factory=dict)


def grouped(queryset: models.QuerySet[Any], facts: Facts, *, rows: int) -> dict[str, list[Group]]:
    """Return the largest groups of the rows, and the rest as a group without a name."""
    found: dict[str, list[Group]] = {}
    for group, column in facts.groups.items():
        counts: Counter[str] = Counter()
        with background_reads(queryset.db):
            values = (
                queryset.order_by().values_list(column).annotate(_rows=Count("*")).order_by("-_rows", column)
            )
            for value, number in values[:GROUPS_READ]:
                counts[facts.name_of(group, value)] += number
        shown = [Group(name, number) for name, number in counts.most_common(GROUPS_SHOWN)]
        rest = rows - sum(one.rows for one in shown)
        found[group] = [*shown, Group(None, rest)] if rest > 0 else shown
    return found


def rule_effects(facts: Facts, *, by: str, cutoff: datetime) -> list[RuleEffect]:
    """Return what each rule deletes, and how many of its rows the general cutoff would treat differently."""
    if facts.by_rule is None:
        return []
    goes, is_old = Q(aged_from__lt=F("own_cutoff")), Q(**{f"{by}__lt": cutoff})
    with background_reads(facts.by_rule.db):
        counted = {
            row["rule"]: row
            for row in facts.by_rule.order_by()
            .values("rule")
            .annotate(
                _rows=Count("pk", filter=goes),
                _sooner=Count("pk", filter=goes & ~is_old),
                _kept=Count("pk", filter=is_old & ~goes),
            )
        }
    return [
        RuleEffect(
            name=rule.name,
            days=rule.days,
            rows=counted.get(number, {}).get("_rows", 0),
            sooner=counted.get(number, {}).get("_sooner", 0),
            kept=counted.get(number, {}).get("_kept", 0),
        )
        for number, rule in enumerate(facts.rules)
    ]
