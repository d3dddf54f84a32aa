"""The page on which a person decides about items that a sweep has set aside."""

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import path, reverse
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_POST

from adminkit.admin_classes import ReadOnlyAdmin
from adminkit.columns import moment_column
from adminkit.links import badge, choice_label
from scraping.compliance import brake
from scraping.models import RedditComment, RedditPost
from scraping.models.set_aside import Doubt, SetAside

ITEMS_SHOWN = 10


@admin.register(SetAside)
class SetAsideAdmin(ReadOnlyAdmin):
    """Items that a sweep did not blank, because too many seem to be gone at once."""

    change_form_template = "scraping/set_aside.html"
    list_display = (
        "what",
        "cause",
        "state_badge",
        "items",
        moment_column(SetAside, "created_at"),
        moment_column(SetAside, "decided_at"),
        "decided_by_name",
    )
    list_display_links = ("what",)
    list_filter = ("state", "cause")
    empty_list = _(
        "No decision is waiting. Where Reddit seems to have lost far too much at once, the check sets the items aside here"
        " instead of blanking them."
    )

    @admin.display(description=_("what"))
    def what(self, row: SetAside) -> str:
        """Name the subreddit, or the number of items and their age."""
        return str(row)

    @admin.display(description=_("state"))
    def state_badge(self, row: SetAside) -> str:
        """Show the state as a badge."""
        kinds = {
            "open": "blocked",
            "confirmed": "succeeded",
            "asked_again": "queued",
            "returned": "cancelled",
        }
        return badge(kinds[row.state], choice_label(row, "state"))

    def get_urls(self) -> list[Any]:
        """Add the two decisions."""
        view = self.admin_site.admin_view(require_POST(self.decide_view))
        return [
            path("<int:pk>/confirm/", view, {"is_right": True}, name="scraping_setaside_confirm"),
            path("<int:pk>/ask-again/", view, {"is_right": False}, name="scraping_setaside_ask_again"),
            *super().get_urls(),
        ]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """Show the figures, a sample of the items and, to people who may decide, the two buttons."""
        row = self.get_object(request, object_id)
        shown: dict[str, Any] = {}
        if row is not None:
            waiting = Doubt.objects.filter(set_aside=row)
            shown = {
                "waiting": waiting.count(),
                "sample": _sample(
                    request, list(waiting.order_by("pk").values_list("fullname", flat=True)[:ITEMS_SHOWN])
                ),
                "may_decide": row.is_open and brake.may_decide(request.user),
                "title": str(row),
                "subtitle": None,  # the default would repeat the title
            }
        return super().change_view(request, object_id, form_url, shown | (extra_context or {}))

    def decide_view(self, request: HttpRequest, pk: int, *, is_right: bool) -> HttpResponse:
        """Confirm Reddit's answer about the items, or start their verification over."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        row = get_object_or_404(SetAside, pk=pk)
        try:
            items = brake.decide(row, is_right=is_right, by=request.user)
        except brake.AlreadyDecided as error:
            self.message_user(request, str(error), messages.ERROR)
        else:
            self.message_user(request, _answer(is_right, items), messages.SUCCESS)
        return HttpResponseRedirect(reverse("admin:scraping_setaside_change", args=[pk]))


def _answer(is_right: bool, items: int) -> str:
    words = {"items": f"{items:,}"}
    if is_right:
        return (
            ngettext(
                "%(items)s item is blanked by the next sweeps, unless Reddit shows it again by then.",
                "%(items)s items are blanked by the next sweeps, unless Reddit shows them again by then.",
                items,
            )
            % words
        )
    return (
        ngettext(
            "%(items)s item is requested again, as if for the first time.",
            "%(items)s items are requested again, as if for the first time.",
            items,
        )
        % words
    )


def _sample(request: HttpRequest, fullnames: list[str]) -> list[tuple[str, str]]:
    """Return text and address of the items that the person may see."""
    return [
        (str(item), reverse(f"admin:scraping_{model._meta.model_name}_change", args=[item.pk]))
        for model in (RedditPost, RedditComment)
        if request.user.has_perm(f"scraping.view_{model._meta.model_name}")
        for item in model.objects.visible_to(request.user).filter(fullname__in=fullnames)
    ]
