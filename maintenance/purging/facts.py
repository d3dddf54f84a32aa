"""The facts behind a plan: to which subreddits, bots and rules the rows belong, and what overrides change."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from django.db import models


@dataclass(frozen=True)
class Group:
    """The rows of one subreddit or bot; without a name: the rows of all others."""

    name: str | None
    rows: int


@dataclass(frozen=True)
class RuleEffect:
    """What one rule of a retention deletes; an empty name is the general rule."""

    name: str
    days: int
    rows: int
    # Of those, younger than the general cutoff.
    sooner: int
    # Older than the general cutoff, and kept.
    kept: int


class Rule(NamedTuple):
    """One rule of a retention: an override, or the general rule."""

    name: str  # empty: the general rule
    days: int
    cutoff: datetime


@dataclass(frozen=True)
class Facts:
    """What a job knows about the rows that it would delete from one table."""

    # Groups by their name, such as {"subreddit": "subreddit"}: the field by which they are told apart.
    groups: Mapping[str, str] = field(default_factory=dict)
    # Returns the text for a group's value, such as one that names a person.
    name_of: Callable[[str, Any], str] = lambda _group, value: str(value or "")
    # Rows that no hold keeps, annotated with the number of their ``rule``, and ``aged_from``, the time that is compared
    # with the cutoff of that rule. Those with ``aged_from`` before it are deleted.
    by_rule: models.QuerySet[Any] | None = None
    rules: Sequence[Rule] = ()
    # Whether the retention finds a row of the table old enough, apart from holds; None: only the deletion's rows tell.
    is_old: models.Q | None = None
    # By label of a cascaded table: the column in which a parent row counts its children there.
    estimates: Mapping[str, str] = field(default_factory=dict)
