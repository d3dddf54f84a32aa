"""Reads the fullnames of posts and comments in the texts that people copy: fullnames, links, and sentences with them."""

import re
import unicodedata
from typing import Final, NamedTuple
from urllib.parse import unquote

BIGINT_MAX: Final = 2**63 - 1
# ASCII: without it, ignoring the case would take "ſ" for an s, which is no digit of base 36.
_FLAGS: Final = re.IGNORECASE | re.ASCII
_ID: Final = r"[0-9a-z]{1,13}(?![\w-])"
_FULLNAME: Final = re.compile(r"(t[13])_([0-9a-z]{1,13})", _FLAGS)
_FULLNAME_IN_TEXT: Final = re.compile(rf"(?<![\w-])(t[13])_{_ID}", _FLAGS)
# …/comments/POST/title/COMMENT, …/comments/POST/comment/COMMENT
_LINK: Final = re.compile(
    r"(?:reddit\.com|(?<!\w)|/)(?:/?r/(?P<subreddit>[^/\s]+)|/?u(?:ser)?/(?P<user>[^/\s]+))?"
    rf"/(?:comments|duplicates|gallery|poll)/(?P<post>{_ID})(?:/[^/?#\s]*/(?P<comment>{_ID}))?",
    _FLAGS,
)
# redd.it/POST; but i.redd.it and v.redd.it name pictures and videos.
_SHORT_LINK: Final = re.compile(rf"(?<![\w.-])(?:www\.)?redd\.it/({_ID})", _FLAGS)
_NAMELESS: Final = re.compile(
    r"reddit\.com/(?:(?:r|u|user)/[^/\s]+/)?s/\w|\b(?:i|v|preview|external-preview)\.redd\.it/\w"
    r"|\breddit\.app\.link/\w|\breddit\.com/media\b",
    _FLAGS,
)


class Parsed(NamedTuple):
    """The numbers of a fullname."""

    kind: int
    number: int


def parsed(fullname: str) -> Parsed | None:
    """Return the numbers of a post's or comment's fullname, or None for anything else."""
    match = _FULLNAME.fullmatch(fullname)
    if match is None:
        return None
    number = int(match[2], 36)
    return Parsed(int(match[1][1]), number) if number <= BIGINT_MAX else None


def names_in(text: str) -> list[str]:
    """Return the fullnames that a text names: by a permalink, a short link, or as they are.

    The link of a comment contains its post too. Links may be percent-encoded, on any host of Reddit, and stand between
    other characters.
    """
    text = _plain(text)
    if link := _LINK.search(text):
        post, comment = link["post"].lower(), link["comment"]
        return [f"t3_{post}", *([f"t1_{comment.lower()}"] if comment else [])]
    if short := _SHORT_LINK.search(text):
        return [f"t3_{short[1].lower()}"]
    found = (match[0].lower() for match in _FULLNAME_IN_TEXT.finditer(text))
    return list(dict.fromkeys(name for name in found if parsed(name)))


def _plain(text: str) -> str:
    """Return the text without percent-encoding, and with full-width characters as ASCII."""
    return unicodedata.normalize("NFKC", unquote(text))


def subreddit_in(text: str) -> str:
    """Return the subreddit in the permalink of a post or comment, as it is spelt there; empty: none is named."""
    link = _LINK.search(_plain(text))
    if link is None:
        return ""
    return link["subreddit"] or (f"u_{link['user']}" if link["user"] else "")


def is_nameless_link(text: str) -> bool:
    """Return whether a text is a link that leads to a post without naming it: a share link, or that of a picture."""
    return not names_in(text) and _NAMELESS.search(_plain(text)) is not None
