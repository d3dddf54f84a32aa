"""The dashboard's context: the page has the list "Needs you" and the state of the jobs; a fragment has stored content.

Without JavaScript the fragment is a page of its own. Each of the answers takes at most 25 queries, however much is stored.
"""

from hashlib import blake2b
from typing import Any

from django.contrib import admin
from django.core.cache import caches
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import NoReverseMatch, reverse
from django.utils.safestring import SafeString
from django.utils.translation import get_language
from django.utils.translation import gettext as _
from django_celery_beat.models import PeriodicTask

from adminkit import live
from adminkit.templatetags.display import local
from console import needs
from console.dashboard import stored
from console.dashboard.day import day, services
from console.dashboard.job_rows import job_rows
from console.dashboard.lanes import timeline
from console.needs import World
from maintenance.scheduling import maintenance_mode
from maintenance.scheduling.edits import PERMISSION
from scraping.models.owners import owns_something
from scraping.visibility import Person, is_superuser

# How often an open page polls.
POLL_SECONDS = 10
STORED_POLL_SECONDS = 60
# How long the tabs of people who see the same share an answer, in each web process. It tells its time, and is at most
# that much older than the poll.
KEPT_SECONDS = 5
PARTS = (
    "admin/dashboard/_needs.html",
    "admin/dashboard/_day.html",
    "admin/dashboard/_jobs.html",
    "admin/dashboard/_timeline.html",
)
# The parts for a person without the permission to see all runs.
PARTS_OF_OWNERS = PARTS[:1]


def context(request: HttpRequest) -> dict[str, Any]:
    """Return the context of the page without the fragment."""
    world = World(request)
    shown: dict[str, Any] = {
        "as_of": world.now,
        "poll_seconds": POLL_SECONDS,
        "needs": needs.lines_for(world),
        "recovered": needs.recovered_for(world),
        "muted": needs.muted_for(world),
        "sees_runs": world.sees_runs,
        # The request of a poll has no page context.
        "maintenance_mode": world.modes.of_all if world.modes.of_all.is_on else None,
    }
    if not world.sees_runs:
        return shown
    rows = job_rows(world)
    return {
        **shown,
        "day": day(world),
        "services": services(world),
        "scheduler": world.scheduler,
        "workers": world.workers,
        "job_rows": rows,
        "timeline": timeline(world, rows),
        "may_see_schedules": world.may_view(PeriodicTask),
        "may_change_schedules": world.may(PERMISSION),
        "pause_scraping_url": _address("admin:maintenance_pause_scraping") if world.may(PERMISSION) else None,
        "may_change_mode": world.may(maintenance_mode.PERMISSION),
    }


def index_context(request: HttpRequest) -> dict[str, Any]:
    """Return the context of a newly opened page, with the version that its first poll sends."""
    shown = context(request)
    return {**shown, "body": SafeString(live.whole(_rendered(request, shown)))}


def _rendered(request: HttpRequest, shown: dict[str, Any]) -> live.Rendered:
    parts = PARTS if shown["sees_runs"] else PARTS_OF_OWNERS
    return live.rendered(request, main="admin/dashboard/_head.html", parts=parts, context=shown)


def stored_context(request: HttpRequest) -> dict[str, Any]:
    """Return the context of the fragment: stored content and changes."""
    world = World(request)
    return {
        "freshness": stored.freshness(world),
        "storage": stored.storage(world) if world.sees_runs else None,
        "changes": stored.changes(world),
        "sees_runs": world.sees_runs,
        "may_run_purge": world.may("maintenance.run_job"),
        "stored_poll_seconds": STORED_POLL_SECONDS,
    }


def stored_parts(request: HttpRequest) -> HttpResponse:
    """Answer the fragment's first request and its polls; without JavaScript a link leads here, to a page of its own."""
    if "HX-Request" not in request.headers:
        site = {**admin.site.each_context(request), "title": _("Stored content and recent changes")}
        return render(request, "admin/dashboard_stored.html", {**site, **stored_context(request)})
    return live.answer(
        request,
        "admin/dashboard/_fragment.html",
        main="admin/dashboard/_stored.html",
        context=stored_context(request),
    )


def _address(name: str) -> str | None:
    """Return the address of a page; None if there is no such page."""
    try:
        return reverse(name)
    except NoReverseMatch:
        return None


def live_parts(request: HttpRequest) -> HttpResponse:
    """Answer a poll with the parts that changed since the version in the address, or with 204."""
    now, as_of = _kept(request)
    changed = live.news(request, now)
    answer = HttpResponse(status=204) if changed is None else HttpResponse(live.for_reader(request, changed))
    answer["Console-As-Of"] = as_of
    return answer


def _kept(request: HttpRequest) -> tuple[live.Rendered, str]:
    """Return the page's parts, cached if a tab of somebody who sees the same has just requested them."""
    name = f"dashboard:{_sight(request.user)}:{get_language()}"
    cache = caches["process"]
    kept: tuple[live.Rendered, str] | None = cache.get(name)
    if kept is None:
        shown = context(request)
        kept = _rendered(request, shown), f"{local(shown['as_of']):%H:%M:%S}"
        cache.set(name, kept, KEPT_SECONDS)
    return kept


def _sight(person: Person) -> str:
    """Return a key that people share who see the same: those with the same permissions who own nothing themselves."""
    if is_superuser(person):
        return "superusers"
    if owns_something(person):
        return str(person.pk)
    rights = "\n".join(sorted(person.get_all_permissions()))
    return blake2b(rights.encode(), digest_size=16).hexdigest()
