"""Reads the environment and ``.env`` strictly: an unusable value ends the start with one line.

The line names the variable, the fault, and the remedy. It never contains the value of a secret. An empty value means
the default, because compose files and ``.env`` files cannot leave a variable out.
"""

import os
import re
import sys
from collections.abc import Callable, Collection, Mapping
from email.utils import parseaddr
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import urlsplit

import environ
from django.core.exceptions import ImproperlyConfigured, ValidationError
from django.core.validators import validate_email

# The exit code of commands for wrong usage. The web server has another one (``console.wsgi``).
EXIT_CODE = 2
SECRET_MIN = 32
_ON, _OFF = ("on", "true", "yes", "1"), ("off", "false", "no", "0")
_WHOLE = re.compile(r"[+-]?[0-9]{1,18}\Z")
_NUMBER = re.compile(r"[+-]?[0-9]{1,18}(\.[0-9]{1,18})?\Z")
_HOST = re.compile(r"(\*|\.?[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*|\[[0-9A-Fa-f:.]+\])\Z")


def refuse(name: str, fault: str, remedy: str) -> NoReturn:
    """End the process with one line: the settings are read before anything else runs, so a traceback would not help."""
    sys.stderr.write(f"{name}: {fault} {remedy}\n")
    raise SystemExit(EXIT_CODE)


class Environment:
    """The variables of the environment, each read by a method that names the allowed values."""

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = dict(values)

    def read_file(self, path: Path) -> None:
        """Add the variables of a ``.env`` file that the environment does not set."""
        try:
            lines = path.read_text()
        except FileNotFoundError:
            return
        except (OSError, UnicodeDecodeError) as error:
            refuse(str(path), f"it cannot be read ({error}).", "Make it a readable text file.")
        for number, line in enumerate(lines.splitlines(), 1):
            name, separator, value = line.strip().removeprefix("export ").partition("=")
            if not line.strip() or line.strip().startswith("#"):
                continue
            if not separator or not re.match(r"[A-Za-z_][A-Za-z0-9_]*\Z", name.strip()):
                refuse(
                    f"{path}, line {number}", "it is no setting.", "Write NAME=value, or # before a comment."
                )
            # Other code reads the environment too: PRAW, and the processes that `up` starts.
            os.environ.setdefault(name.strip(), _unquoted(value.strip()))
        self._values = {**os.environ, **self._values}

    def text(self, name: str, *, default: str = "", one_of: Collection[str] = (), remedy: str = "") -> str:
        """Return a text; ``one_of``: the allowed values, compared without case and returned as written there."""
        value = self._values.get(name, "").strip()
        if "\0" in value or "\n" in value:
            refuse(name, "it holds a line break.", "Write it in one line.")
        if not value or not one_of:
            return value or default
        found = {known.lower(): known for known in one_of}.get(value.lower())
        if found is None:
            refuse(name, f"{value!r} is not known.", remedy or f"Write {' or '.join(sorted(one_of))}.")
        return found

    def switch(self, name: str, *, default: bool) -> bool:
        """Return whether the switch is on."""
        value = self.text(name).lower()
        if value and value not in (*_ON, *_OFF):
            refuse(name, f"{value!r} is neither on nor off.", "Write on or off, and no comment behind it.")
        return value in _ON if value else default

    def whole(self, name: str, *, default: int, low: int, high: int) -> int:
        """Return an integer within a range."""
        value = self.text(name)
        if not value:
            return default
        if not _WHOLE.match(value) or not low <= int(value) <= high:
            refuse(
                name, f"{value!r} is no whole number from {low} to {high}.", f"Write one, such as {default}."
            )
        return int(value)

    def number(self, name: str, *, default: float, low: float, high: float, or_zero: bool = False) -> float:
        """Return a number within a range, or 0 if ``or_zero`` allows it."""
        value = self.text(name)
        if not value:
            return default
        number = float(value) if _NUMBER.match(value) else None
        if number is None or not (low <= number <= high or (or_zero and number == 0)):
            span = f"{'0, or ' if or_zero else ''}from {low:g} to {high:g}"
            refuse(name, f"{value!r} is no number {span}.", f"Write one without a unit, such as {default:g}.")
        return number

    def words(self, name: str, *, default: Collection[str] = ()) -> list[str]:
        """Return the values of a comma-separated list, without the spaces around them."""
        value = self.text(name)
        return [word.strip() for word in value.split(",") if word.strip()] if value else list(default)

    def pairs(self, name: str) -> list[tuple[str, str]]:
        """Return the pairs of a list such as ``admins=Operators,staff=Viewers``."""
        found = []
        for word in self.words(name):
            left, separator, right = (part.strip() for part in word.rpartition("="))
            if not (left and separator and right):
                refuse(name, f"{word!r} is no pair.", "Write pairs, such as admins=Operators,staff=Viewers.")
            found.append((left, right))
        return found

    def hosts(self, name: str, *, default: Collection[str]) -> list[str]:
        """Return host names."""
        return self._each(
            name, default, lambda host: bool(_HOST.match(host)), "is no host name", "console.example.org"
        )

    def origins(self, name: str) -> list[str]:
        """Return web origins (scheme and host)."""
        return self._each(name, (), _is_origin, "is no origin", "https://console.example.org")

    def addresses(self, name: str) -> list[str]:
        """Return e-mail addresses."""
        return self._each(name, (), _is_mail_address, "is no mail address", "ops@example.org")

    def sender(self, name: str, *, default: str) -> str:
        """Return an e-mail address, optionally with a name before it."""
        value = self.text(name, default=default)
        if not _is_mail_address(parseaddr(value)[1]):
            refuse(name, f"{value!r} is no mail address.", "Write one, such as console@example.org.")
        return value

    def _each(
        self, name: str, default: Collection[str], fits: Callable[[str], bool], fault: str, example: str
    ) -> list[str]:
        found = self.words(name, default=default)
        for word in found:
            if not fits(word):
                refuse(name, f"{word!r} {fault}.", f"Write them with commas between, such as {example}.")
        return found

    def secret(self, name: str) -> str:
        """Return a secret, or an empty text."""
        return self._long_enough(name, self.text(name))

    def secrets(self, name: str) -> list[str]:
        """Return secrets, newest first; the older ones only decrypt, so their length is not checked."""
        found = self.words(name)
        if found:
            self._long_enough(name, found[0])
        return found

    def _long_enough(self, name: str, value: str) -> str:
        if value and len(value) < SECRET_MIN:
            remedy = "Write that of `openssl rand -hex 32`."
            refuse(name, f"it is shorter than {SECRET_MIN} characters.", remedy)
        return value

    def web_address(self, name: str, *, default: str) -> str:
        """Return an http or https address."""
        value = self.text(name, default=default)
        if not _is_address(value, ("http", "https")):
            refuse(name, f"{value!r} is no web address.", f"Write one, such as {default}.")
        return value

    def broker(self, name: str) -> str:
        """Return the address of a Redis server, or an empty text."""
        value = self.text(name)
        schemes = ("redis", "rediss", "redis+socket")
        if value and not _is_address(value, schemes):
            refuse(
                name, "it is no address of a Redis server.", "Write one, such as redis://127.0.0.1:6379/0."
            )
        return value

    def database(self, name: str, *, default: str) -> dict[str, Any]:
        """Return Django's settings of a PostgreSQL or SQLite database."""
        value = self.text(name, default=default)
        remedy = "Write postgres://user:password@host:5432/name or sqlite:////path/of/the/file."
        try:
            parts = urlsplit(value)
            parts.port  # noqa: B018  # raises for an invalid port
            if parts.scheme not in environ.Env.DB_SCHEMES:
                raise ValueError(parts.scheme)
            found: dict[str, Any] = environ.Env.db_url_config(value)
        except (ValueError, ImproperlyConfigured, TypeError):
            refuse(name, "it is no address of a database.", remedy)
        if found.get("ENGINE") not in ("django.db.backends.postgresql", "django.db.backends.sqlite3"):
            refuse(name, "it is no address of PostgreSQL or SQLite.", remedy)
        if not found.get("NAME"):
            refuse(name, "it names no database.", remedy)
        return found

    def mail(self, name: str, *, default: str) -> dict[str, Any]:
        """Return Django's settings of a mail server."""
        remedy = "Write smtp+tls://user:password@host:587."
        value = self.text(name, default=default)
        try:
            urlsplit(value).port  # noqa: B018  # as above
            found: dict[str, Any] = environ.Env.email_url_config(value)
        except (ValueError, ImproperlyConfigured, KeyError, TypeError):
            refuse(name, "it is no address of a mail server.", remedy)
        if not found.get("EMAIL_BACKEND") or (value.startswith("smtp") and not found.get("EMAIL_HOST")):
            refuse(name, "it is no address of a mail server.", remedy)
        return found

    def folder(self, name: str, *, default: Path) -> Path:
        """Return a directory, and create it if it is missing."""
        path = Path(self.text(name, default=str(default))).resolve()
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            refuse(
                name,
                f"{str(path)!r} cannot be made ({error.strerror}).",
                "Name a directory that can be written to.",
            )
        return path


def _unquoted(value: str) -> str:
    quoted = re.match(r"""(["'])(.*)\1\Z""", value)
    return quoted[2] if quoted else value


def _is_address(value: str, schemes: Collection[str]) -> bool:
    try:
        parts = urlsplit(value)
        parts.port  # noqa: B018  # raises for a bad one
    except ValueError:
        return False
    where = parts.path if parts.scheme.endswith("+socket") else parts.hostname
    return parts.scheme in schemes and bool(where) and not re.search(r"\s", value)


def _is_origin(value: str) -> bool:
    return _is_address(value.replace("*.", ""), ("http", "https")) and urlsplit(value).path == ""


def _is_mail_address(value: str) -> bool:
    try:
        validate_email(value)
    except ValidationError:
        return False
    return True
