"""The words for the verbs of events, in the reader's language. Code that writes a verb registers its words here."""

from collections.abc import Mapping

from django.utils.translation import gettext_noop

from database.messages import gettext

_words: dict[str, str] = {}


def register(words: Mapping[str, str]) -> None:
    """Register the words for verbs: code to English text, which the caller marks for translation.

    Raises:
        ValueError: a verb already has other words.
    """
    for verb, text in words.items():
        if _words.setdefault(verb, text) != text:
            raise ValueError(f"{verb} has words already: {_words[verb]!r}.")


def verbs() -> list[tuple[str, str]]:
    """Return all verbs with their words, in the order of the codes."""
    return [(verb, gettext(text)) for verb, text in sorted(_words.items())]


def is_known(verb: str) -> bool:
    """Whether the verb has words."""
    return verb in _words


def in_words(verb: str) -> str:
    """Return the words for a verb; for an unknown one, the code."""
    return gettext(_words[verb]) if verb in _words else verb


# Names in "before", "after" and "parameters" that are not model fields.
NAMES = (
    gettext_noop("through"),
    gettext_noop("schedule"),
    gettext_noop("enabled"),
    gettext_noop("pause"),
    gettext_noop("until"),
    gettext_noop("on"),
    gettext_noop("days"),
    gettext_noop("overrides"),
    gettext_noop("keeps live threads"),
    gettext_noop("rows"),
    gettext_noop("posts"),
    gettext_noop("message"),
    gettext_noop("plan"),
    gettext_noop("plan at"),
    gettext_noop("format"),
    gettext_noop("filters"),
    gettext_noop("complete"),
    gettext_noop("cells cut"),
    gettext_noop("fields"),
    gettext_noop("deleted with it"),
    gettext_noop("arguments"),
    gettext_noop("succeeded"),
    gettext_noop("method"),
    gettext_noop("page"),
    gettext_noop("items"),
    gettext_noop("cause"),
    gettext_noop("factor"),
    gettext_noop("sessions"),
    gettext_noop("factors"),
    gettext_noop("scope"),
    gettext_noop("dry run"),
    gettext_noop("job"),
    gettext_noop("params"),
    gettext_noop("parameters"),
    gettext_noop("created"),
    gettext_noop("rotated"),
)
