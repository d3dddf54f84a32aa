"""Which run took t3_…: a line for each post that a purge deleted and each item whose content a sweep blanked.

A line holds no text and nobody's name: the number of the fullname, the time, the run and the rule. It is written in
the transaction that takes the content, so that there is never one without the other. The comments of a purged post
have no lines: they went with it.
"""

import json
import re
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

_BIGINT_MAX = 2**63 - 1
_FULLNAME = re.compile(r"(t[13])_([0-9a-z]{1,13})", re.IGNORECASE)
# …/comments/POST/title/COMMENT, …/comments/POST/comment/COMMENT, redd.it/POST
_LINK = re.compile(
    r"(?:reddit\.com|^|/)(?:/?r/[^/]+|/?u(?:ser)?/[^/]+)?/comments/([0-9a-z]{1,13})(?:/[^/?#]*/([0-9a-z]{1,13}))?",
    re.IGNORECASE,
)
_SHORT_LINK = re.compile(r"redd\.it/([0-9a-z]{1,13})", re.IGNORECASE)


class ErasureQuerySet(models.QuerySet["Erasure"]):
    """Lines by age and by what they are about."""

    def made_before(self, cutoff: datetime) -> Self:
        """Return lines written before the cutoff (exclusive)."""
        return self.filter(at__lt=cutoff)

    def of(self, names: Iterable[str]) -> Self:
        """Return the lines about these fullnames."""
        items = [item for name in names if (item := parsed(name)) is not None]
        if not items:
            return self.none()
        conditions = (Q(kind=item.kind, number=item.number) for item in items)
        return self.filter(reduce(or_, conditions))


class Erasure(models.Model):
    """One stored item lost its content, or its row.

    The key is the only index: a purge writes a line for each post, and each index would cost it 5 per cent (ADR 28).
    """

    class Kind(models.IntegerChoices):
        """The number in Reddit's prefix: t1_, t3_."""

        COMMENT = 1, _("comment")
        POST = 3, _("post")

    class Rule(models.TextChoices):
        """Why. The first three are a purge's, which deletes the row; the others blank it."""

        RETENTION = "retention", _("older than the retention")
        SUBREDDIT = "subreddit", _("older than the retention of its subreddit")
        BOT = "bot", _("older than the retention of its bot")
        DELETED = "deleted", _("deleted by its author")
        REMOVED = "removed", _("removed by a moderator or by Reddit")
        ACCOUNT_DELETED = "account_deleted", _("its author's account was deleted")
        TOMBSTONED = "tombstoned", _("missing on Reddit")

    # Which run took it: by number and kind. What came back and went again has two lines.
    pk = models.CompositePrimaryKey("number", "kind", "at")
    kind = models.SmallIntegerField(_("kind"), choices=Kind)
    # What follows the prefix, read to base 36.
    number = models.BigIntegerField(_("number"))
    at = models.DateTimeField(_("time"), db_default=Now())
    # No relation: this layer knows no runs. Empty: a shell did it, without a run.
    run_id = models.BigIntegerField(_("run"), null=True, blank=True)
    rule = models.CharField(_("rule"), max_length=16, choices=Rule)
    # How many days the rule keeps posts; the run's plan says which subreddit or bot the rule is for.
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
        """Reddit's name of the item."""
        return f"t{self.kind}_{_base36(self.number)}"

    @property
    def is_purged(self) -> bool:
        """Whether the row is gone too, with its comments."""
        return self.rule in PURGE_RULES

    @property
    def rule_in_words(self) -> str:
        """What happened and why."""
        values = {"rule": message_of(self.Rule(self.rule).label), "days": self.days}
        if self.is_purged:
            return gettext("deleted with its comments: %(rule)s (%(days)s days)") % values
        return gettext("blanked: %(rule)s") % values

    def as_json(self) -> dict[str, Any]:
        """Return it as ``--json`` shows it."""
        return {
            "fullname": self.fullname,
            "at": self.at.astimezone(UTC).isoformat(),
            "run": self.run_id,
            "rule": self.rule,
            "days": self.days,
            "is_purged": self.is_purged,
        }


PURGE_RULES = frozenset({Erasure.Rule.RETENTION, Erasure.Rule.SUBREDDIT, Erasure.Rule.BOT})
# What a sweep's verdicts are called that take content away.
BLANKING_RULES = frozenset(Erasure.Rule) - PURGE_RULES


# --- Names --------------------------------------------------------------------------------------


class Parsed(NamedTuple):
    """A fullname as numbers."""

    kind: int
    number: int


def parsed(fullname: str) -> Parsed | None:
    """Return a post's or comment's fullname as numbers; None for anything else."""
    match = _FULLNAME.fullmatch(fullname)
    if match is None:
        return None
    number = int(match[2], 36)
    return Parsed(int(match[1][1]), number) if number <= _BIGINT_MAX else None


def names_in(text: str) -> list[str]:
    """Return the fullnames that a fullname, a permalink or a short link names: a comment's link names its post too."""
    text = text.strip()
    if parsed(text):
        return [text.lower()]
    if link := _LINK.search(text):
        post, comment = link[1].lower(), link[2]
        return [f"t3_{post}", *([f"t1_{comment.lower()}"] if comment else [])]
    if short := _SHORT_LINK.search(text):
        return [f"t3_{short[1].lower()}"]
    return []


def _base36(number: int) -> str:
    digits = ""
    while number:
        number, digit = divmod(number, 36)
        digits = "0123456789abcdefghijklmnopqrstuvwxyz"[digit] + digits
    return digits or "0"


# --- Writing ------------------------------------------------------------------------------------


class PurgeRule(NamedTuple):
    """One line of a retention: days of one subreddit, of one bot, or (neither) of everything else."""

    subreddit: str
    config_id: int | None
    days: int

    @property
    def code(self) -> str:
        """What a line of ours calls it."""
        if self.subreddit:
            return Erasure.Rule.SUBREDDIT
        return Erasure.Rule.RETENTION if self.config_id is None else Erasure.Rule.BOT


@dataclass(frozen=True)
class PurgeTrace:
    """Writes down which posts a purge deletes: the deleting statement returns these expressions of each row.

    ``rules``: in the order of ``rule_number``: the first match decides, the last is for everything else.
    """

    rules: Sequence[PurgeRule]
    number_of_rule: Any = None  # an expression; None: there is but one rule

    @property
    def expressions(self) -> list[Any]:
        """What to return of each row."""
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
    """Write down fullnames that lost their content, each with the outcome of a sweep; in its transaction."""
    found: defaultdict[str, list[str]] = defaultdict(list)
    for fullname, outcome in outcomes:
        if outcome in BLANKING_RULES:
            found[outcome].append(fullname)
    for rule, names in found.items():
        for prefix in ("t1_", "t3_"):
            _insert([name for name in names if name.startswith(prefix)], run_id=run_id, rule=rule)


def _numbers(names: Sequence[str]) -> list[int]:
    """Return the numbers of these fullnames, without what is none."""
    together = "".join(names)
    if together.isascii() and together.count("_") == len(names) and together.replace("_", "").isalnum():
        numbers = [int(name[3:], 36) for name in names]  # four times as fast as one after another
        if max(numbers, default=0) <= _BIGINT_MAX:
            return numbers
    return [item.number for name in names if (item := parsed(name)) is not None]


def _insert(names: Sequence[str], *, run_id: int | None, rule: str, days: int | None = None) -> None:
    """Insert lines about items of one kind. One statement with all numbers as one text: a batch must stay short."""
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
