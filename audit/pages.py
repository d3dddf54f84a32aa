"""A page of the events that match the filters and that the person may see, from the end of another page on.

For a person who sees all events and does not search, an index is enough. Otherwise each event has to be read, so a page
reads a limited number of events; if they do not fill it, the next page continues from there.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

from django.db.models import Q, QuerySet

from audit.access import VISITS
from audit.activity import offered_kinds
from audit.models import Event, EventQuerySet
from audit.visibility import Candidate, Person, sees_all, visible_among
from database.keyset import BadCursor, Order, Place, decoded, encoded, place_of, with_values

EVENTS_PER_PAGE = 50
# How many events a page searches for words, and for how many it checks whether the person may see them.
SEARCHED_MAX = 20_000
# How many events are looked through for the newest changes.
LOOKED_THROUGH = 500
ASKED_MAX = 3_000
# Most pages are full after the first step.
STEPS = (0, 500, ASKED_MAX)
NEWEST_FIRST: Final = Order("at")


@dataclass(frozen=True)
class EventPage:
    """Events, newest first, and the cursors from which the previous and the next page continue, if there are any."""

    events: list[Event]
    newer_than: str | None
    older_than: str | None
    # Whether the address has a cursor that cannot be used, so that this is the first page instead.
    is_misled: bool = False


def page_for(user: Person, wanted: dict[str, Any]) -> EventPage:
    """Return the requested page; the first one if there is no such page."""
    is_forwards = bool(wanted["after"])  # in time
    heading = NEWEST_FIRST.reverse if is_forwards else NEWEST_FIRST
    cursor, is_misled = wanted["after"] or wanted["before"], False
    start: Place | None = None
    if cursor:
        try:
            start = decoded(cursor, Event.objects.all(), NEWEST_FIRST)
        except BadCursor:
            heading, is_forwards, is_misled = NEWEST_FIRST, False, True
    events, last = _look(_filtered(wanted), user, wanted["q"], heading, start)
    shown = events[:EVENTS_PER_PAGE]
    ahead = place_of(shown[-1], NEWEST_FIRST) if len(events) > EVENTS_PER_PAGE else last
    behind = place_of(shown[0], NEWEST_FIRST) if shown else start
    if is_forwards:
        return EventPage(shown[::-1], newer_than=_cursor(ahead), older_than=_cursor(behind))
    return EventPage(shown, _cursor(behind if start else None), _cursor(ahead), is_misled)


def newest_changes_for(user: Person) -> list[Event]:
    """Return the newest events that the person may see, at most one page, without those of people who come and go.

    Only the newest of all events are looked through, so that many visits cost no more than that.
    """
    newest = Event.objects.order_by("-at", "-id").values_list("pk", "verb")[:LOOKED_THROUGH]
    changes = Event.objects.filter(pk__in=[pk for pk, verb in newest if verb not in VISITS])
    return _look(changes, user, "", NEWEST_FIRST, None)[0][:EVENTS_PER_PAGE]


def _cursor(place: Place | None) -> str | None:
    return encoded(place, NEWEST_FIRST) if place is not None else None


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


def _look(
    kept: QuerySet[Event], user: Person, term: str, heading: Order, start: Place | None
) -> tuple[list[Event], Place | None]:
    """Return up to one event more than a page has, and the place of the last one that was read, if more follow."""
    if start is not None:
        kept = kept.filter(heading.behind(start))
    kept = with_values(kept, heading).order_by(*heading.terms())
    if sees_all(user) and not term:
        return list(kept[: EVENTS_PER_PAGE + 1]), None
    end: Place | None = None
    if term:
        last = kept.only("at")[SEARCHED_MAX - 1 : SEARCHED_MAX].first()
        if last is not None:
            end = place_of(last, heading)
            kept = kept.filter(heading.reverse.behind(end, itself=True))
        words = Q(subject_name__icontains=term) | Q(reason__icontains=term) | Q(actor_name__icontains=term)
        kept = kept.filter(words)
    if sees_all(user):
        return list(kept[: EVENTS_PER_PAGE + 1]), end
    return _visible(kept, user, heading, end)


def _visible(
    kept: QuerySet[Event], user: Person, heading: Order, end: Place | None
) -> tuple[list[Event], Place | None]:
    """Return the same for the events that the person may see; ``end``: reading ends there in any case."""
    keys: list[int] = []
    places = with_values(Event.objects.all(), heading)
    for start, stop in pairwise(STEPS):
        some = [Candidate(*row) for row in kept.values_list(*Candidate._fields)[start:stop]]
        visible = visible_among(some, user)
        keys += [event.pk for event in some if event.pk in visible]
        if len(some) < stop - start or len(keys) > EVENTS_PER_PAGE:
            break
    else:
        last = places.filter(pk=some[-1].pk).first()
        end = place_of(last, heading) if last is not None else None
    keys = keys[: EVENTS_PER_PAGE + 1]
    found = places.in_bulk(keys)
    return [found[key] for key in keys if key in found], end
