"""What became of an attempt to tell somebody, without the secrets of the address that it went to."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self
from urllib.parse import unquote

from database.opened_secrets import LENGTH_MIN

# As much of a server's answer is kept.
ANSWER_LENGTH = 500


@dataclass(frozen=True)
class Answer:
    """What the receiver's server said, or why it could not be reached."""

    text: str
    is_delivered: bool = False

    @classmethod
    def of_error(cls, error: Exception, secrets: Iterable[str] = ()) -> Self:
        """Return the answer that an error stands for."""
        return cls(hidden(f"{type(error).__name__}: {error}", secrets)[:ANSWER_LENGTH])

    @classmethod
    def of_status(cls, status: int, text: str, secrets: Iterable[str] = ()) -> Self:
        """Return what a server said; only 200 to 299 counts as delivered."""
        told = f"HTTP {status} {hidden(text, secrets)}".strip()[:ANSWER_LENGTH]
        return cls(told, is_delivered=200 <= status < 300)


def secrets_in(url: str, *, host: bool = False) -> list[str]:
    """Return the parts of an address that may be secrets, the longest first; ``host``: that may be one too."""
    rest = url.partition("://")[2]
    if not host:
        # Not parsed: it may be no web address at all.
        rest = "".join(re.split(r"[/?#]", rest, maxsplit=1)[1:])
    found = {part for text in (rest, unquote(rest)) for part in re.split(r"[/?&=@#,]+", text)}
    found |= {one for part in found for one in part.split(":")}
    return sorted((part for part in found if len(part) >= LENGTH_MIN), key=len, reverse=True)


def hidden(text: str, secrets: Iterable[str]) -> str:
    """Return a text without the secrets, which a server may repeat; one without any is returned as it is."""
    left = text
    for one in secrets:
        left = left.replace(one, "…")
    # A message keeps its parts.
    return text if left == text else left
