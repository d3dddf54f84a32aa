"""Deletes bots; lists their schedules, and deletes these too if the person chooses so."""

from collections.abc import Sequence
from typing import Any

from django.contrib import admin
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse

from scraping import dependents
from scraping.models import BotConfig

# The name of the check box on both pages.
FIELD = "schedules"


class BotDeletion(admin.ModelAdmin):
    """Extends Django's two delete pages for the admin of bots."""

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
        with transaction.atomic():
            _delete_schedules(request, [obj])
            super().delete_model(request, obj)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[BotConfig]) -> None:
        """Delete the bots, and their schedules if the person chose so."""
        with transaction.atomic():
            _delete_schedules(request, list(queryset))
            super().delete_queryset(request, queryset)


def _context(request: HttpRequest, bots: Sequence[BotConfig]) -> dict[str, Any]:
    keeper = dependents.schedules()
    found = keeper.of(bots) if keeper else []
    return {
        "bot_schedules": found,
        "may_see_schedules": bool(keeper and keeper.may_see(request)),
        "may_delete_schedules": bool(keeper and keeper.may_delete(request)),
    }


def _delete_schedules(request: HttpRequest, bots: Sequence[BotConfig]) -> None:
    keeper = dependents.schedules()
    if keeper and FIELD in request.POST and keeper.may_delete(request):
        keeper.delete(request, bots)
