"""Why a schedule, a bot, a post or a comment is as it is, on its page: ``{% load why %}`` and ``{% why_bot bot %}``."""

from typing import Any

from django import template
from django_celery_beat.models import PeriodicTask

from maintenance.explanations import Cause, explain_bot, explain_item, explain_schedule
from scraping.models import BotConfig, RedditComment, RedditPost

register = template.Library()

# What a page does not say: that all is well.
WELL = frozenset({"fires", "works", "stored", "running"})
# What the page, or the banner above it, says already.
SAID = frozenset({"maintenance_mode", "group_paused", "planned_window", "stopped_by_reddit", "broken"})


def _told(causes: list[Cause]) -> dict[str, Any]:
    return {"causes": [cause for cause in causes if cause.code not in WELL | SAID]}


@register.inclusion_tag("maintenance/_why.html", takes_context=True)
def why_schedule(context: dict[str, Any], task: PeriodicTask) -> dict[str, Any]:
    """Say why a schedule does not fire, or its latest run did not succeed."""
    return _told(explain_schedule(task, seen_by=context["request"].user))


@register.inclusion_tag("maintenance/_why.html", takes_context=True)
def why_bot(context: dict[str, Any], bot: BotConfig) -> dict[str, Any]:
    """Say why a bot brings no posts."""
    return _told(explain_bot(bot, seen_by=context["request"].user))


@register.inclusion_tag("maintenance/_why.html", takes_context=True)
def why_item(context: dict[str, Any], item: RedditPost | RedditComment) -> dict[str, Any]:
    """Say why a post or comment is not stored as it was written, or is kept."""
    return _told(explain_item(item.fullname, seen_by=context["request"].user))
