"""The Activity page: what happened, who did it, and to what."""

from contextlib import suppress
from typing import Any

from django.apps import apps
from django.contrib import admin
from django.db.models import Model, Q
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import NoReverseMatch, path, reverse
from django.utils.text import capfirst
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from adminkit.parameters import RefusedParameter
from audit.activity import ActivityForm, kind_name
from audit.changes import rows_of
from audit.models import Event, EventQuerySet
from audit.visibility import sees_all
from audit.words import in_words
from database.messages import told

EVENTS_PER_PAGE = 50
# So many of the newest events are searched for words.
SEARCHED_MAX = 20_000
# Longer ones are those of no row.
KEY_DIGITS_MAX = 18

# The addresses of subjects: by kind and key.
Pages = dict[tuple[str, str], str]


@admin.register(Event)
class EventAdmin(admin.ModelAdmin):
    """One list; an event has no page of its own."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Return False."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Return False."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Return False."""
        return False

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Let everybody see the page, who sees at least what they did themselves."""
        return bool(request.user.is_active and request.user.is_staff)

    def has_module_permission(self, request: HttpRequest) -> bool:
        """Leave the menu entry to who sees all; others come by the links of their rows."""
        return sees_all(request.user)

    def get_urls(self) -> list[Any]:
        """Return the list alone."""
        return [path("", self.admin_site.admin_view(self.changelist_view), name="audit_event_changelist")]

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Show a page of the events that the filters keep, the newest first."""
        form = ActivityForm(request.GET)
        wanted = form.values()
        visible = Event.objects.visible_to(request.user)
        found = _filtered(visible, wanted)
        if wanted["before"]:
            last = visible.filter(pk=wanted["before"]).first()
            if last is None:
                raise RefusedParameter("before", _("It is the number of an event that the list has shown."))
            found = found.behind(last)
        events = list(found.newest_first()[: EVENTS_PER_PAGE + 1])
        shown, rest = events[:EVENTS_PER_PAGE], events[EVENTS_PER_PAGE:]
        query = request.GET.copy()
        query.pop("before", None)
        older = query.copy()
        if rest:
            older["before"] = str(shown[-1].pk)
        subjects = {(event.subject_type, event.subject_id) for event in shown}
        if wanted["kind"] and wanted["id"]:
            subjects.add((wanted["kind"], wanted["id"]))
        pages = _pages(subjects, self.admin_site, request)
        context = {
            **self.admin_site.each_context(request),
            "title": gettext("Activity"),
            "form": form,
            "rows": [_row(event, pages) for event in shown],
            "sees_all": sees_all(request.user),
            "subject": _subject(shown, wanted, pages),
            "newest_url": f"?{query.urlencode()}" if wanted["before"] else "",
            "older_url": f"?{older.urlencode()}" if rest else "",
            "opts": self.opts,
            **(extra_context or {}),
        }
        return TemplateResponse(request, "audit/activity.html", context)


def _filtered(events: EventQuerySet, wanted: dict[str, Any]) -> EventQuerySet:
    columns = {
        "actor_name": wanted["person"],
        "subject_type": wanted["kind"],
        "subject_id": wanted["id"],
        "verb": wanted["verb"],
        "at__gte": wanted["since"],
        "at__lte": wanted["until"],
    }
    found = events.filter(**{name: value for name, value in columns.items() if value})
    if term := wanted["q"]:
        newest = found.newest_first().values("pk")[:SEARCHED_MAX]
        words = Q(subject_name__icontains=term) | Q(reason__icontains=term) | Q(actor_name__icontains=term)
        found = events.filter(words, pk__in=newest)
    return found


def _row(event: Event, pages: Pages) -> dict[str, Any]:
    return {
        "event": event,
        "verb": capfirst(in_words(event.verb)),
        "kind": kind_name(event.subject_type),
        "url": pages.get((event.subject_type, event.subject_id)),
        "changes": rows_of(event),
        "reason": told(event.reason, (event.parameters or {}).get("reason_parts")),
    }


def _pages(subjects: set[tuple[str, str]], site: admin.AdminSite, request: HttpRequest) -> Pages:
    """Return the addresses of those subjects whose own pages are open to the person: one query a kind."""
    pages: Pages = {}
    for label in {label for label, _key in subjects}:
        try:
            model = apps.get_model(label)
        except (LookupError, ValueError):
            continue
        if not site.is_registered(model) or not site.get_model_admin(model).has_view_permission(request):
            continue
        rows = site.get_model_admin(model).get_queryset(request).order_by()
        keys = {key for kind, key in subjects if kind == label and is_number(key)}
        name = f"admin:{model._meta.app_label}_{model._meta.model_name}_change"
        for key in rows.filter(pk__in=keys).values_list("pk", flat=True):
            # A kind that has a list alone has no such page.
            with suppress(NoReverseMatch):
                pages[label, str(key)] = reverse(name, args=[key])
    return pages


def is_number(key: str) -> bool:
    """Return whether a key can be that of a row."""
    return key.isascii() and key.isdigit() and len(key) <= KEY_DIGITS_MAX


def _subject(shown: list[Event], wanted: dict[str, Any], pages: Pages) -> dict[str, Any] | None:
    """Return what the page is about, if it is about one thing."""
    if not (wanted["kind"] and wanted["id"]):
        return None
    name = shown[0].subject_name if shown else wanted["id"]
    url = pages.get((wanted["kind"], wanted["id"]))
    return {"kind": kind_name(wanted["kind"]), "name": name, "url": url}
