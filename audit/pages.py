"""A page of the events that match the filters and that the person may see, from the end of another page on.

For a person who sees all events and does not search, an index is enough. Otherwise each event has to be read, so a page
reads a limited number of events; if they do not fill it, the next page continues from there.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from django.db.models import Q

from adminkit.parameters import RefusedParameter
from audit.activity import NO_PLACE, offered_kinds
from audit.models import Event, EventQuerySet
from audit.visibility import Candidate, Person, sees_all, visible_among

EVENTS_PER_PAGE = 50
# How many events a page searches for words, and for how many it checks whether the person may see them.
SEARCHED_MAX = 20_000
ASKED_MAX = 5_000
# Most pages are full after the first step.
STEPS = (0, 500, ASKED_MAX)


@dataclass(frozen=True)
class EventPage:
    """Events, newest first, and the keys from which the previous and the next page continue, if there are any."""

    events: list[Event]
    newer_than: int | None
    older_than: int | None


def page_for(user: Person, wanted: dict[str, Any]) -> EventPage:
    """Return the requested page.

    Raises:
        RefusedParameter: there is no event with the key to continue from.
    """
    is_forwards = bool(wanted["after"])  # in time
    start = _event(wanted, "after" if is_forwards else "before")
    kept = _filtered(wanted)
    if is_forwards and start is not None:
        kept = kept.ahead_of(start).oldest_first()
    else:
        kept = (kept.behind(start) if start is not None else kept).newest_first()
    events, last = _look(kept, user, wanted["q"])
    shown = events[:EVENTS_PER_PAGE]
    ahead = shown[-1].pk if len(events) > EVENTS_PER_PAGE else last
    behind = shown[0].pk if shown else (start.pk if start else None)
    if is_forwards:
        return EventPage(shown[::-1], newer_than=ahead, older_than=behind)
    return EventPage(shown, newer_than=behind if start else None, older_than=ahead)


def newest_for(user: Person) -> list[Event]:
    """Return the newest events that the person may see, at most one page."""
    return _look(Event.objects.newest_first(), user, "")[0][:EVENTS_PER_PAGE]


def _event(wanted: dict[str, Any], name: str) -> Event | None:
    """Return the event at which another page ended."""
    if not wanted[name]:
        return None
    event = Event.objects.filter(pk=wanted[name]).first()
    if event is None:
        raise RefusedParameter(name, NO_PLACE)
    return event


def _filtered(wanted: dict[str, Any]) -> EventQuerySet:
    columns = {
        "actor_name": wanted["person"],
        "subject_type": wanted["kind"],
        "subject_id": wanted["id"],
        "verb": wanted["verb"],
        "at__gte": wanted["since"],
        "at__lte": wanted["until"],
    }
    if wanted["id"] and not wanted["kind"]:
        columns["subject_type__in"] = offered_kinds()  # for the index, which begins with it
    return Event.objects.filter(**{name: value for name, value in columns.items() if value})


def _look(kept: EventQuerySet, user: Person, term: str) -> tuple[list[Event], int | None]:
    """Return up to one event more than a page has, and the key of the last one that was read, if more follow."""
    if sees_all(user) and not term:
        return list(kept[: EVENTS_PER_PAGE + 1]), None
    end: int | None = None
    if term:
        last = kept.only("at")[SEARCHED_MAX - 1 : SEARCHED_MAX].first()
        end = last.pk if last is not None else None
        words = Q(subject_name__icontains=term) | Q(reason__icontains=term) | Q(actor_name__icontains=term)
        kept = _up_to(kept, last).filter(words)
    if sees_all(user):
        return list(kept[: EVENTS_PER_PAGE + 1]), end
    return _visible(kept, user, end)


def _visible(kept: EventQuerySet, user: Person, end: int | None) -> tuple[list[Event], int | None]:
    """Return the same for the events that the person may see; ``end``: reading ends there in any case."""
    keys: list[int] = []
    for start, stop in pairwise(STEPS):
        some = [Candidate(*row) for row in kept.values_list(*Candidate._fields)[start:stop]]
        visible = visible_among(some, user)
        keys += [event.pk for event in some if event.pk in visible]
        if len(some) < stop - start or len(keys) > EVENTS_PER_PAGE:
            break
    else:
        end = some[-1].pk
    keys = keys[: EVENTS_PER_PAGE + 1]
    found = Event.objects.in_bulk(keys)
    return [found[key] for key in keys if key in found], end


def _up_to(kept: EventQuerySet, end: Event | None) -> EventQuerySet:
    """Return the events up to this one, in their order."""
    if end is None:
        return kept
    is_newest_first = str(kept.query.order_by[0]).startswith("-")
    return kept.ahead_of(end, itself=True) if is_newest_first else kept.behind(end, itself=True)
