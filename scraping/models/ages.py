"""Finds posts old enough for a retention, including the retentions of single subreddits and bots."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Self, TypeVar

from django.db import models
from django.db.models import Case, DateTimeField, F, Q, Value, When
from django.db.models.functions import Coalesce, Greatest

from database.names import folded

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
        """Return posts made on Reddit before the cutoff (exclusive).

        Args:
            cutoff: for posts without a cutoff of their subreddit or bot.
            subreddits: the cutoffs of subreddits, by name in any case.
            configs: the cutoffs of posts first found by these bots, by id. If a post has two cutoffs, the earlier
            one counts: a post kept too long can still be deleted, but a deleted post does not come back.
            keeps_live_threads: return only posts whose newest stored comment is from before the cutoff too.
        """
        names: defaultdict[datetime, list[str]] = defaultdict(list)
        for name, moment in (subreddits or {}).items():
            names[moment].append(folded(name))
        ids: defaultdict[datetime, list[int]] = defaultdict(list)
        for pk, moment in (configs or {}).items():
            ids[moment].append(pk)
        own = sorted({*names, *ids})
        if not own:
            found = self.filter(created_at__lt=cutoff)
            return found._without_comments_since(cutoff) if keeps_live_threads else found
        # The first matching branch decides, so the earliest cutoff comes first.
        branches = [
            When(
                Q(subreddit__folded__in=names[moment]) | Q(config_id__in=ids[moment]),
                then=Value(moment, DateTimeField()),
            )
            for moment in own
        ]
        limit = Case(*branches, default=Value(cutoff, DateTimeField()))
        # The second term implies the first; the first lets the database use the index on created_at.
        found = self.filter(created_at__lt=max(cutoff, *own)).filter(created_at__lt=limit)
        return found._without_comments_since(limit) if keeps_live_threads else found

    def _without_comments_since(self, limit: datetime | Case) -> Self:
        return self.filter(Q(newest_comment_at__isnull=True) | Q(newest_comment_at__lt=limit))

    def by_rule(
        self,
        cutoff: datetime,
        rules: Sequence[tuple[str, int | None, datetime]],
        *,
        keeps_live_threads: bool = False,
    ) -> models.QuerySet[Any, Any]:
        """Return posts that a rule may delete, with the number of their ``rule`` and their ``own_cutoff``.

        ``aged_from`` is the time compared with the cutoff: that of the post, or, if live threads are kept, that of its
        newest comment.

        Args:
            cutoff: for posts without a rule of their own; their ``rule`` is the number of rules.
            rules: each a subreddit's name or a bot's id, and its cutoff, sorted by cutoff: the first match decides.
            keeps_live_threads: see ``created_before``.
        """
        moments = [
            When(_of_target(name, config), then=Value(moment, DateTimeField()))
            for name, config, moment in rules
        ]
        return self.filter(created_at__lt=max([cutoff, *(rule[2] for rule in rules)])).annotate(
            rule=rule_number([(name, config) for name, config, _moment in rules]),
            own_cutoff=Case(*moments, default=Value(cutoff, DateTimeField())),
            aged_from=Greatest("created_at", Coalesce("newest_comment_at", "created_at"))
            if keeps_live_threads
            else F("created_at"),
        )


def rule_number(targets: Sequence[tuple[str, int | None]]) -> Case:
    """Return an expression: the index of the first target that a post belongs to, or the number of targets."""
    branches = [When(_of_target(*target), then=Value(number)) for number, target in enumerate(targets)]
    return Case(*branches, default=Value(len(targets)), output_field=models.IntegerField())


def _of_target(subreddit: str, config_id: int | None) -> Q:
    return Q(subreddit__folded=folded(subreddit)) if subreddit else Q(config_id=config_id)
