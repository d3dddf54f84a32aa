"""The pages of second factors: django-allauth's views in the console's frame, at the console's addresses."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from allauth.account.views import reauthenticate
from allauth.core import context
from allauth.mfa import signals
from allauth.mfa.base import views as base
from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes import views as recovery_codes
from allauth.mfa.totp import views as totp
from allauth.mfa.webauthn import views as webauthn
from django.conf import settings
from django.contrib import admin, messages
from django.contrib.auth.decorators import login_required
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.db.models.signals import post_save, pre_delete
from django.dispatch import receiver
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.functional import Promise
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.cache import never_cache
from django.views.generic import RedirectView

from accounts import second_factor
from accounts.openid.pages import THROUGH
from audit import access

View = Callable[..., HttpResponse]


def framed(view: View, title: Promise, *, for_strangers: bool = False) -> View:
    """Return the view with the context of all console pages; only for people who may use the console."""

    @never_cache
    @wraps(view)
    def answer(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if not for_strangers and request.user.is_authenticated and not admin.site.has_permission(request):
            raise PermissionDenied(gettext("Your account may not use the console."))
        response = view(request, *args, **kwargs)
        if isinstance(response, TemplateResponse):
            frame = {
                **admin.site.each_context(request),
                "title": title,
                "help_contact": settings.HELP_CONTACT,
                "must_have_factor": second_factor.must_set_up(request.user),
                "has_password": isinstance(request.user, User) and request.user.has_usable_password(),
            }
            response.context_data = {**frame, **(response.context_data or {})}
        return response

    return answer


def removing(view: View) -> View:
    """Refuse to remove the last second factor of a person who must have one."""

    @wraps(view)
    def answer(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        user = request.user
        if isinstance(user, User) and second_factor.is_last_and_required(user):
            messages.error(
                request, gettext("You must have a second factor: set up another before you remove this one.")
            )
            return HttpResponseRedirect(reverse("mfa_index"))
        return view(request, *args, **kwargs)

    return answer


_FACTORS, _APP, _CODES = _("Second factor"), _("Authenticator app"), _("Recovery codes")

urlpatterns: list[URLPattern] = [
    path("", framed(base.index, _FACTORS), name="mfa_index"),
    path("code/", framed(base.authenticate, _FACTORS, for_strangers=True), name="mfa_authenticate"),
    path("password/", framed(reauthenticate, _("Your password again")), name="account_reauthenticate"),
    path("app/add/", framed(totp.activate_totp, _APP), name="mfa_activate_totp"),
    path("app/remove/", framed(removing(totp.deactivate_totp), _APP), name="mfa_deactivate_totp"),
    path(
        "recovery-codes/", framed(recovery_codes.view_recovery_codes, _CODES), name="mfa_view_recovery_codes"
    ),
    path(
        "recovery-codes/new/",
        framed(recovery_codes.generate_recovery_codes, _CODES),
        name="mfa_generate_recovery_codes",
    ),
    path(
        "passkeys/", login_required(RedirectView.as_view(pattern_name="mfa_index")), name="mfa_list_webauthn"
    ),
    path("passkeys/add/", framed(webauthn.add_webauthn, _("Add a passkey")), name="mfa_add_webauthn"),
    path(
        "passkeys/<int:pk>/remove/",
        framed(removing(webauthn.remove_webauthn), _("Remove a passkey")),
        name="mfa_remove_webauthn",
    ),
    path(
        "passkeys/log-in/",
        framed(webauthn.login_webauthn, _FACTORS, for_strangers=True),
        name="mfa_login_webauthn",
    ),
]

# Where a person who must set up a second factor may go before that.
_FREE = (
    "mfa_index", "account_reauthenticate", "mfa_activate_totp", "mfa_view_recovery_codes",
    "mfa_generate_recovery_codes", "mfa_list_webauthn", "mfa_add_webauthn",
    "admin:logout", "admin:password_change", "admin:session", "admin:jsi18n", "account_login",
)  # fmt: skip


class SecondFactorMiddleware:
    """Lead people who must have a second factor and have none to the page where they set one up."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Answer the request."""
        is_asked = settings.SECOND_FACTOR_REQUIRED_FOR != "nobody"
        if is_asked and settings.SESSION_COOKIE_NAME in request.COOKIES and _must_go(request):
            return HttpResponseRedirect(reverse("mfa_index"))
        return self._get_response(request)


def _must_go(request: HttpRequest) -> bool:
    # The provider asks for its own, unless the setting says that both are asked for.
    if request.session.get(THROUGH) and not settings.OIDC_SECOND_FACTOR:
        return False
    return second_factor.must_set_up(request.user) and request.path not in {reverse(name) for name in _FREE}


def _changes_own(factor: Authenticator) -> User | None:
    """Return the person of the request if the factor is theirs; a reset by a superuser has an event of its own."""
    user = getattr(context.request, "user", None)
    return user if isinstance(user, User) and user.pk == factor.user_id else None


# Receivers of the rows, not of django-allauth's signals, which are sent after the commit: the event belongs into the
# transaction of the change.
@receiver(post_save, sender=Authenticator, dispatch_uid="accounts.factor_added")
def _added(*, instance: Authenticator, created: bool, **_kwargs: Any) -> None:
    user = _changes_own(instance)
    if created and user is not None:
        is_codes = instance.type == Authenticator.Type.RECOVERY_CODES
        access.factor_event(
            access.FACTOR_RENEWED if is_codes else access.FACTOR_ADDED, user, str(instance.type)
        )


@receiver(pre_delete, sender=Authenticator, dispatch_uid="accounts.factor_removed")
def _removed(*, instance: Authenticator, **_kwargs: Any) -> None:
    user = _changes_own(instance)
    # Recovery codes go with the last factor, or before new ones.
    if user is not None and instance.type != Authenticator.Type.RECOVERY_CODES:
        access.factor_event(access.FACTOR_REMOVED, user, str(instance.type))


@receiver(signals.authentication_failed, dispatch_uid="accounts.factor_failed")
def _failed(*, user: User, authenticator: Authenticator, **_kwargs: Any) -> None:
    access.factor_failed(user, str(authenticator.type))
