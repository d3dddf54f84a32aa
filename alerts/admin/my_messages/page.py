"""The page: shows both forms; each is sent to an address of its own."""

from typing import Any

from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_POST, require_safe
from django.views.generic import RedirectView

from alerts import quiet
from alerts.admin.my_messages import language, quiet_hours
from alerts.models import QuietHours


@require_safe
def page(request: HttpRequest) -> HttpResponse:
    """Show both forms."""
    return _show(request)


@require_POST
def set_language(request: HttpRequest) -> HttpResponse:
    """Store in which language and zone the person reads."""
    form = language.form_of(request, request.POST)
    if not form.is_valid():
        return _show(request, language_form=form)
    language.store(request, form)
    return _stored(request, gettext("Language and time zone of your messages are stored."))


@require_POST
def set_quiet_hours(request: HttpRequest) -> HttpResponse:
    """Store the person's own quiet hours."""
    form = quiet_hours.form_of(request, request.POST)
    if not form.is_valid():
        return _show(request, hours_form=form)
    quiet_hours.store(request, form)
    return _stored(request, gettext("Your quiet hours are stored."))


@require_POST
def end_quiet_hours(request: HttpRequest) -> HttpResponse:
    """Delete the person's own quiet hours."""
    quiet.end_quiet_hours(by=request.user)
    return _stored(request, gettext("You have no quiet hours."))


def _show(request: HttpRequest, **sent: Any) -> HttpResponse:
    """Show the page; ``sent``: a form with errors."""
    context = {
        **admin.site.each_context(request),
        "title": _("Messages to me"),
        "language_form": sent.get("language_form") or language.form_of(request),
        "hours_form": sent.get("hours_form") or quiet_hours.form_of(request),
        "has_hours": QuietHours.objects.filter(person=request.user.pk).exists(),
    }
    return TemplateResponse(request, "alerts/my_messages.html", context)


def _stored(request: HttpRequest, text: str) -> HttpResponse:
    messages.success(request, text)
    return HttpResponseRedirect(reverse("admin:my_messages"))


def urls(site: admin.AdminSite) -> list[URLPattern]:
    """Return the addresses of the page, for people who may use the console."""
    moved = require_safe(RedirectView.as_view(pattern_name="admin:my_messages", permanent=True))
    return [
        path("my-messages/", site.admin_view(page), name="my_messages"),
        path("my-messages/language/", site.admin_view(set_language), name="my_messages_language"),
        path("my-messages/quiet-hours/", site.admin_view(set_quiet_hours), name="my_messages_quiet_hours"),
        path(
            "my-messages/quiet-hours/end/",
            site.admin_view(end_quiet_hours),
            name="my_messages_quiet_hours_end",
        ),
        # Where the page was before; people have it among their bookmarks.
        path("quiet-hours/", site.admin_view(moved), name="my_messages_moved"),
    ]
