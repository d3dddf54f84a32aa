"""The page of personal API tokens: one's own, and for superusers those of others."""

from typing import Any

from django import forms
from django.conf import settings
from django.contrib import admin, messages
from django.contrib.auth.models import User
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts import limits, personal_tokens
from accounts.models import PersonalToken, Scope
from accounts.openid import people
from accounts.openid.pages import was_confirmed
from accounts.sessions import may_see

PASSWORD_RATE = "5/5m"  # noqa: S105  (a rate)


class TokenForm(forms.Form):
    """A new token. The password is asked for, because a token outlives the session."""

    name = forms.CharField(label=_("Name"), max_length=100, help_text=_("What will use it."))
    scopes = forms.MultipleChoiceField(
        label=_("It may"), choices=Scope.choices, widget=forms.CheckboxSelectMultiple, initial=[Scope.READ]
    )
    days = forms.TypedChoiceField(
        label=_("Valid for"),
        coerce=int,
        choices=lambda: [
            (days, ngettext("%(days)s day", "%(days)s days", days) % {"days": days})
            for days in personal_tokens.DAYS
        ],
        initial=90,
    )
    password = forms.CharField(
        label=_("Your password"),
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "current-password"}),
    )

    def __init__(self, *args: Any, person: User, **options: Any) -> None:
        super().__init__(*args, **{"label_suffix": "", **options})
        self._person = person
        if not person.has_usable_password():
            del self.fields["password"]

    def clean_password(self) -> str:
        """Check it; five wrong ones within five minutes make every one wrong."""
        password: str = self.cleaned_data["password"]
        key = f"personal-token-{self._person.pk}"
        allowed = limits.allows("token_password", key, rate=PASSWORD_RATE)
        if not (allowed and self._person.check_password(password)):
            raise forms.ValidationError(_("The password is wrong, or too many wrong ones were entered."))
        limits.forget("token_password", key, rate=PASSWORD_RATE)
        return password


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def own(request: HttpRequest) -> HttpResponse:
    """List one's own tokens, and make one; its secret is in this answer only."""
    user = request.user
    assert isinstance(user, User)
    form = TokenForm(request.POST if request.method == "POST" else None, person=user)
    secret = made = None
    must_confirm = _must_confirm(request, user)
    if must_confirm and form.is_bound:
        form.add_error(None, _("Confirm who you are first."))
    elif form.is_valid():
        values = {name: form.cleaned_data[name] for name in ("name", "scopes", "days")}
        try:
            made, secret = personal_tokens.make(user, by=user, **values)
            form = TokenForm(person=user)
        except ValueError as error:
            form.add_error("name", str(error))
    return _page(request, user, form=form, secret=secret, made=made, must_confirm=must_confirm)


def _must_confirm(request: HttpRequest, user: User) -> bool:
    """Whether the person has no password to type, and the provider has to ask them instead."""
    return not user.has_usable_password() and people.signs_in_through_it(user) and not was_confirmed(request)


@never_cache
@require_safe
def of_somebody(request: HttpRequest, user_id: int) -> HttpResponse:
    """List the tokens of another account."""
    return _page(request, _account(request, user_id))


@require_POST
def revoke(request: HttpRequest, pk: int) -> HttpResponse:
    """Revoke a token."""
    token = PersonalToken.objects.select_related("user").filter(pk=pk).first()
    # The same answer for a missing token and for that of somebody else.
    if token is None or not may_see(request.user, token.user):
        raise Http404(str(_("There is no such token.")))
    personal_tokens.revoke(token, by=request.user)
    messages.success(request, _("The token “%(name)s” was revoked.") % {"name": token.name})
    is_own = token.user == request.user
    return HttpResponseRedirect(
        reverse("admin:my_tokens") if is_own else reverse("admin:tokens_of", args=[token.user.pk])
    )


def _page(request: HttpRequest, user: User, **more: Any) -> HttpResponse:
    is_own = user.pk == request.user.pk
    names = dict(Scope.choices)
    context = {
        **admin.site.each_context(request),
        "title": _("My API tokens") if is_own else _("API tokens of %(name)s") % {"name": user},
        "person": user,
        "is_own": is_own,
        "provider": settings.OIDC_NAME,
        "found": [
            {"row": row, "scopes": [names.get(one, one) for one in row.scopes], "is_over": row.is_over}
            for row in personal_tokens.of(user, by=request.user)
        ],
        **more,
    }
    return TemplateResponse(request, "account/tokens.html", context)


def _account(request: HttpRequest, user_id: int) -> User:
    user = User.objects.filter(pk=user_id).first()
    if user is None or not may_see(request.user, user):
        raise Http404(str(_("There is no such account, or you may not see its tokens.")))
    return user


def urls(site: admin.AdminSite) -> list[URLPattern]:
    """Return the addresses of the pages, for people who may use the console."""
    return [
        path("my-tokens/", site.admin_view(own), name="my_tokens"),
        path("my-tokens/<int:pk>/revoke/", site.admin_view(revoke), name="token_revoke"),
        path("tokens-of/<int:user_id>/", site.admin_view(of_somebody), name="tokens_of"),
    ]
