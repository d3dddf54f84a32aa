"""The list of deliveries: what was told to whom, what is tried again, and what was given up."""

from datetime import timedelta
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.text import capfirst
from django.utils.translation import gettext as _now
from django.utils.translation import gettext_lazy as _

from adminkit.admin_classes import ReadOnlyAdmin
from adminkit.columns import moment_column
from adminkit.links import badge
from alerts.models import Delivery
from alerts.rules import title_in_words
from database import clock

# The dashboard names those that were given up within this time.
GIVEN_UP_WITHIN = timedelta(days=1)
GIVEN_UP_LATELY = "failed-lately"


class StateFilter(admin.SimpleListFilter):
    """Filters deliveries by what became of them."""

    title = _("state")
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        """Offer the three states, and what was given up lately."""
        return [
            ("waiting", _("waiting")),
            ("delivered", _("delivered")),
            ("failed", _("given up")),
            (GIVEN_UP_LATELY, _("given up in the last 24 hours")),
        ]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Delivery]) -> QuerySet[Delivery]:
        """Keep the deliveries in the chosen state."""
        match self.value():
            case "waiting":
                return queryset.filter(next_attempt_at__isnull=False)
            case "delivered":
                return queryset.filter(delivered_at__isnull=False)
            case "failed":
                return queryset.filter(failed_at__isnull=False)
            case "failed-lately":
                return queryset & Delivery.objects.given_up_since(clock.now() - GIVEN_UP_WITHIN)
        return queryset


@admin.register(Delivery)
class DeliveryAdmin(ReadOnlyAdmin):
    """Deliveries are written with alerts and sent by the console; nobody edits them."""

    list_display = (
        "what",
        "event",
        "recipient",
        "state",
        "attempts",
        moment_column(Delivery, "created_at"),
        moment_column(Delivery, "delivered_at"),
        moment_column(Delivery, "next_attempt_at"),
        "answer",
    )
    list_display_links = ("what",)
    list_filter = (StateFilter, "event", "channel")
    list_select_related = ("alert",)
    sortable_by = ()
    fields = (
        "alert",
        *list_display[1:4],
        "channel",
        "route",
        "person",
        "message",
        "attempts",
        "created_at",
        "delivered_at",
        "next_attempt_at",
        "answer",
        "failed_at",
    )
    empty_list = _("Nothing was told to anybody yet. Routes say who is told about which alerts.")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Delivery]:
        """Return all deliveries, the newest first."""
        return Delivery.objects.order_by("-pk")

    @admin.display(description=_("alert"))
    def what(self, delivery: Delivery) -> str:
        """Name the alert."""
        return capfirst(title_in_words(delivery.alert))

    @admin.display(description=_("state"))
    def state(self, delivery: Delivery) -> str:
        """Show what became of it."""
        words = {"succeeded": _now("delivered"), "failed": _now("given up"), "queued": _now("waiting")}
        return badge(delivery.state, words[delivery.state])
