"""The log of erasures: a line for each post that a purge deleted and each item that a sweep blanked.

A line holds no text and no person's name: only the number of the fullname, the time, the run and the rule. It is
written in the transaction that deletes the content, so that there is never one without the other. The comments of a
purged post have no lines, because they are deleted together with it.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import reduce
from operator import or_
from typing import Any, NamedTuple, Self

from django.db import connections, models, router
from django.db.models import F, Q
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from database.messages import gettext, message_of
from scraping.item_names import BIGINT_MAX, parsed


class ErasureQuerySet(models.QuerySet["Erasure"]):
    """Selects lines by age and by fullname."""

    def made_before(self, cutoff: datetime) -> Self:
        """Return lines written before the cutoff (exclusive)."""
        return self.filter(at__lt=cutoff)

    def of(self, names: Iterable[str]) -> Self:
        """Return the lines of these fullnames."""
        items = [item for name in names if (item := parsed(name)) is not None]
        if not items:
            return self.none()
        conditions = (Q(kind=item.kind, number=item.number) for item in items)
        return self.filter(reduce(or_, conditions))


class Erasure(models.Model):
    """A stored item that lost its content, or its row.

    The primary key is the only index: a purge writes a line for each post, and each further index would make it 5 per
    cent slower (ADR 28).
    """

    class Kind(models.IntegerChoices):
        """The number in Reddit's prefix, t1_ or t3_."""

        COMMENT = 1, _("comment")
        POST = 3, _("post")

    class Rule(models.TextChoices):
        """Why the item was erased. The first three belong to purges, which delete the row; the others blank it."""

        RETENTION = "retention", _("older than the retention")
        SUBREDDIT = "subreddit", _("older than the retention of its subreddit")
        BOT = "bot", _("older than the retention of its bot")
        DELETED = "deleted", _("deleted by its author")
        REMOVED = "removed", _("removed by a moderator or by Reddit")
        ACCOUNT_DELETED = "account_deleted", _("its author's account was deleted")
        TOMBSTONED = "tombstoned", _("missing on Reddit")

    # Finds the run of an erasure by number and kind. An item that was restored and erased again has two lines.
    pk = models.CompositePrimaryKey("number", "kind", "at")
    kind = models.SmallIntegerField(_("kind"), choices=Kind)
    # The part after the prefix, as a base 36 number.
    number = models.BigIntegerField(_("number"))
    at = models.DateTimeField(_("time"), db_default=Now())
    # No relation, because this layer knows no runs. Null: done by a shell command, without a run.
    run_id = models.BigIntegerField(_("run"), null=True, blank=True)
    rule = models.CharField(_("rule"), max_length=16, choices=Rule)
    # The retention of the rule in days; the run's plan names the rule's subreddit or bot.
    days = models.IntegerField(_("days"), null=True, blank=True)

    objects = ErasureQuerySet.as_manager()

    class Meta:
        verbose_name = _("deleted or blanked item")
        verbose_name_plural = _("deleted and blanked items")
        ordering = ["-at"]
        default_permissions = ()  # the permission to view runs covers them
        constraints = [
            models.CheckConstraint(name="erasure_kind_known", condition=Q(kind__in=[1, 3])),
            models.CheckConstraint(
                name="erasure_rule_known",
                condition=Q(
                    rule__in=[
                        "retention",
                        "subreddit",
                        "bot",
                        "deleted",
                        "removed",
                        "account_deleted",
                        "tombstoned",
                    ]
                ),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.fullname} #{self.run_id}"

    @property
    def fullname(self) -> str:
        """The fullname of the item."""
        return f"t{self.kind}_{_base36(self.number)}"

    @property
    def is_purged(self) -> bool:
        """Whether the row was deleted too, with its comments."""
        return self.rule in PURGE_RULES

    @property
    def rule_in_words(self) -> str:
        """What happened and why, in the reader's language."""
        values = {"rule": message_of(self.Rule(self.rule).label), "days": self.days}
        if self.is_purged:
            return gettext("deleted with its comments: %(rule)s (%(days)s days)") % values
        return gettext("blanked: %(rule)s") % values

    def as_json(self) -> dict[str, Any]:
        """Return the line as ``--json`` shows it."""
        return {
            "fullname": self.fullname,
            "at": self.at.astimezone(UTC).isoformat(),
            "run": self.run_id,
            "rule": self.rule,
            "days": self.days,
            "is_purged": self.is_purged,
        }


PURGE_RULES = frozenset({Erasure.Rule.RETENTION, Erasure.Rule.SUBREDDIT, Erasure.Rule.BOT})
# The rules, by the outcomes of a sweep that erase content.
BLANKING_RULES = frozenset(Erasure.Rule) - PURGE_RULES


def _base36(number: int) -> str:
    digits = ""
    while number:
        number, digit = divmod(number, 36)
        digits = "0123456789abcdefghijklmnopqrstuvwxyz"[digit] + digits
    return digits or "0"


# --- Writing ------------------------------------------------------------------------------------


class PurgeRule(NamedTuple):
    """One rule of a retention: the days for one subreddit, for one bot or (neither given) for all other posts."""

    subreddit: str
    config_id: int | None
    days: int

    @property
    def code(self) -> str:
        """The ``Rule`` of the lines."""
        if self.subreddit:
            return Erasure.Rule.SUBREDDIT
        return Erasure.Rule.RETENTION if self.config_id is None else Erasure.Rule.BOT


@dataclass(frozen=True)
class PurgeTrace:
    """Logs the posts that a purge deletes; the deleting statement returns ``expressions`` of each row.

    ``rules`` are in the order of ``rule_number``: the first match decides, the last is for all other posts.
    """

    rules: Sequence[PurgeRule]
    number_of_rule: Any = None  # an expression; None: there is only one rule

    @property
    def expressions(self) -> list[Any]:
        """The expressions that the deleting statement returns of each row."""
        return [F("fullname"), *([] if self.number_of_rule is None else [self.number_of_rule])]

    def write(self, rows: Sequence[tuple[Any, ...]], *, run_id: int) -> None:
        """Write a line for each row; call it in the transaction that deletes them."""
        found: defaultdict[int, list[str]] = defaultdict(list)
        for name, *number in rows:
            found[number[0] if number else 0].append(name)
        for index, group in found.items():
            rule = self.rules[index]
            _insert(group, run_id=run_id, rule=rule.code, days=rule.days)


def note_blanked(outcomes: Iterable[tuple[str, str]], *, run_id: int | None) -> None:
    """Log items that a sweep blanked, each a fullname and an outcome; call it in the sweep's transaction."""
    found: defaultdict[str, list[str]] = defaultdict(list)
    for fullname, outcome in outcomes:
        if outcome in BLANKING_RULES:
            found[outcome].append(fullname)
    for rule, names in found.items():
        for prefix in ("t1_", "t3_"):
            _insert([name for name in names if name.startswith(prefix)], run_id=run_id, rule=rule)


def _numbers(names: Sequence[str]) -> list[int]:
    """Return the numbers of these fullnames; invalid ones are left out."""
    together = "".join(names)
    if together.isascii() and together.count("_") == len(names) and together.replace("_", "").isalnum():
        numbers = [int(name[3:], 36) for name in names]  # four times as fast as parsed()
        if max(numbers, default=0) <= BIGINT_MAX:
            return numbers
    return [item.number for name in names if (item := parsed(name)) is not None]


def _insert(names: Sequence[str], *, run_id: int | None, rule: str, days: int | None = None) -> None:
    """Insert lines for items of one kind, in one statement with all numbers as one text, which is fast."""
    numbers = _numbers(names)
    if not numbers:
        return
    connection = connections[router.db_for_write(Erasure)]
    if connection.vendor == "postgresql":
        source, argument = "unnest(%s::bigint[]) AS page (value)", "{" + ",".join(map(str, numbers)) + "}"
    else:
        source, argument = "json_each(%s) AS page", json.dumps(numbers)
    table = connection.ops.quote_name(Erasure._meta.db_table)
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {table} (kind, number, run_id, rule, days)"  # noqa: S608  # our own names
            f" SELECT %s, page.value, %s, %s, %s FROM {source} WHERE true ON CONFLICT DO NOTHING",
            [int(names[0][1]), run_id, rule, days, argument],
        )
