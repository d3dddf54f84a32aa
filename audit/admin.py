"""The Activity page: what happened, who did it, and to what."""

from contextlib import suppress
from typing import Any

from django.apps import apps
from django.contrib import admin
from django.db.models import Model
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import NoReverseMatch, path, reverse
from django.utils.http import urlencode
from django.utils.text import capfirst
from django.utils.translation import gettext

from adminkit.key_list import NO_SUCH_PLACE
from audit import subject_names
from audit.activity import PLACES, ActivityForm, kind_name
from audit.changes import rows_of
from audit.events import subject_of
from audit.models import Event
from audit.pages import EVENTS_PER_PAGE, page_for
from audit.visibility import is_number, sees_all
from audit.words import in_words
from database.messages import told

# The addresses of subjects, by kind and key.
Pages = dict[tuple[str, str], str]


@admin.register(Event)
class EventAdmin(admin.ModelAdmin):
    """A list only: an event has no page of its own."""

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
        """Allow everybody: each person sees at least their own events."""
        return bool(request.user.is_active and request.user.is_staff)

    def has_module_permission(self, request: HttpRequest) -> bool:
        """Show the menu entry only to people who see all events; others use the links on their rows."""
        return sees_all(request.user)

    def get_urls(self) -> list[Any]:
        """Return the address of the list only."""
        return [path("", self.admin_site.admin_view(self.changelist_view), name="audit_event_changelist")]

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Show a page of the events that match the filters, newest first."""
        form = ActivityForm(request.GET)
        wanted = form.values()
        page = page_for(request.user, wanted)
        shown = page.events
        subjects = {(event.subject_type, event.subject_id) for event in shown}
        if wanted["kind"] and wanted["id"]:
            subjects.add((wanted["kind"], wanted["id"]))
        pages = _pages(subjects, self.admin_site, request)
        subject = _subject(shown, wanted, pages)
        context = {
            **self.admin_site.each_context(request),
            "title": gettext("Activity: %(name)s") % subject if subject else gettext("Activity"),
            "form": form,
            # The heading names the subject already.
            "is_filtered": any(
                wanted[name]
                for name in form.fields
                if name not in (*PLACES, *(("kind", "id") if subject else ()))
            ),
            "rows": [_row(event, pages) for event in shown],
            "sees_all": sees_all(request.user),
            "subject": subject,
            "notice": NO_SUCH_PLACE if page.is_misled else "",
            "newest_url": _url(request) if wanted["before"] or wanted["after"] else "",
            "newer_url": _url(request, after=page.newer_than) if page.newer_than else "",
            "older_url": _url(request, before=page.older_than) if page.older_than else "",
            "is_cut": page.older_than is not None and len(shown) < EVENTS_PER_PAGE and not wanted["after"],
            "opts": self.opts,
            **(extra_context or {}),
        }
        return TemplateResponse(request, "audit/activity.html", context)


def _url(request: HttpRequest, **page: str) -> str:
    """Return the address of another page of the same list."""
    query = {name: str(value) for name, value in request.GET.items() if name not in PLACES and value}
    return f"?{urlencode({**query, **page})}"


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
    """Return the addresses of those subjects whose own pages are open to the person, with one query per kind."""
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
            # A kind that has only a list has no such page.
            with suppress(NoReverseMatch):
                pages[label, str(key)] = reverse(name, args=[key])
    return pages


def _subject(shown: list[Event], wanted: dict[str, Any], pages: Pages) -> dict[str, Any] | None:
    """Return the subject by which the page is filtered; None: it is not filtered by one."""
    if not (wanted["kind"] and wanted["id"]):
        return None
    name = shown[0].subject_in_words if shown else _name_of(wanted["kind"], wanted["id"], pages)
    url = pages.get((wanted["kind"], wanted["id"]))
    return {"kind": kind_name(wanted["kind"]), "name": name, "url": url}


def _name_of(kind: str, key: str, pages: Pages) -> str:
    """Return the name of a row to which nothing has happened, if its page is open to the person; otherwise its key."""
    row = apps.get_model(kind)._base_manager.filter(pk=key).first() if (kind, key) in pages else None
    return subject_names.read(kind, subject_of(row).name) if row else key
