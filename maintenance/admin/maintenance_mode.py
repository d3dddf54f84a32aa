"""The page of the global switch: on with a reason and perhaps an end, off in one click."""

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.timezone import get_current_timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from adminkit.admin_classes import holding_for_edit
from maintenance.admin.pause_form import PauseForm
from maintenance.scheduling import maintenance_mode


class MaintenanceModeForm(PauseForm):
    """Why nothing scheduled starts, and perhaps until when."""

    endless = gettext_lazy("Time zone: %(zone)s. Empty: until somebody ends it.")


def mode_page(request: HttpRequest) -> HttpResponse:
    """Show the switch (GET); start, change or end maintenance mode (POST). The caller wraps it in ``admin_view``."""
    if not request.user.has_perm(maintenance_mode.PERMISSION):
        raise PermissionDenied
    with holding_for_edit(request, maintenance_mode.current()):
        return _mode_page(request)


def _mode_page(request: HttpRequest) -> HttpResponse:
    here = HttpResponseRedirect(reverse("admin:maintenance_mode"))
    if request.method == "POST" and "end" in request.POST:
        maintenance_mode.end(by=request.user)
        messages.success(request, _("Maintenance mode is off: schedules start again."))
        return here
    mode = maintenance_mode.current()
    stored = {"reason": mode.reason if mode.is_on else "", "until": mode.until if mode.is_on else None}
    form = MaintenanceModeForm(
        request.POST if request.method == "POST" else None,
        initial=stored,
        stored={"is_on": mode.is_on, **stored},
        zone=get_current_timezone(),
    )
    if request.method == "POST" and form.is_valid():
        maintenance_mode.start(
            by=request.user, reason=form.cleaned_data["reason"], until=form.cleaned_data["until"]
        )
        messages.success(request, _("Maintenance mode is on: nothing scheduled starts."))
        return here
    return TemplateResponse(
        request,
        "maintenance/maintenance_mode.html",
        {
            **admin.site.each_context(request),
            "title": _("Maintenance mode"),
            "form": form,
            "mode": mode,
        },
    )
