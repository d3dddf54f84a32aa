"""Deletes bots; lists their schedules, and deletes these too if the person chooses so."""

from collections.abc import Sequence
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse

from scraping import dependents
from scraping.admin import bot_edits
from scraping.models import BotConfig

# The name of the check box on both pages.
FIELD = "schedules"


class BotDeletion(admin.ModelAdmin):
    """Extends Django's two delete pages for the admin of bots."""

    records_deletions = False
    delete_confirmation_template = "scraping/bot_delete.html"
    delete_selected_confirmation_template = "scraping/bots_delete.html"

    def delete_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Show the schedules of the bot."""
        bot = self.get_object(request, object_id)
        context = _context(request, [bot]) if isinstance(bot, BotConfig) else {}
        return super().delete_view(request, object_id, {**context, **(extra_context or {})})

    def response_action(
        self, request: HttpRequest, queryset: QuerySet[Any], *args: Any, **kwargs: Any
    ) -> HttpResponse | None:
        """Show the schedules of the selected bots."""
        response = super().response_action(request, queryset, *args, **kwargs)
        if isinstance(response, TemplateResponse) and response.context_data is not None:
            selected = response.context_data.get("queryset")
            if selected is not None:
                response.context_data |= _context(request, list(selected))
        return response

    def delete_model(self, request: HttpRequest, obj: BotConfig) -> None:
        """Delete the bot, and its schedules if the person chose so."""
        bot_edits.delete_bot(obj, by=request.user, with_schedules=FIELD in request.POST)


def _context(request: HttpRequest, bots: Sequence[BotConfig]) -> dict[str, Any]:
    schedules = dependents.schedules()
    found = schedules.of(bots) if schedules else []
    return {
        "bot_schedules": found,
        "may_see_schedules": bool(schedules and schedules.may_see(request.user)),
        "may_delete_schedules": bool(schedules and schedules.may_delete(request.user)),
    }
