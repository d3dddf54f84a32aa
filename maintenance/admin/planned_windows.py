"""The page of maintenance windows that are planned in advance: list, plan with a preview, end one early, delete."""

from typing import Any
from zoneinfo import ZoneInfo

from django import forms
from django.conf import settings
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, render
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.dates import WEEKDAYS
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_GET, require_POST

from adminkit.forms import MomentField
from adminkit.long_select import LongSelect
from database import clock, zones
from maintenance.admin.maintenance_mode import tell_what_still_holds
from maintenance.models import PlannedWindow
from maintenance.models.groups import groups
from maintenance.models.maintenance_mode import ALL
from maintenance.scheduling import maintenance_mode, planned_windows
from maintenance.scheduling.planned_windows import InvalidWindow, Plan, scope_name, weekday_names
from maintenance.scheduling.window_preview import window_preview

ONCE, WEEKLY = "once", "weekly"
SHOWN_MAX = 200


def scopes() -> list[tuple[str, Any]]:
    """Return the choices of what a window holds."""
    return [(ALL, _("all schedules")), *((group.slug, group.title) for group in groups())]


class WindowForm(forms.Form):
    """What a window holds, when, and why. Only the fields of its kind are asked for."""

    scope = forms.ChoiceField(label=_("Scope"), choices=scopes, required=False)
    kind = forms.ChoiceField(
        label=_("Repeats"),
        choices=[(ONCE, _("once")), (WEEKLY, _("every week"))],
        widget=forms.RadioSelect,
        initial=ONCE,
    )
    timezone = forms.ChoiceField(label=_("Time zone"), widget=LongSelect)
    starts_at = MomentField(label=_("Starts"), help_text=_("For a window that happens once."))
    ends_at = MomentField(label=_("Ends"))
    weekdays = forms.MultipleChoiceField(
        label=_("Weekdays"),
        choices=[(str(day), name) for day, name in WEEKDAYS.items()],
        widget=forms.CheckboxSelectMultiple,
        required=False,
        help_text=_("For a window of every week: the days on which it begins."),
    )
    from_time = forms.TimeField(
        label=_("From"), widget=forms.TimeInput(format="%H:%M", attrs={"type": "time"}), required=False
    )
    to_time = forms.TimeField(
        label=_("To"),
        widget=forms.TimeInput(format="%H:%M", attrs={"type": "time"}),
        required=False,
        help_text=_("A time that is not later is on the next day."),
    )
    reason = forms.CharField(
        label=_("Reason"), max_length=500, widget=forms.TextInput(attrs={"class": "vTextField", "size": 60})
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        fields: dict[str, Any] = self.fields
        fields["timezone"].choices = [(name, name) for name in zones.offered()]
        fields["timezone"].initial = settings.TIME_ZONE
        zone = zones.find(str(self.data.get("timezone") or settings.TIME_ZONE))
        fields["starts_at"].zone = fields["ends_at"].zone = zone
        # A date without a time, typed or sent by a script, is its midnight.
        for name in ("starts_at", "ends_at"):
            fields[name].input_formats = ["%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M", "%Y-%m-%d"]

    def plan(self) -> Plan:
        """Return when the window is to be open; only of a valid form."""
        told = self.cleaned_data
        if told["kind"] == ONCE:
            return Plan(told["starts_at"], told["ends_at"], timezone=told["timezone"])
        return Plan(
            weekdays=frozenset(int(day) for day in told["weekdays"]),
            from_time=told["from_time"],
            to_time=told["to_time"],
            timezone=told["timezone"],
        )

    def clean(self) -> dict[str, Any]:
        """Refuse a window that never opens."""
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        if self.errors:
            return cleaned
        if cleaned["kind"] == WEEKLY and not cleaned["weekdays"]:
            self.add_error("weekdays", gettext("Choose at least one day."))
            return cleaned
        try:
            self.window = planned_windows.drafted(
                self.plan(), scope=cleaned["scope"], reason=cleaned["reason"]
            )
        except InvalidWindow as error:
            self.add_error(error.field if error.field in self.fields else None, str(error))
        return cleaned


def page(request: HttpRequest) -> HttpResponse:
    """List the windows (GET); plan one (POST), or only show its preview, which works without JavaScript."""
    _require(request)
    form = WindowForm(request.POST or None)
    is_preview = "preview" in request.POST
    if request.method == "POST" and form.is_valid() and not is_preview:
        reason, scope = form.cleaned_data["reason"], form.cleaned_data["scope"]
        row = planned_windows.plan_window(form.plan(), by=request.user, reason=reason, scope=scope)
        starts = row.starts_at.astimezone(ZoneInfo(row.timezone))
        told = {"time": f"{starts:%Y-%m-%d %H:%M}", "zone": row.timezone}
        messages.success(request, gettext("The window is planned. It opens at %(time)s %(zone)s.") % told)
        return HttpResponseRedirect(reverse("admin:planned_windows"))
    rows = _rows()
    context = {
        **admin.site.each_context(request),
        "title": _("Maintenance windows"),
        "form": form,
        "rows": rows[:SHOWN_MAX],
        "more": max(0, len(rows) - SHOWN_MAX),
        "preview": window_preview(form.window) if is_preview and form.is_valid() else None,
    }
    return TemplateResponse(request, "maintenance/planned_windows.html", context)


@require_GET
def preview(request: HttpRequest) -> HttpResponse:
    """Show what the window that is being typed would hold (a fragment)."""
    _require(request)
    form = WindowForm(request.GET)
    form.fields["reason"].required = False
    found = window_preview(form.window) if form.is_valid() else None
    return render(request, "maintenance/_window_preview.html", {"preview": found, "form": form})


@require_POST
def end(request: HttpRequest, key: int) -> HttpResponse:
    """End the occurrence that is open now."""
    _require(request)
    row = get_object_or_404(PlannedWindow, pk=key)
    if planned_windows.end_now(row, by=request.user):
        messages.success(request, gettext("The window is ended: schedules start again."))
        tell_what_still_holds(request, row.scope)
    else:
        messages.warning(request, gettext("The window is not open: there was nothing to end."))
    return HttpResponseRedirect(reverse("admin:planned_windows"))


@require_POST
def delete(request: HttpRequest, key: int) -> HttpResponse:
    """Delete a window."""
    _require(request)
    planned_windows.delete_window(get_object_or_404(PlannedWindow, pk=key), by=request.user)
    messages.success(request, gettext("The window is deleted."))
    return HttpResponseRedirect(reverse("admin:planned_windows"))


def _rows() -> list[dict[str, Any]]:
    """Return the windows that are open now or later, by the time of their next occurrence."""
    now = clock.now()
    planned = PlannedWindow.objects.planned().select_related("planned_by").order_by("pk")
    found = [(span, row) for row in planned if (span := row.next_occurrence(now)) is not None]
    return [
        {
            "window": row,
            "is_open": start <= now,
            "scope": scope_name(row.scope),
            "when": when(row),
            "starts_at": start.astimezone(zones.find(row.timezone)),
            "ends_at": end.astimezone(zones.find(row.timezone)),
        }
        for (start, end), row in sorted(found, key=lambda one: one[0])
    ]


def when(row: PlannedWindow) -> str:
    """Return how a window repeats, in the reader's language."""
    if not row.is_weekly:
        return gettext("once")
    return f"{weekday_names(row.weekdays)} {row.from_time:%H:%M}–{row.to_time:%H:%M}"


def _require(request: HttpRequest) -> None:
    if not request.user.has_perm(maintenance_mode.PERMISSION):
        raise PermissionDenied


def urls(site: admin.AdminSite) -> list[URLPattern]:
    """Return the addresses of the page, for people who may switch maintenance mode."""
    return [
        path("windows/", site.admin_view(page), name="planned_windows"),
        path("windows/preview/", site.admin_view(preview), name="planned_window_preview"),
        path("windows/<int:key>/end/", site.admin_view(end), name="planned_window_end"),
        path("windows/<int:key>/delete/", site.admin_view(delete), name="planned_window_delete"),
    ]
