"""Validators of a bot's settings: names of subreddits, patterns and lists of texts."""

import re
from typing import Any

from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

from database.names import folded
from scraping.patterns import compiled

# r/name: 2 to 21 letters, digits and underscores; a user's own subreddit is u_name.
SUBREDDIT_NAME = re.compile(r"^(?:u_[A-Za-z0-9_-]{1,30}|[A-Za-z0-9][A-Za-z0-9_]{1,20})\Z")

# Aggregate listings of many subreddits that Reddit offers under a subreddit's name.
AGGREGATES = frozenset({"all", "popular"})
# Reserved by Reddit: each leads to other subreddits, of the signed-in user or at random.
RESERVED_NAMES = frozenset({"friends", "mod", "random", "randnsfw", "myrandom"})


def validate_subreddits(value: Any) -> None:
    """Accept only a non-empty list of subreddit names without the leading r/."""
    if not isinstance(value, list) or not value:
        raise ValidationError(_("Name at least one subreddit."), code="required")
    for name in value:
        if isinstance(name, str) and folded(name) in RESERVED_NAMES:
            raise ValidationError(
                _("r/%(name)s is no subreddit, but leads to others: name those."),
                code="reserved",
                params={"name": name},
            )
        if isinstance(name, str) and (
            "+" in name or (folded(name).split("-")[0] in AGGREGATES and "-" in name)
        ):
            raise ValidationError(
                _(
                    "%(name)s is a list of several subreddits, which are not read together: name each by itself."
                ),
                code="several",
                params={"name": repr(name)},
            )
        if not isinstance(name, str) or not SUBREDDIT_NAME.match(name):
            raise ValidationError(
                _("%(name)s is not a subreddit name: write it without r/, such as python."),
                code="invalid",
                params={"name": repr(name)},
            )
    if len({folded(name) for name in value}) != len(value):
        raise ValidationError(_("A subreddit is named twice."), code="duplicate")


def validate_pattern(value: str) -> None:
    """Accept only a regular expression of RE2 (https://github.com/google/re2/wiki/Syntax)."""
    try:
        compiled(value)
    except ValueError as error:
        raise ValidationError(
            _(
                "This is no regular expression: %(error)s. (Look-around and back-references are not supported.)"
            ),
            code="invalid",
            params={"error": error},
        ) from None


def validate_texts(value: Any) -> None:
    """Accept only a list of non-empty texts."""
    if not isinstance(value, list) or not all(isinstance(text, str) and text.strip() for text in value):
        raise ValidationError(_("Write one per line."), code="invalid")
