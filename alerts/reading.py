"""In which language and time zone messages are written: the person's, else the route's, else all languages."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings
from django.contrib.auth.models import AnonymousUser, User
from django.contrib.auth.signals import user_logged_in
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.utils import translation
from django.utils.translation import gettext_noop

import audit.values
import audit.words
from alerts.models import QuietHours, Reader, Route
from audit.events import record
from database import zones
from database.messages import gettext as _

SET = "person.reading_set"
audit.words.register({SET: gettext_noop("chose the language of messages")})


@dataclass(frozen=True)
class Reading:
    """The languages of a message, each for one part of it, and the zone of its times; None: the console's."""

    languages: tuple[str, ...]
    zone: ZoneInfo | None = None


def all_languages() -> tuple[str, ...]:
    """Return the codes of all languages, the console's first."""
    return tuple(sorted(dict(settings.LANGUAGES), key=lambda code: code != settings.LANGUAGE_CODE))


def reading_of(person: int | None, route: Route | None) -> Reading:
    """Return how to write to a person, by the key; or without one, over a route to a shared address."""
    reader = Reader.objects.filter(pk=person).first() if person is not None else None
    zone = reader.zone if reader else ""
    if person is not None and not zone:
        zone = QuietHours.objects.filter(pk=person).values_list("zone", flat=True).first() or ""
    language = reader.language if reader else (route.language if route and person is None else "")
    known = language in dict(settings.LANGUAGES)
    return Reading((language,) if known else all_languages(), zones.find(zone) if zone else None)


def joined(readings: Iterable[Reading]) -> Reading:
    """Return how to write one message that several readers get at one address: in the languages of all of them."""
    found = list(dict.fromkeys(readings))
    if len(found) == 1:
        return found[0]
    languages = {language for one in found for language in one.languages}
    zones_of_all = {one.zone for one in found}
    return Reading(
        tuple(code for code in all_languages() if code in languages),
        zones_of_all.pop() if len(zones_of_all) == 1 else None,
    )


def set_reading(*, language: str, zone: str, by: User | AnonymousUser) -> None:
    """Store the person's own choice; without a language, that of the browser at each sign-in counts again.

    Raises:
        PermissionDenied: nobody is signed in.
        ValueError: the language or the zone is unknown.
    """
    if not isinstance(by, User) or not by.is_active:
        raise PermissionDenied(_("Sign in first."))
    if language and language not in dict(settings.LANGUAGES):
        raise ValueError(_("This language is unknown."))
    if zone and not zones.is_offered(zone):
        raise ValueError(_("This time zone is unknown."))
    values = {"language": language or active_language(), "zone": zone, "is_chosen": bool(language)}
    with transaction.atomic():
        Reader.objects.update_or_create(person=by, defaults=values)
        record(SET, by, by=by, after={"language": language or "browser", "zone": zone})


def _language_name(code: str) -> str:
    return _("as the browser") if code == "browser" else str(dict(settings.LANGUAGES).get(code, code))


audit.values.register("auth.User", {"language": _language_name})


def active_language() -> str:
    """Return the language of the current request."""
    return translation.get_language() or settings.LANGUAGE_CODE


def note_language(user: User, **_sent: Any) -> None:
    """Keep the language in which somebody signs in, unless the person has chosen one."""
    language = active_language()
    reader, created = Reader.objects.get_or_create(person=user, defaults={"language": language})
    if not (created or reader.is_chosen or reader.language == language):
        Reader.objects.filter(pk=reader.pk, is_chosen=False).update(language=language)


def connect() -> None:
    """Note the language of each sign-in."""
    user_logged_in.connect(note_language, dispatch_uid="alerts.reading")
