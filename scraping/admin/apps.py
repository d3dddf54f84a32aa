"""The admin of Reddit apps, with the request budget of each."""

from typing import Any, cast

from django.conf import settings
from django.contrib import admin
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.db.models import Model, QuerySet
from django.forms import ModelForm
from django.http import (
    HttpRequest,
    HttpResponse,
)
from django.shortcuts import get_object_or_404
from django.urls import path, reverse
from django.utils.translation import gettext_lazy as _

from adminkit import live
from database.text import row_key
from scraping.admin.forms import RedditAppForm
from scraping.models import (
    RedditApp,
    RequestBudget,
)
from scraping.reddit.budget import state_of
from scraping.visibility import Person


def gauges(app: RedditApp | None, user: Person) -> dict[str, Any]:
    """Return the context of ``_budgets.html``: the budget of one app, or of each client id that the user may see."""
    if app is not None:
        names = {app.client_id: app.name}
        address = reverse("admin:scraping_redditapp_budget", args=[app.pk])
    else:
        apps = dict(RedditApp.objects.visible_to(user).values_list("client_id", "name"))
        # Others are of apps that the user may not see, or that were deleted.
        shown = {settings.REDDIT_CLIENT_ID, *apps}
        clients = RequestBudget.objects.filter(client_id__in=shown).order_by("client_id")
        names = {one.client_id: apps.get(one.client_id, "REDDIT_CLIENT_ID") for one in clients}
        address = reverse("admin:scraping_redditapp_budgets")
    states = [(name, state_of(client_id)) for client_id, name in names.items()]
    return {"budgets": states, "budgets_address": address}


@admin.register(RedditApp)
class RedditAppAdmin(admin.ModelAdmin):
    """OAuth clients, shared or personal; a stored secret is never read here, so it cannot be shown."""

    form = RedditAppForm
    change_form_template = "scraping/redditapp_form.html"
    change_list_template = "scraping/redditapp_list.html"
    list_display = ("name", "client_id", "user_agent", "owned_by")
    list_select_related = ("owner",)
    search_fields = ("name", "client_id")
    empty_list = _(
        "A Reddit app is the client id and secret with which bots sign in. Make one at reddit.com/prefs/apps, of the type"
        " “script”, and add it here; without one, bots use REDDIT_CLIENT_ID."
    )
    fields = ("name", "client_id", "new_secret", "user_agent", "owner")

    def get_queryset(self, request: HttpRequest) -> QuerySet[RedditApp]:
        """Return the apps that this person may see, without their secrets."""
        apps: Any = super().get_queryset(request)
        visible: QuerySet[RedditApp] = apps.visible_to(request.user)
        return visible

    def get_readonly_fields(self, request: HttpRequest, obj: Model | None = None) -> Any:
        """Let only superusers change the owner."""
        fields = super().get_readonly_fields(request, obj)
        return fields if request.user.is_superuser else (*fields, "owner")

    def save_model(self, request: HttpRequest, obj: RedditApp, form: ModelForm, change: bool) -> None:
        """Set the owner of a new app to the person who adds it, unless a superuser chose one."""
        if not change and not request.user.is_superuser:
            obj.owner = cast(User, request.user)
        super().save_model(request, obj, form, change)

    @admin.display(description=_("owner"), ordering="owner__username")
    def owned_by(self, app: RedditApp) -> str:
        """Return the owner's name, or a word for shared apps."""
        return app.owner.get_username() if app.owner else str(_("shared"))

    def get_urls(self) -> list[Any]:
        """Add the address of the budget gauge, which the page polls every few seconds."""
        view = self.admin_site.admin_view(self.budgets)
        return [
            path("budgets/", view, name="scraping_redditapp_budgets"),
            path("<int:pk>/budgets/", view, name="scraping_redditapp_budget"),
            *super().get_urls(),
        ]

    def budgets(self, request: HttpRequest, pk: int | None = None) -> HttpResponse:
        """Show the request budget of one app, or of all visible apps."""
        app = get_object_or_404(self.get_queryset(request), pk=pk) if pk else None
        if not self.has_view_permission(request, app):
            raise PermissionDenied
        return live.answer(
            request,
            "scraping/_live.html",
            main="scraping/_budgets.html",
            context=gauges(app, request.user),
        )

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Show all budgets above the list."""
        return super().changelist_view(request, {**gauges(None, request.user), **(extra_context or {})})

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """Show the app's budget above its form."""
        app = self.get_queryset(request).filter(pk=row_key(object_id)).first()
        gauge = gauges(app, request.user) if app else {}
        return super().change_view(request, object_id, form_url, {**gauge, **(extra_context or {})})
