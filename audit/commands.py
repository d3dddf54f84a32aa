"""Shell commands that change something: they write an event, and events inside them name the shell's user."""

import getpass
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.contrib.auth.models import User
from django.core.management.base import BaseCommand
from django.db.models.signals import post_save, pre_save
from django.utils.translation import gettext_noop

from audit import snapshots, words
from audit.activity import COMMAND
from audit.admin_edits import ADDED, CHANGED
from audit.events import Subject, acting_in_shell, record, try_to_record
from audit.snapshots import SECRET_WORDS

RAN = "command.ran"
words.register({RAN: gettext_noop("ran a command")})
# Options that Django gives every command.
OF_ALL = {
    "settings", "pythonpath", "traceback", "no_color", "force_color", "skip_checks", "verbosity", "stdout", "stderr",
}  # fmt: skip
# Code passed to the shell; it may contain a password.
NEVER_KEPT = {"command"}


def shell_user() -> str:
    """Return the name of the operating system's user; empty if it has none."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container's number without a name
        return ""


@contextmanager
def acting_as_shell() -> Iterator[None]:
    """Attribute the events inside to this process's shell, and record changes of users."""
    with acting_in_shell(shell_user()), _recording_people():
        yield


@contextmanager
def _recording_people() -> Iterator[None]:
    """Write an event for each user that is added or changed inside: no service of ours does that."""
    before: dict[int, dict[str, Any]] = {}

    def remember(*, instance: User, raw: bool, **_kwargs: Any) -> None:
        if instance.pk is not None and not raw:
            before[instance.pk] = snapshots.stored(instance)

    def write(*, instance: User, created: bool, raw: bool, **_kwargs: Any) -> None:
        if raw:  # a fixture, which may have millions of rows: the command's event names it
            return
        now = snapshots.stored(instance)
        if created:
            record(ADDED, instance, after=snapshots.without_secrets(User, now))
            return
        was, is_now = snapshots.difference(User, before.pop(instance.pk, {}), now)
        if is_now:
            record(CHANGED, instance, before=was or None, after=is_now)

    pre_save.connect(remember, sender=User, weak=False)
    post_save.connect(write, sender=User, weak=False)
    try:
        yield
    finally:
        pre_save.disconnect(remember, sender=User)
        post_save.disconnect(write, sender=User)


class RecordedCommand(BaseCommand):
    """A command that changes something; put it before the base class that does the work, such as Django's command."""

    def execute(self, *args: Any, **options: Any) -> Any:
        """Run it; record that it ran, and whether it succeeded."""
        succeeded = False
        with acting_as_shell():
            try:
                answer = super().execute(*args, **options)
                succeeded = True
                return answer
            except SystemExit as end:
                succeeded = end.code in (None, 0)
                raise
            finally:
                if self.changes_something(options):
                    record_command(self.name, {**options, "args": list(args)}, succeeded=succeeded)

    @property
    def name(self) -> str:
        """The command's name."""
        return type(self).__module__.rpartition(".")[2]

    def changes_something(self, options: dict[str, Any]) -> bool:
        """Whether it may change something with these options."""
        return not options.get("dry_run")


def record_command(name: str, options: dict[str, Any], *, succeeded: bool) -> None:
    """Record that a command ran; if that fails, the command's own outcome is not lost."""
    arguments = {
        option: value
        for option, value in options.items()
        if option not in OF_ALL | NEVER_KEPT
        and value not in (None, "", False, [])
        and isinstance(value, str | int | float | bool | list)
        and not any(word in option for word in SECRET_WORDS)
    }
    try_to_record(
        RAN, Subject(COMMAND, name, name), parameters={"arguments": arguments, "succeeded": succeeded}
    )
