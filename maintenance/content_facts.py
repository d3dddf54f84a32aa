"""What the plan of ``purge_old_content`` and the log of its deletions say about posts: subreddits, bots, and rules."""

from functools import cached_property
from typing import Any

from django.db.models import Q

from maintenance.context import JobContext
from maintenance.models import RetentionOverride
from maintenance.purging.facts import Facts, Rule
from scraping.content.normalise import without_profile_name
from scraping.models import BotConfig, RedditComment, RedditPost, rule_number
from scraping.models.erasures import PurgeRule, PurgeTrace


def facts_of_content(ctx: JobContext, expired: Q) -> Facts:
    """Return the facts that decide which posts are deleted: subreddits, bots, and the rules of the retention."""
    bots = BotConfig.objects.in_bulk([row.config_id for row in ctx.overrides if row.config_id])
    overrides = _deciding_first(ctx)
    rules = [
        Rule(
            f"r/{without_profile_name(row.subreddit)}"
            if row.subreddit
            else str(bots.get(row.config_id or 0, "–")),
            row.days,
            ctx.cutoff_of(row),
        )
        for row in overrides
    ]
    general = ctx.retention.days if ctx.retention else 0
    posts = RedditPost.objects.not_held(ctx.now).by_rule(
        ctx.cutoff,
        [(row.subreddit, row.config_id, ctx.cutoff_of(row)) for row in overrides],
        keeps_live_threads=ctx.keeps_live_threads,
    )
    return Facts(
        groups={"subreddit": "subreddit", "bot": "config"},
        name_of=_GroupNames().name_of,
        by_rule=posts if overrides or ctx.keeps_live_threads else None,
        rules=[*rules, Rule("", general, ctx.cutoff)],
        is_old=expired,
        estimates={RedditComment._meta.label: "comments_fetched"},
    )


def _deciding_first(ctx: JobContext) -> list[RetentionOverride]:
    """Return the overrides, longest first: of two that match, the longer decides."""
    return sorted(ctx.overrides, key=lambda row: -row.days)


def trace_of_content(ctx: JobContext) -> PurgeTrace:
    """Return the trace that records which posts were deleted, and by which rule of the retention."""
    overrides = _deciding_first(ctx)
    rules = [PurgeRule(row.subreddit, row.config_id, row.days) for row in overrides]
    general = PurgeRule("", None, ctx.retention.days if ctx.retention else 0)
    number = rule_number([(row.subreddit, row.config_id) for row in overrides]) if overrides else None
    return PurgeTrace([*rules, general], number)


class _GroupNames:
    """Names the groups of a plan: bots by their names, which are read once, after the rows are counted by their keys."""

    @cached_property
    def _bots(self) -> dict[str, str]:
        return {str(pk): name for pk, name in BotConfig.objects.values_list("pk", "name")}

    def name_of(self, group: str, value: Any) -> str:
        """Return the text for a subreddit or the key of a bot."""
        if group == "subreddit":
            # A plan is stored longer than the name of a deleted account may be.
            return f"r/{without_profile_name(value)}"
        return self._bots.get(value, "")
