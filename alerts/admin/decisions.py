"""The buttons of an alert: acknowledge, mute, end the mute; and the action of the list."""

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import F, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import path, reverse
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_POST

from adminkit.templatetags.display import moment
from alerts import decisions
from alerts.models import Alert
from database import clock

# For so many hours a person can mute.
HOURS = (1, 4, 24, 72, 168)
SELECTED_MAX = 200


class MuteForm(forms.Form):
    """For how long, and why."""

    hours = forms.TypedChoiceField(label=_("For how long"), coerce=int)
    reason = forms.CharField(
        label=_("Reason"), max_length=500, widget=forms.TextInput(attrs={"class": "vTextField", "size": 60})
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field: Any = self.fields["hours"]
        field.choices = [
            (hours, ngettext("%(hours)s hour", "%(hours)s hours", hours) % {"hours": hours})
            if hours < 48
            else (hours, ngettext("%(days)s day", "%(days)s days", hours // 24) % {"days": hours // 24})
            for hours in HOURS
        ]


class NoteForm(forms.Form):
    """What whoever looks after an alert has to say."""

    note = forms.CharField(
        label=_("Note"),
        required=False,
        max_length=decisions.NOTE_MAX,
        widget=forms.TextInput(attrs={"class": "vTextField", "size": 60}),
    )


class AlertDecisions(admin.ModelAdmin):
    """What people decide about alerts."""

    actions: Sequence[Any] | None = ["acknowledge_selected"]

    def get_urls(self) -> list[Any]:
        """Add the buttons."""
        views = {"acknowledge": self.acknowledge_view, "mute": self.mute_view, "unmute": self.unmute_view}
        own = [
            path(
                f"<int:pk>/{name}/",
                self.admin_site.admin_view(require_POST(view)),
                name=f"alerts_alert_{name}",
            )
            for name, view in views.items()
        ]
        return [*own, *super().get_urls()]

    def acknowledge_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Acknowledge the alert."""
        alert = self._decidable(request, pk)
        form = NoteForm(request.POST)
        note = form.cleaned_data["note"] if form.is_valid() else ""
        done = gettext("You look after it: it is not escalated.")
        return self._attempt(
            request, alert, lambda: decisions.acknowledge(alert, by=request.user, note=note), done
        )

    def mute_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Mute the alert's rule for its subject."""
        alert = self._decidable(request, pk)
        form = MuteForm(request.POST)
        if not form.is_valid():
            messages.error(request, gettext("Give a reason, and for how long."))
            return _to(alert)
        until = clock.now() + timedelta(hours=form.cleaned_data["hours"])
        reason = form.cleaned_data["reason"]
        done = gettext("Muted until %(moment)s: nobody is told about it.") % {"moment": moment(until)}
        return self._attempt(
            request, alert, lambda: decisions.mute(alert, until=until, reason=reason, by=request.user), done
        )

    def unmute_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """End the mute."""
        alert = self._decidable(request, pk)
        done = gettext("The mute has ended.")
        return self._attempt(request, alert, lambda: decisions.unmute(alert, by=request.user), done)

    @admin.action(description=_("Acknowledge"))
    def acknowledge_selected(self, request: HttpRequest, alerts: QuerySet[Alert]) -> None:
        """Acknowledge the selected alerts, and say which were not possible and why."""
        done, refused = 0, set()
        # Those that can be acknowledged come first, so that the next time goes on with the others.
        nulls_first = {"nulls_first": True}
        ordered = alerts.order_by(
            F("closed_at").asc(**nulls_first), F("acknowledged_at").asc(**nulls_first), "-pk"
        )
        selected = list(ordered[: SELECTED_MAX + 1])
        for alert in selected[:SELECTED_MAX]:
            try:
                decisions.acknowledge(alert, by=request.user)
                done += 1
            except (PermissionDenied, decisions.NotPossible) as error:
                refused.add(str(error))
        if done:
            text = ngettext("%(number)s alert is acknowledged.", "%(number)s alerts are acknowledged.", done)
            messages.success(request, text % {"number": done})
        for why in sorted(refused):
            messages.warning(request, why)
        if len(selected) > SELECTED_MAX:
            text = gettext("More than %(number)s alerts are selected: acknowledge again for the others.")
            messages.warning(request, text % {"number": SELECTED_MAX})

    def _decidable(self, request: HttpRequest, pk: int) -> Alert:
        if not self.has_view_permission(request):
            raise PermissionDenied
        alert: Alert | None = self.get_object(request, str(pk))
        if alert is None:
            raise Http404
        if not decisions.may_decide(alert, request.user):
            raise PermissionDenied
        return alert

    def _attempt(
        self, request: HttpRequest, alert: Alert, change: Callable[[], object], done: str
    ) -> HttpResponse:
        try:
            change()
        except decisions.NotPossible as error:
            messages.warning(request, str(error))
        else:
            messages.success(request, done)
        return _to(alert)


def _to(alert: Alert) -> HttpResponse:
    return HttpResponseRedirect(reverse("admin:alerts_alert_change", args=[alert.pk]))
