"""One link in a chain of causes, and the phrases that all explanations share."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Model
from django.utils.translation import gettext as _

from adminkit.templatetags.display import moment
from audit.models import Event


@dataclass(frozen=True)
class Cause:
    """A sentence in the reader's language."""

    # A stable name for programs and tests, such as "paused".
    code: str
    text: str
    # What a person can do about it; empty where there is nothing to do.
    remedy: str = ""
    # The row that the sentence is about, for a link; None: the subject of the explanation itself.
    about: Model | None = None

    @property
    def run(self) -> int | None:
        """The number of the run that the sentence is about, if it is about another one."""
        return (
            self.about.pk
            if self.about is not None and self.about._meta.label == "maintenance.JobRun"
            else None
        )

    def as_json(self) -> dict[str, Any]:
        """Return the form that ``manage.py why --json`` prints."""
        about = f"{self.about._meta.label}:{self.about.pk}" if self.about is not None else None
        return {"code": self.code, "text": self.text, "remedy": self.remedy, "about": about}

    def __str__(self) -> str:
        return f"{self.text} {self.remedy}".strip()


def last_event(subject: Model, *verbs: str, until: datetime | None = None) -> Event | None:
    """Return the newest event of the subject with one of the verbs, not after ``until``."""
    events = Event.objects.filter(
        subject_type=subject._meta.label, subject_id=str(subject.pk), verb__in=verbs
    )
    if until is not None:
        events = events.filter(at__lte=until)
    return events.newest_first().first()


def who(event: Event | None) -> str:
    """Return who made the event."""
    if event is None:
        return _("somebody")
    if event.actor_kind == Event.ActorKind.SYSTEM:
        return _("the console itself")
    return event.actor_name or _("somebody")


def between_quotes(text: str) -> str:
    """Return a text for between double quotes: its own become single ones, in English and in Chinese."""
    return str(text).translate(_SINGLE)


_SINGLE = str.maketrans("“”", "‘’")


def paused_by(at: datetime | None, name: str, reason: str, until: datetime | None) -> str:
    """Return "paused at … by …: “…”, until …", with what is known."""
    parts = {
        "at": moment(at) if at else _("an unknown time"),
        "name": name or _("somebody"),
        "reason": between_quotes(reason or _("no reason given")),
        "until": moment(until) if until else "",
    }
    if until:
        return _("paused at %(at)s by %(name)s, “%(reason)s”, until %(until)s") % parts
    return _("paused at %(at)s by %(name)s, “%(reason)s”, without an end") % parts
