"""Commands of a shell that change something: they write an event, and the events of what they call name the shell's user."""

import getpass
from contextlib import suppress
from typing import Any

from django.core.management.base import BaseCommand
from django.db import DatabaseError
from django.utils.translation import gettext_noop

from audit import words
from audit.activity import COMMAND
from audit.events import Subject, acting_in_shell, record
from audit.snapshots import SECRET_WORDS

RAN = "command.ran"
words.register({RAN: gettext_noop("ran a command")})
# What Django gives every command.
OF_ALL = {
    "settings", "pythonpath", "traceback", "no_color", "force_color", "skip_checks", "verbosity", "stdout", "stderr",
}  # fmt: skip


def shell_user() -> str:
    """Return the name of the operating system's user; empty where it has none."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container's number without a name
        return ""


class RecordedCommand(BaseCommand):
    """A command that changes something; put before Django's own where that does the work."""

    def execute(self, *args: Any, **options: Any) -> Any:
        """Run it; write down that it ran, and whether it came to its end."""
        succeeded = False
        with acting_in_shell(shell_user()):
            try:
                answer = super().execute(*args, **options)
                succeeded = True
                return answer
            except SystemExit as end:
                succeeded = end.code in (None, 0)
                raise
            finally:
                if self.changes_something(options):
                    record_command(self.name, options, succeeded=succeeded)

    @property
    def name(self) -> str:
        """What it is called by."""
        return type(self).__module__.rpartition(".")[2]

    def changes_something(self, options: dict[str, Any]) -> bool:
        """Whether it may change something with these options."""
        return not options.get("dry_run")


def record_command(name: str, options: dict[str, Any], *, succeeded: bool) -> None:
    """Write down that a command ran."""
    arguments = {
        option: value
        for option, value in options.items()
        if option not in OF_ALL
        and value not in (None, "", False, [])
        and isinstance(value, str | int | float | bool | list)
        and not any(word in option for word in SECRET_WORDS)
    }
    parameters = {"arguments": arguments, "succeeded": succeeded}
    with suppress(DatabaseError):  # else the error of the command itself would be lost
        record(RAN, Subject(COMMAND, name, name), parameters=parameters)
