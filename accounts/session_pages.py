"""The pages of signed-in browsers: one's own, and for superusers those of others."""

from django.contrib import admin, messages
from django.contrib.auth.models import User
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from accounts import devices, sessions
from accounts.models import LoginSession


@never_cache
@require_safe
def listed(request: HttpRequest, user_id: int | None = None) -> HttpResponse:
    """List the sessions of an account; without an id, the person's own."""
    user = _account(request, user_id)
    is_own = user.pk == request.user.pk
    found = [
        {
            "row": row,
            "device": devices.in_words(row.user_agent),
            "is_current": row.session_id == request.session.session_key,
        }
        for row in sessions.of(user, by=request.user)
    ]
    context = {
        **admin.site.each_context(request),
        "title": _("My sessions") if is_own else _("Sessions of %(name)s") % {"name": user},
        "person": user,
        "is_own": is_own,
        "found": found,
        "others": sum(not one["is_current"] for one in found),
    }
    return TemplateResponse(request, "account/sessions.html", context)


@require_POST
def end(request: HttpRequest, pk: int) -> HttpResponse:
    """End one session."""
    row = LoginSession.objects.select_related("user").filter(pk=pk).first()
    # The same answer for a missing session and for that of somebody else.
    if row is None or not sessions.may_see(request.user, row.user):
        raise Http404(str(_("There is no such session, or it has ended.")))
    is_own, is_current = row.user == request.user, row.session_id == request.session.session_key
    sessions.end(row, by=request.user)
    if is_current:
        # Else this request would save the session that is gone, if its last use was noted again: a 400.
        request.session.flush()
        return HttpResponseRedirect(reverse("admin:login"))
    _say(request, 1)
    return HttpResponseRedirect(_page(row.user, is_own=is_own))


@require_POST
def end_all(request: HttpRequest, user_id: int | None = None) -> HttpResponse:
    """End all sessions of an account, but not the one of this request."""
    user = _account(request, user_id)
    _say(request, sessions.end_all(user, by=request.user, but_session=request.session.session_key))
    return HttpResponseRedirect(_page(user, is_own=user.pk == request.user.pk))


def _account(request: HttpRequest, user_id: int | None) -> User:
    if user_id is None and isinstance(request.user, User):
        return request.user
    user = User.objects.filter(pk=user_id or 0).first()
    if user is None or not sessions.may_see(request.user, user):
        raise Http404(str(_("There is no such account, or you may not see its sessions.")))
    return user


def _page(user: User, *, is_own: bool) -> str:
    return reverse("admin:my_sessions") if is_own else reverse("admin:sessions_of", args=[user.pk])


def _say(request: HttpRequest, number: int) -> None:
    text = ngettext("%(number)s session was ended.", "%(number)s sessions were ended.", number)
    messages.success(request, text % {"number": number})


def urls(site: admin.AdminSite) -> list[URLPattern]:
    """Return the addresses of the pages, for people who may use the console."""
    return [
        path("my-sessions/", site.admin_view(listed), name="my_sessions"),
        path("my-sessions/end-others/", site.admin_view(end_all), name="my_sessions_end"),
        path("my-sessions/<int:pk>/end/", site.admin_view(end), name="session_end"),
        path("sessions-of/<int:user_id>/", site.admin_view(listed), name="sessions_of"),
        path("sessions-of/<int:user_id>/end/", site.admin_view(end_all), name="sessions_of_end"),
    ]
