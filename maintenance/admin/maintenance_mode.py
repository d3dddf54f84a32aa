"""The pages of maintenance mode and of the pauses of groups of jobs: a reason and an optional end; one click ends it."""

from dataclasses import dataclass

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.timezone import get_current_timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from adminkit.admin_classes import holding_for_edit
from database import clock
from maintenance.admin.pause_form import PauseForm
from maintenance.models.groups import get_group
from maintenance.scheduling import maintenance_mode


class MaintenanceModeForm(PauseForm):
    """Why nothing scheduled starts, and perhaps until when."""

    endless = gettext_lazy("Time zone: %(zone)s. Empty: until somebody ends it.")


@dataclass(frozen=True)
class Words:
    """The texts of a switch's page."""

    address: str
    title: str
    meaning: str
    start: str
    end: str
    is_on: str
    is_off: str


def _words(scope: str) -> Words:
    if (group := get_group(scope)) is not None:
        return Words(
            address=f"admin:maintenance_pause_{group.slug}",
            title=group.pause,
            meaning=group.meaning,
            start=group.pause,
            end=group.resume,
            is_on=group.is_on,
            is_off=group.is_off,
        )
    return Words(
        address="admin:maintenance_mode",
        title=_("Maintenance mode"),
        meaning=_(
            "While it is on, nothing scheduled starts; what somebody starts by hand still runs, and what is running"
            " goes on. Slots that pass meanwhile are written down as skipped."
        ),
        start=_("Start maintenance mode"),
        end=_("End maintenance mode"),
        is_on=_("Maintenance mode is on: nothing scheduled starts."),
        is_off=_("Maintenance mode is off: schedules start again."),
    )


def mode_page(request: HttpRequest, scope: str = maintenance_mode.ALL) -> HttpResponse:
    """Show a switch (GET); switch it on, change it, switch it off (POST). The caller wraps it in ``admin_view``."""
    if not request.user.has_perm(maintenance_mode.PERMISSION):
        raise PermissionDenied
    with holding_for_edit(request, maintenance_mode.current(scope)):
        return _mode_page(request, scope)


def _mode_page(request: HttpRequest, scope: str) -> HttpResponse:
    words = _words(scope)
    here = HttpResponseRedirect(reverse(words.address))
    if request.method == "POST" and "end" in request.POST:
        maintenance_mode.end(by=request.user, scope=scope)
        messages.success(request, words.is_off)
        tell_what_still_holds(request, scope)
        return here
    mode = maintenance_mode.current(scope)
    stored = {"reason": mode.reason if mode.is_on else "", "until": mode.until if mode.is_on else None}
    form = MaintenanceModeForm(
        request.POST if request.method == "POST" else None,
        initial=stored,
        stored={"is_on": mode.is_on, **stored},
        zone=get_current_timezone(),
    )
    if request.method == "POST" and form.is_valid():
        reason, until = form.cleaned_data["reason"], form.cleaned_data["until"]
        maintenance_mode.start(by=request.user, reason=reason, until=until, scope=scope)
        messages.success(request, words.is_on)
        return here
    context = {
        **admin.site.each_context(request),
        "title": words.title,
        "words": words,
        "form": form,
        "mode": mode,
    }
    return TemplateResponse(request, "maintenance/maintenance_mode.html", context)


def tell_what_still_holds(request: HttpRequest, scope: str) -> None:
    """Say that schedules do not start yet, after the end of what held those of this scope, if something else does."""
    if maintenance_mode.Modes().holds_of_group(scope).covers(clock.database_now()):
        messages.warning(request, _("They do not start yet: another pause or window still holds them."))
