"""What layers above add to the form and the page of a schedule; they register it when the console starts."""

from collections.abc import Mapping
from typing import Any, Protocol

from django import forms
from django.http import HttpRequest
from django_celery_beat.models import PeriodicTask

from maintenance.registry import Person


class SchedulePart(Protocol):
    """A group of fields in the form, and a card below it."""

    # Of the group of fields, in the reader's language.
    title: Any

    def fields(self) -> dict[str, forms.Field]:
        """Return new fields by name; costs no query."""

    def save(self, task: PeriodicTask, cleaned: Mapping[str, Any], *, by: Person) -> None:
        """Store the values of a valid form, and write the event."""

    def card(self, request: HttpRequest, task: PeriodicTask, *, may_change: bool) -> str:
        """Return the card as HTML; empty: there is nothing to show."""

    def act(self, request: HttpRequest, task: PeriodicTask) -> None:
        """Do what a button of the card says; the person may change schedules."""


_registered: dict[str, SchedulePart] = {}


def register(name: str, part: SchedulePart) -> None:
    """Add a part under a name, which is in the address of its buttons."""
    _registered[name] = part


def registered() -> list[SchedulePart]:
    """Return what was registered, always in the same order."""
    return [_registered[name] for name in sorted(_registered)]


def find(name: str) -> SchedulePart | None:
    """Return a part by its name; None: there is none."""
    return _registered.get(name)
