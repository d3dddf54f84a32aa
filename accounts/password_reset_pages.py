"""The pages of a forgotten password."""

from typing import Any

from django import forms
from django.conf import settings
from django.contrib import admin, messages
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_safe

from accounts import password_reset
from adminkit.address import client_address

TOO_MANY = 429


class AskForm(forms.Form):
    """Whose password was forgotten."""

    login = forms.CharField(
        label=_("User name or mail address"),
        max_length=254,
        widget=forms.TextInput(
            attrs={"autocomplete": "username", "autocapitalize": "none", "autofocus": True}
        ),
    )


class NewPasswordForm(forms.Form):
    """The secret of the mail and the new password."""

    code = forms.CharField(
        label=_("Code from the mail"),
        max_length=100,
        widget=forms.TextInput(
            attrs={"autocomplete": "off", "autocapitalize": "none", "spellcheck": "false"}
        ),
    )
    password = forms.CharField(
        label=_("New password"),
        strip=False,
        max_length=4096,
        help_text=_("At least ten characters, and none that others would guess."),
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
    )
    again = forms.CharField(
        label=_("The new password again"),
        strip=False,
        max_length=4096,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
    )

    def clean(self) -> dict[str, Any]:
        """Refuse two different passwords."""
        cleaned: dict[str, Any] = super().clean() or {}
        if "password" in cleaned and "again" in cleaned and cleaned["password"] != cleaned["again"]:
            self.add_error("again", gettext("The two passwords differ."))
        return cleaned


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def ask(request: HttpRequest) -> HttpResponse:
    """Ask for a mail."""
    form = AskForm(request.POST if request.method == "POST" else None, label_suffix="")
    status = 200
    if form.is_valid():
        try:
            password_reset.ask(
                login=form.cleaned_data["login"],
                address=client_address(request),
                link=absolute(request, reverse("password_reset_confirm")),
            )
            return HttpResponseRedirect(reverse("password_reset_sent"))
        except password_reset.TooManyResets:
            form.add_error(None, gettext("Too many requests: wait an hour, then try again."))
            status = TOO_MANY
    return _page(request, "account/password_reset.html", _("Forgot your password?"), status, form=form)


@never_cache
@require_safe
def sent(request: HttpRequest) -> HttpResponse:
    """Say that a mail is on its way if there is such an account."""
    return _page(request, "account/password_reset_sent.html", _("Look into your mail"))


@sensitive_post_parameters()
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def confirm(request: HttpRequest) -> HttpResponse:
    """Take the secret and the new password."""
    form = NewPasswordForm(request.POST if request.method == "POST" else None, label_suffix="")
    status = 200
    if form.is_valid():
        try:
            password_reset.confirm(
                secret=form.cleaned_data["code"],
                password=form.cleaned_data["password"],
                address=client_address(request),
            )
            messages.success(request, gettext("Your password was changed. Log in with it."))
            return HttpResponseRedirect(reverse("admin:login"))
        except password_reset.TooManyResets:
            form.add_error(None, gettext("Too many requests: wait an hour, then try again."))
            status = TOO_MANY
        except password_reset.ResetRefused:
            form.add_error("code", gettext("This code is wrong, was used, or is older than an hour."))
        except ValidationError as error:
            form.add_error("password", error)
    return _page(request, "account/password_reset_confirm.html", _("Set a new password"), status, form=form)


def absolute(request: HttpRequest, path: str) -> str:
    """Return the address of a page for a mail: at ``CONSOLE_URL``, or at the host of the request, which is allowed."""
    return (
        f"{settings.CONSOLE_URL.rstrip('/')}{path}"
        if settings.CONSOLE_URL
        else request.build_absolute_uri(path)
    )


def _page(request: HttpRequest, template: str, title: Any, status: int = 200, **context: Any) -> HttpResponse:
    frame = {**admin.site.each_context(request), "title": title, "help_contact": settings.HELP_CONTACT}
    return TemplateResponse(request, template, {**frame, **context}, status=status)
