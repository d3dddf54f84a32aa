"""The ping address in the form of a schedule, and the card with its latest pings."""

from collections.abc import Mapping
from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest
from django.template.loader import render_to_string
from django.utils.translation import gettext_lazy as _
from django_celery_beat.models import PeriodicTask

from adminkit.secret_field import SecretField
from alerts.models import Ping, PingAddress
from alerts.schedule_pings import addresses
from database.messages import gettext
from maintenance.registry import Person

FIELD = "ping_address"
SHOWN_MAX = 6


class PingPart:
    """One field that is never filled in; what is stored is masked in the card."""

    title: Any = _("Ping address")

    def fields(self) -> dict[str, forms.Field]:
        """Return the field."""
        field = SecretField(
            label=_("Ping address"),
            check=addresses.check,
            help_text=_(
                "As of healthchecks.io: told when a run starts, at /start, ends well, or fails, at /fail."
                " Stored encrypted and never shown. Leave empty to keep the stored one."
            ),
        )
        return {FIELD: field}

    def save(self, task: PeriodicTask, cleaned: Mapping[str, Any], *, by: Person) -> None:
        """Store an address that was entered."""
        if url := cleaned.get(FIELD):
            addresses.set_address(task, url, by=by)

    def card(self, request: HttpRequest, task: PeriodicTask, *, may_change: bool) -> str:
        """Show the host, and the latest pings with their answers."""
        address = PingAddress.objects.filter(schedule=task).first()
        if address is None:
            return ""
        pings = Ping.objects.filter(address=address).order_by("-pk")[:SHOWN_MAX]
        shown = {"schedule": task, "address": address, "pings": pings, "may_change": may_change}
        return render_to_string("alerts/_schedule_pings.html", shown, request)

    def act(self, request: HttpRequest, task: PeriodicTask) -> None:
        """Send a test, or take the address away."""
        by: Any = request.user
        if "remove" in request.POST:
            addresses.remove_address(task, by=by)
            messages.success(request, gettext("The ping address was taken away."))
        elif "test" in request.POST:
            answer = addresses.try_address(task, by=by)
            messages.add_message(
                request, messages.SUCCESS if answer.is_delivered else messages.ERROR, answer.text
            )
