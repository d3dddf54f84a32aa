"""Sign-in through django-allauth, with limits by account and by address.

Each attempt is one log line. The answer does not tell whether an account exists. Second factors, passkeys and OpenID
Connect are apps of the same library.
"""

import logging
from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from allauth.account.forms import LoginForm
from allauth.account.signals import user_logged_in
from allauth.account.views import LoginView
from django import forms
from django.contrib import admin
from django.contrib.auth.models import AbstractBaseUser, User
from django.core.exceptions import PermissionDenied
from django.dispatch import receiver
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.translation import gettext_lazy as _

from audit import door

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
            door.sign_in_failed(str(credentials.get("username", "")), is_refused=True)
            raise
        if user is None:
            door.sign_in_failed(str(credentials.get("username", "")))
        self._log("signed in" if user else "failed", request, credentials)
        return user

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
def signed_in(*, user: User, **_kwargs: Any) -> None:
    """Write the event of a sign-in."""
    door.signed_in(user)


class SignInForm(LoginForm):  # type: ignore[misc]  # as above
    """The sign-in form of console users; other accounts get the same answer as accounts that do not exist."""

    def clean(self) -> dict[str, Any]:
        """Refuse accounts that may not use the console as if they did not exist."""
        cleaned: dict[str, Any] = super().clean()
        if self.user is not None and not self.user.is_staff:
            door.sign_in_failed(self.user.get_username())
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
        return {**admin.site.each_context(self.request), "title": _("Log in"), **context}
