"""A part of a bot's subreddits, which one scrape reads instead of all of them."""

from collections.abc import Iterable
from typing import Any

from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

from database.names import folded
from scraping.models import validate_subreddits
from scraping.subreddit_names import plain_subreddit


def part_of(subreddits: Iterable[str], wanted: Iterable[str]) -> list[str]:
    """Return those of the bot's subreddits that are wanted, as the bot spells them."""
    names = {folded(name) for name in wanted}
    return [name for name in subreddits if folded(name) in names]


def clean_subreddits(value: Any) -> list[str]:
    """Return the names in a list, or in a text that separates them by commas; each once, in alphabetical order.

    Raises:
        ValidationError: it names no subreddit, or what cannot be one.
    """
    words = value.split(",") if isinstance(value, str) else value
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise ValidationError(_("Name subreddits, separated by commas."))
    names = {folded(name): name for word in words if (name := plain_subreddit(word))}
    validate_subreddits(list(names.values()))
    return [names[key] for key in sorted(names)]
