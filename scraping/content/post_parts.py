"""Reads the other parts of a post: a gallery, a poll, the parent of a crosspost.

Reddit writes a gallery in two places and does not give a poll's counts until the poll is closed. A crosspost has no
text and no gallery of its own. It shows those of its parent, and each answer about the crosspost contains the parent's
current ones. So when the parent's content is deleted, the next check of the crosspost removes it here too.

An invalid part is left out, and ``PartIsOdd`` names it.
"""

from datetime import UTC, datetime
from typing import Any, Final

# Reddit's own limits are 20 pictures and 6 options.
PICTURES_MAX: Final = 100
OPTIONS_MAX: Final = 100
_COUNT_MAX: Final = 2**31 - 1


class PartIsOdd(ValueError):
    """The part cannot be read; the text is the reason under which it is counted."""


def gallery_of(data: dict[str, Any]) -> list[dict[str, str]] | None:
    """Return the pictures of a raw post in order (id, address, caption, link), or None if it is no gallery.

    Raises:
        PartIsOdd: it is none that anybody could read.
    """
    described = data.get("gallery_data")
    if not described:
        return None  # null where it was removed
    items = described.get("items") if isinstance(described, dict) else None
    if not isinstance(items, list):
        raise PartIsOdd("gallery_data is no gallery")
    metadata = data.get("media_metadata")
    pictures = []
    for item in items[:PICTURES_MAX]:
        if isinstance(item, dict) and item.get("is_deleted") is not True:
            name = _text(item.get("media_id"))
            known = metadata.get(name) if isinstance(metadata, dict) else None
            pictures.append(
                {
                    "id": name,
                    "url": _address(known),
                    "caption": _text(item.get("caption")),
                    "link": _http(item.get("outbound_url")),
                }
            )
    return pictures or None


def poll_of(data: dict[str, Any]) -> dict[str, Any] | None:
    """Return the poll of a raw post as ``{"options": [{"text", "votes"}], "votes": …, "ends_at": …}``, or None.

    The votes of an option are null until Reddit gives them; the total is always there.

    Raises:
        PartIsOdd: it is none that anybody could read.
    """
    poll = data.get("poll_data")
    if not poll:
        return None  # false in old answers
    options = poll.get("options") if isinstance(poll, dict) else None
    if not isinstance(options, list) or not all(isinstance(option, dict) for option in options):
        raise PartIsOdd("poll_data is no poll")
    return {
        "options": [
            {"text": _text(option.get("text")), "votes": _count(option.get("vote_count"))}
            for option in options[:OPTIONS_MAX]
        ],
        "votes": _count(poll.get("total_vote_count")),
        "ends_at": _moment(poll.get("voting_end_timestamp")),
    }


def parent_of(data: dict[str, Any]) -> tuple[str, dict[str, Any] | None]:
    """Return the fullname of a raw crosspost's parent, and the parent if Reddit shows it; otherwise "", None.

    Raises:
        PartIsOdd: the parent's name is no fullname.
    """
    name = data.get("crosspost_parent")
    if not name:
        return "", None
    if not isinstance(name, str) or not name.startswith("t3_") or len(name) > 16:
        raise PartIsOdd("crosspost_parent is no fullname")
    listed = data.get("crosspost_parent_list")
    for parent in listed if isinstance(listed, list) else ():
        if isinstance(parent, dict) and parent.get("name") == name:
            return name, parent
    return name, None


def _address(picture: Any) -> str:
    """Return the address of the full picture, not of a preview."""
    source = picture.get("s") if isinstance(picture, dict) else None
    if not isinstance(source, dict):
        return ""
    return next((found for key in ("u", "gif", "mp4") if (found := _http(source.get(key)))), "")


def _http(value: Any) -> str:
    return value if isinstance(value, str) and value.startswith(("https://", "http://")) else ""


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _count(value: Any) -> int | None:
    is_count = isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _COUNT_MAX
    return value if is_count else None


def _moment(milliseconds: Any) -> str | None:
    if isinstance(milliseconds, bool) or not isinstance(milliseconds, int | float):
        return None
    try:
        return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat()
    except (ValueError, OverflowError, OSError):
        return None
