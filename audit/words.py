"""What the verbs of events are called, in the reader's language. Whoever writes a verb registers its words."""

from collections.abc import Mapping

from django.utils.translation import gettext_noop

from database.messages import gettext

_words: dict[str, str] = {}


def register(words: Mapping[str, str]) -> None:
    """Make the words for verbs known: code to English text, which is marked for translation where it stands.

    Raises:
        ValueError: a verb has other words already.
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
    """Return the words for a verb; of one that no running code knows, the code."""
    return gettext(_words[verb]) if verb in _words else verb


# What is named in "before", "after" and "parameters" and is no field of a model.
NAMES = (
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
    gettext_noop("scope"),
    gettext_noop("dry run"),
    gettext_noop("job"),
    gettext_noop("params"),
    gettext_noop("parameters"),
    gettext_noop("created"),
    gettext_noop("rotated"),
)
