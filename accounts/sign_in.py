"""Sign-in through django-allauth, with limits by account and by address.

Each attempt is one log line. The answer does not tell whether an account exists. Second factors and passkeys are apps of
the same library.
"""

import logging
from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from allauth.account.forms import LoginForm
from allauth.account.internal import stagekit
from allauth.account.signals import user_logged_in
from allauth.account.views import LoginView
from django import forms
from django.conf import settings
from django.contrib import admin, messages
from django.contrib.auth.models import AbstractBaseUser, User
from django.core.exceptions import PermissionDenied
from django.dispatch import receiver
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from audit import access

logger = logging.getLogger(__name__)
# How many characters of a typed account name are logged.
NAME_SHOWN = 60


class Adapter(DefaultAccountAdapter):  # type: ignore[misc]  # django-allauth's types are partial
    """The console's changes to django-allauth."""

    error_messages = {
        **DefaultAccountAdapter.error_messages,
        "too_many_login_attempts": _("Too many failed attempts: wait five minutes, then try again."),
    }

    def authenticate(self, request: HttpRequest, **credentials: Any) -> AbstractBaseUser | None:
        """Authenticate within the limits, and log the outcome."""
        try:
            user: AbstractBaseUser | None = super().authenticate(request, **credentials)
        except forms.ValidationError:
            self._log("refused, too many failures", request, credentials)
            access.sign_in_failed(str(credentials.get("username", "")), is_refused=True)
            raise
        if user is None:
            access.sign_in_failed(str(credentials.get("username", "")))
        self._log("signed in" if user else "failed", request, credentials)
        return user

    def pre_login(self, request: HttpRequest, user: AbstractBaseUser, **kwargs: Any) -> HttpResponse | None:
        """Refuse accounts that may not use the console, whatever they signed in with."""
        if not (user.is_active and getattr(user, "is_staff", False)):
            access.sign_in_failed(user.get_username())
            stagekit.clear_login(request)
            messages.error(request, _("Your account may not use the console."))
            return HttpResponseRedirect(reverse("admin:login"))
        response: HttpResponse | None = super().pre_login(request, user, **kwargs)
        return response

    def _log(self, outcome: str, request: HttpRequest, credentials: dict[str, Any]) -> None:
        logger.log(
            logging.INFO if outcome == "signed in" else logging.WARNING,
            "Sign-in %s: account %r, address %s, path %s",
            outcome,
            str(credentials.get("username", ""))[:NAME_SHOWN],
            self.get_client_ip(request),
            request.path,
        )


@receiver(user_logged_in, dispatch_uid="accounts.signed_in")
def signed_in(*, user: User, through: str = "", **_kwargs: Any) -> None:
    """Write the event of a sign-in."""
    access.signed_in(user, through=through)


class SignInForm(LoginForm):  # type: ignore[misc]  # as above
    """The sign-in form of console users; other accounts get the same answer as accounts that do not exist."""

    def clean(self) -> dict[str, Any]:
        """Refuse accounts that may not use the console as if they did not exist."""
        cleaned: dict[str, Any] = super().clean()
        if self.user is not None and not self.user.is_staff:
            access.sign_in_failed(self.user.get_username())
            raise self.adapter_error()
        return cleaned

    def adapter_error(self) -> forms.ValidationError:
        """Return the error of a wrong password."""
        return forms.ValidationError(Adapter.error_messages["username_password_mismatch"])


class SignInView(LoginView):  # type: ignore[misc]  # as above
    """The sign-in page, in the console's frame."""

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """Answer 403 to a signed-in person who may not use the console, instead of a redirect loop."""
        if request.user.is_authenticated and not admin.site.has_permission(request):
            raise PermissionDenied(_("Your account may not use the console."))
        response: HttpResponseBase = super().dispatch(request, *args, **kwargs)
        return response

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Add the context of all console pages."""
        context: dict[str, Any] = super().get_context_data(**kwargs)
        return {
            **admin.site.each_context(self.request),
            "title": _("Log in"),
            "provider": settings.OIDC_ISSUER and settings.OIDC_NAME,
            **context,
        }
