"""Finds posts old enough for a retention, including the retentions of single subreddits and bots."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Self, TypeVar

from django.db import models
from django.db.models import DateTimeField, F, Q, Value
from django.db.models.functions import Coalesce, Greatest, Least

from database.names import Folded, folded

Post = TypeVar("Post", bound=models.Model)


class AgedQuerySet(models.QuerySet[Post]):
    """Selects posts by age."""

    def created_before(
        self,
        cutoff: datetime,
        *,
        subreddits: Mapping[str, datetime] | None = None,
        configs: Mapping[int, datetime] | None = None,
        keeps_live_threads: bool = False,
    ) -> Self:
        """Return posts made on Reddit before the cutoff (exclusive); see ``is_old``."""
        return self.filter(
            is_old(cutoff, subreddits=subreddits, configs=configs, keeps_live_threads=keeps_live_threads)
        )

    def by_rule(
        self,
        cutoff: datetime,
        rules: Sequence[tuple[str, int | None, datetime]],
        *,
        keeps_live_threads: bool = False,
    ) -> models.QuerySet[Any, Any]:
        """Return posts that a rule may delete, with the number of their ``rule``.

        ``aged_from`` is the time compared with the cutoff: that of the post, or, if live threads are kept, that of its
        newest comment.

        Args:
            cutoff: for posts without a rule of their own; their ``rule`` is the number of rules.
            rules: each a subreddit's name or a bot's id, and its cutoff, sorted by cutoff: the first match decides.
            keeps_live_threads: see ``is_old``.
        """
        return self.filter(created_at__lt=max([cutoff, *(rule[2] for rule in rules)])).annotate(
            rule=rule_number([(name, config) for name, config, _moment in rules])
            if rules
            else Value(0, models.IntegerField()),
            aged_from=Greatest("created_at", Coalesce("newest_comment_at", "created_at"))
            if keeps_live_threads
            else F("created_at"),
        )


def is_old(
    cutoff: datetime,
    *,
    subreddits: Mapping[str, datetime] | None = None,
    configs: Mapping[int, datetime] | None = None,
    keeps_live_threads: bool = False,
) -> Q:
    """Return the condition that a post was made on Reddit before its cutoff (exclusive).

    Args:
        cutoff: for posts without a cutoff of their subreddit or bot.
        subreddits: the cutoffs of subreddits, by name in any case.
        configs: the cutoffs of posts first found by these bots, by id. If a post has two cutoffs, the earlier one
        counts: a post kept too long can still be deleted, but a deleted post does not come back.
        keeps_live_threads: only posts whose newest stored comment is from before the cutoff too.
    """
    own: list[tuple[str, int | None, datetime]] = [
        *((name, None, moment) for name, moment in (subreddits or {}).items()),
        *(("", pk, moment) for pk, moment in (configs or {}).items()),
    ]
    own.sort(key=lambda target: target[2])
    limit = _limit(cutoff, own)
    # The first term lets the database use the index on created_at.
    found = Q(created_at__lt=max([cutoff, *(moment for _name, _pk, moment in own)])) & Q(created_at__lt=limit)
    if keeps_live_threads:
        found &= Q(newest_comment_at__isnull=True) | Q(newest_comment_at__lt=limit)
    return found


def _limit(cutoff: datetime, own: Sequence[tuple[str, int | None, datetime]]) -> Any:
    """Return an expression for the cutoff of a post; ``own`` is sorted by cutoff, so that the earliest decides."""
    if not own:
        return cutoff
    number = rule_number([(name, pk) for name, pk, _moment in own])
    moments = {index: moment for index, (_name, _pk, moment) in enumerate(own)}
    return _Switch(number, moments, default=cutoff, output_field=DateTimeField())


def rule_number(targets: Sequence[tuple[str, int | None]]) -> models.Func:
    """Return an expression: the index of the first target (of one or more) that a post belongs to, or their number."""
    names: dict[str, int] = {}
    bots: dict[int, int] = {}
    for number, (name, pk) in enumerate(targets):
        if name:
            names.setdefault(folded(name), number)
        elif pk is not None:
            bots.setdefault(pk, number)
    integer = models.IntegerField()
    found = [
        _Switch(value, numbers, default=len(targets), output_field=integer)
        for value, numbers in ((Folded("subreddit"), names), (F("config_id"), bots))
        if numbers
    ]
    return Least(*found) if len(found) > 1 else found[0]


class _Switch(models.Func):
    """``CASE value WHEN … THEN … ELSE … END``: Django's Case would compute the value again for each branch."""

    def __init__(self, value: Any, results: Mapping[Any, Any], *, default: Any, output_field: Any) -> None:
        pairs = [
            part
            for wanted, result in results.items()
            for part in (Value(wanted), Value(result, output_field))
        ]
        super().__init__(value, *pairs, Value(default, output_field), output_field=output_field)

    def as_sql(self, compiler: Any, connection: Any, **_extra: Any) -> Any:  # type: ignore[override]  # the stubs name every keyword
        """Write the branches in their order."""
        value, *pairs, default = (compiler.compile(part) for part in self.get_source_expressions())
        branches = " ".join(
            f"WHEN {wanted[0]} THEN {result[0]}"
            for wanted, result in zip(pairs[::2], pairs[1::2], strict=True)
        )
        params = [param for _sql, own in (value, *pairs, default) for param in own]
        return f"CASE {value[0]} {branches} ELSE {default[0]} END", params
