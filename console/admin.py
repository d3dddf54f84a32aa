"""The admin site: Django's own, with the console's name, menu and dashboard."""

from collections.abc import Callable
from functools import partial, wraps
from typing import Any, cast

from django.conf import settings
from django.contrib import admin
from django.contrib.auth.models import User
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.middleware.csrf import get_token
from django.template.response import TemplateResponse
from django.urls import URLPattern, URLResolver, path
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _
from django.views.decorators.cache import never_cache

from accounts import personal_tokens
from accounts.ending import end_sign_ins
from adminkit.guarded import guarded
from audit import access
from audit.admin_edits import RecordedAdmin
from console.errors import signed_out
from console.typed import typed
from database import clock
from maintenance.models.groups import groups
from maintenance.models.maintenance_mode import ALL
from maintenance.scheduling import maintenance_mode
from scraping.models import SANDBOX_CLIENT_ID

# The menu: groups of (app label, model name, title). Registered models that are not named here come last.
# The second key, after g, that opens a page of the menu (``shortcuts.js``), by model.
SHORTCUTS = {
    "django_celery_beat.periodictask": "gs",
    "maintenance.jobrun": "gr",
    "audit.event": "ga",
    "scraping.botconfig": "gb",
    "scraping.redditpost": "gp",
    "scraping.redditcomment": "gc",
}
MENU: list[tuple[Promise, list[tuple[str, str, Promise]]]] = [
    (
        _("Operations"),
        [
            ("django_celery_beat", "periodictask", _("Schedules")),
            ("maintenance", "jobrun", _("Job runs")),
            ("alerts", "alert", _("Alerts")),
            ("alerts", "delivery", _("Deliveries")),
            ("alerts", "route", _("Routes")),
            ("maintenance", "retentionpolicy", _("Retentions")),
            ("audit", "event", _("Activity")),
        ],
    ),
    (
        _("Scraping"),
        [
            ("scraping", "botconfig", _("Bots")),
            ("scraping", "scrapesession", _("Scrape sessions")),
            ("scraping", "redditpost", _("Posts")),
            ("scraping", "redditcomment", _("Comments")),
            ("scraping", "setaside", _("Items set aside")),
            ("scraping", "redditapp", _("Reddit apps")),
        ],
    ),
    (
        _("Access"),
        [
            ("auth", "user", _("Users")),
            ("auth", "group", _("Groups")),
        ],
    ),
]


class ConsoleAdminSite(admin.AdminSite):
    """Django admin as the maintenance console."""

    site_header = _("Maintenance console")
    site_title = _("Maintenance console")
    index_title = _("Dashboard")
    index_template = "admin/dashboard.html"
    password_change_template = "account/password_change.html"  # noqa: S105  # a file
    # There is no other site: a link to "/" would lead back here.
    site_url = None
    empty_value_display = "–"

    def register(self, model_or_iterable: Any, admin_class: Any = None, **options: Any) -> None:
        """Register models with the guard in front of their admin class, whatever app they belong to."""
        super().register(
            model_or_iterable, guarded(admin_class or admin.ModelAdmin, RecordedAdmin), **options
        )

    def each_context(self, request: HttpRequest) -> dict[str, Any]:
        """Add what every page shows: whether the content is synthetic, and whether maintenance mode is on."""
        held = maintenance_mode.modes_for(request).in_force(clock.now())
        return {
            **super().each_context(request),
            "is_sandbox": settings.REDDIT_CLIENT_ID in ("", SANDBOX_CLIENT_ID),
            "in_force": held,
            "maintenance_mode": next((period for period in held if period.scope == ALL), None),
        }

    def admin_view(self, view: Callable[..., Any], cacheable: bool = False) -> Any:
        """As Django's; a form that comes after the end of its session is not lost to the page of the sign-in."""
        shown = super().admin_view(view, cacheable)

        @wraps(shown)
        def answer(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
            # Not a person who is signed in and may not see the page: the page of the sign-in tells them.
            if not request.user.is_authenticated and typed(request):
                return signed_out(request)
            return shown(request, *args, **kwargs)

        return answer

    def get_app_list(self, request: HttpRequest, app_label: str | None = None) -> list[Any]:
        """Return the menu: the console's groups, each with the models that this person may see."""
        if app_label is not None:
            return super().get_app_list(request, app_label)
        kept: dict[str, list[Any]] = vars(request)  # the dashboard asks twice
        if "_menu" not in kept:
            kept["_menu"] = self._menu(super().get_app_list(request))
        return kept["_menu"]

    def _menu(self, apps: list[Any]) -> list[Any]:
        found = {
            (app["app_label"], model["object_name"].lower()): (app, model)
            for app in apps
            for model in app["models"]
        }
        menu: list[dict[str, Any]] = []
        for title, entries in MENU:
            models = [
                {
                    **found.pop((label, name))[1],
                    "name": entry,
                    "keys": SHORTCUTS.get(f"{label}.{name}", ""),
                }
                for label, name, entry in entries
                if (label, name) in found
            ]
            if models:
                menu.append({"name": title, "app_label": entries[0][0], "models": models})
        for app in apps:
            models = [model for (label, _name), (_app, model) in found.items() if label == app["app_label"]]
            if models:
                menu.append({"name": app["name"], "app_label": app["app_label"], "models": models})
        return menu

    def get_urls(self) -> list[URLPattern | URLResolver]:
        """Add the run confirmation, the page of maintenance mode, and the check that somebody is signed in."""
        # Loading an app's admin registers its classes here, so the site must exist first.
        from accounts import personal_token_pages, session_pages
        from alerts.admin.my_messages import page as my_messages
        from console.dashboard import page
        from maintenance.admin import maintenance_mode as mode_pages
        from maintenance.admin import planned_windows as planned_window_pages
        from maintenance.admin import run_confirmation

        return [
            path(
                "jobs/<slug:slug>/run/", self.admin_view(run_confirmation.job_run), name="maintenance_job_run"
            ),
            path("dashboard/live/", self.admin_view(never_cache(page.live_parts)), name="dashboard_live"),
            path(
                "dashboard/stored/", self.admin_view(never_cache(page.stored_parts)), name="dashboard_stored"
            ),
            *session_pages.urls(self),
            *my_messages.urls(self),
            *personal_token_pages.urls(self),
            path("search/", self.admin_view(self.search), name="search"),
            path("session/", never_cache(self.session), name="session"),
            *(
                path(
                    f"pause-{group.slug}/",
                    self.admin_view(partial(mode_pages.mode_page, scope=group.slug)),
                    name=f"maintenance_pause_{group.slug}",
                )
                for group in groups()
            ),
            *planned_window_pages.urls(self),
            path("maintenance-mode/", self.admin_view(mode_pages.mode_page), name="maintenance_mode"),
            *super().get_urls(),
        ]

    def password_change(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        """Let people change their password, and record that they did."""
        user = cast(User, request.user)
        asked = {"live_tokens": personal_tokens.live_count(user), **(extra_context or {})}
        with transaction.atomic():
            answer: Any = super().password_change(request, asked)
            if request.method == "POST" and answer.status_code == 302:
                access.password_changed(request.user)
                # The password's hash would end the sessions too, but not the tokens, and they would stay in the list.
                end_sign_ins(user, but_session=request.session.session_key)
                if "end_tokens" in request.POST:
                    personal_tokens.revoke_all(user, by=user)
        return answer

    def search(self, request: HttpRequest) -> HttpResponse:
        """Search everything that the person may see."""
        from console import global_search

        return global_search.page(request, self.each_context(request))

    def session(self, request: HttpRequest) -> HttpResponse:
        """Answer whether somebody is signed in, without a redirect: 204 or 403.

        The cookie with the token of forms comes again: a browser may have lost it since the page was made.
        """
        get_token(request)
        return HttpResponse(status=204 if self.has_permission(request) else 403)

    def index(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> TemplateResponse:
        """Show the dashboard; a user who may not see runs gets the list "Needs you" and the menu."""
        from console.dashboard import page

        return super().index(request, {**page.index_context(request), **(extra_context or {})})
