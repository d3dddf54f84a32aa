"""Time zones: those that people may choose, and stored ones that this host does not know."""

import time
import zoneinfo
from functools import lru_cache
from typing import Any

from django.core.exceptions import ValidationError
from timezone_field import TimeZoneField

# Their meaning differs from host to host.
NOT_OFFERED = {"localtime", "Factory"}
# The list of the host's zone files is cached for this many seconds: reading it takes 30 ms.
LOOK_SECONDS = 60


@lru_cache(maxsize=1)
def _offered(_moment: int) -> frozenset[str]:
    return frozenset(zoneinfo.available_timezones() - NOT_OFFERED)


def _offered_lately() -> frozenset[str]:
    return _offered(int(time.monotonic() // LOOK_SECONDS))


def offered() -> list[str]:
    """Return the names of the time zones that a person may choose, sorted."""
    return sorted(_offered_lately())


def is_offered(name: str) -> bool:
    """Whether a person may choose this time zone."""
    return name in _offered_lately()


def find(name: str) -> zoneinfo.ZoneInfo | None:
    """Return the time zone of this name; None if the tz database of this host has none."""
    try:
        return zoneinfo.ZoneInfo(name)
    # Not found; not the name of a zone, such as "../x"; a folder; or a name too long for the file system.
    except (KeyError, ValueError, OSError):
        return None


class UnknownZone:
    """A stored time zone that this host does not know. It keeps its name when its row is saved."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __str__(self) -> str:
        return self.name or "–"

    def __repr__(self) -> str:
        return f"<unknown zone {self.name!r}>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, UnknownZone) and other.name == self.name

    def __hash__(self) -> int:
        return hash(self.name)


class StoredTimeZoneField(TimeZoneField):  # type: ignore[misc]  # the package carries no types
    """A time zone field that loads every row; the stock one raises for a zone that the host does not know."""

    @classmethod
    def adopt(cls, field: TimeZoneField) -> None:
        """Turn a field of another package's model into this class; its migrations see no difference."""
        field.__class__ = cls

    def deconstruct(self) -> Any:
        """Describe the original field."""
        name, _, args, kwargs = super().deconstruct()
        return name, f"{TimeZoneField.__module__}.{TimeZoneField.__qualname__}", args, kwargs

    def from_db_value(self, value: Any, *_args: Any) -> Any:
        """Return the zone, known or not."""
        try:
            return super().from_db_value(value) or UnknownZone("")
        except (ValidationError, ValueError, OSError):
            return UnknownZone(str(value))

    def _get_python_and_db_repr(self, value: Any) -> Any:
        if isinstance(value, UnknownZone):
            return value, value.name
        return super()._get_python_and_db_repr(value)
