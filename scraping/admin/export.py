"""Exports an admin list with its search and filters."""

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponseRedirect, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.urls import path, reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from adminkit.parameters import RefusedParameter
from scraping.content import export
from scraping.content.export_events import recorded
from scraping.models import BotConfig

BOTS_SHOWN_MAX = 100


class BotFilter(admin.SimpleListFilter):
    """Filters by the bot that found the content, among the bots that the person may see."""

    title = _("bot")
    parameter_name = "bot"
    is_verbatim = True  # names given by users, which are not translated

    def __init__(self, request: HttpRequest, *args: Any) -> None:
        self._bots = BotConfig.objects.named_to(request.user)
        super().__init__(request, *args)

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Offer the first 100 bots."""
        return [(str(pk), name) for pk, name in self._bots.values_list("pk", "name")[:BOTS_SHOWN_MAX]]

    def has_output(self) -> bool:
        """Apply a bot named in the address even if there are none to choose."""
        return bool(self.lookup_choices) or self.value() is not None

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        """Keep what the chosen bot found."""
        value = self.value()
        if not value:
            return queryset
        # A larger number cannot be a key, and PostgreSQL refuses to compare it.
        is_key = value.isascii() and value.isdecimal() and len(value) <= 18
        if not is_key or not self._bots.filter(pk=int(value)).exists():
            raise RefusedParameter(
                self.parameter_name, str(_("You see no such bot: choose one beside the list."))
            )
        return queryset.found_by(int(value))


class ExportViews(admin.ModelAdmin):
    """An admin list with export; the file holds only what the person may see."""

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        """Offer the export of the list to people who may export."""
        formats = export.Format.choices if request.user.has_perm(export.permission(self.model)) else []
        return super().changelist_view(request, {"export_formats": formats, **(extra_context or {})})

    def get_urls(self) -> list[Any]:
        """Add the export."""
        name = f"{self.model._meta.app_label}_{self.model._meta.model_name}_export"
        view = self.admin_site.admin_view(self.export_view)
        return [path("export/<str:format>/", view, name=name), *super().get_urls()]

    def export_view(self, request: HttpRequest, format: str) -> HttpResponseBase:  # noqa: A002  # as in export()
        """Stream the live rows of the list, with its search and filters, as a file."""
        may_export = request.user.has_perm(export.permission(self.model))
        if not (may_export and self.has_view_permission(request)):
            raise PermissionDenied
        if format not in export.Format:
            raise Http404
        try:
            rows: QuerySet[Any] = self.get_changelist_instance(request).get_queryset(request)
            pieces = recorded(rows, format=format, query=request.GET, by=request.user)
        except export.FormatUnavailable as error:
            self.message_user(request, str(error), messages.ERROR)
            address = reverse(f"admin:{self.opts.app_label}_{self.opts.model_name}_changelist")
            return HttpResponseRedirect(f"{address}?{request.GET.urlencode()}")
        stamp, suffix = timezone.localtime().strftime("%Y-%m-%d-%H%M"), export.Format(format).suffix
        return StreamingHttpResponse(
            pieces,
            content_type=export.CONTENT_TYPES[export.Format(format)],
            headers={
                "Content-Disposition": f'attachment; filename="{self.opts.model_name}-{stamp}.{suffix}"'
            },
        )
