"""The routes: who is told about which alerts; and the button that sends a test."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import path, reverse
from django.utils.html import format_html
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_POST

from adminkit.secret_field import SecretField
from alerts.channels import addresses, chat, mail
from alerts.models import Route
from alerts.rules import RULES, title_of
from alerts.trying import send_test

SECRET_MIN = 16


class RouteForm(forms.ModelForm):
    """A route; the address and the secret of a webhook can be set but are never shown."""

    rules = forms.MultipleChoiceField(
        label=_("Rules"),
        required=False,
        widget=forms.CheckboxSelectMultiple,
        help_text=_("None chosen: all rules, also those that a later release adds."),
    )
    new_url = SecretField(label=_("Web address"), check=addresses.check)
    new_chat = SecretField(
        label=_("Apprise address"),
        check=chat.check,
        help_text=_(
            "Such as slack://…, tgram://…, dingtalk://…, feishu://…, wecombot://…, ntfys://…"
            " Stored encrypted and never shown. Leave empty to keep the stored one."
        ),
    )
    new_secret = SecretField(label=_("Secret of the signature"), is_masked=True, min_length=SECRET_MIN)

    class Meta:
        model = Route
        # The admin decides the fields.
        fields: tuple[str, ...] = ()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        rules: Any = self.fields.get("rules")
        if rules is not None:
            rules.choices = [(code, rule.title) for code, rule in RULES.items()]
        people: Any = self.fields.get("person")
        if people is not None:
            people.queryset = User.objects.filter(is_active=True).exclude(email="").order_by("username")

    def clean(self) -> dict[str, Any]:
        """Require what the recipient needs, and drop what it does not."""
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        to = cleaned.get("to")
        needed = {Route.To.GROUP: "group", Route.To.PERSON: "person"}
        for kind, name in needed.items():
            if to != kind:
                cleaned[name] = None
            elif cleaned.get(name) is None and name not in self.errors:
                self.add_error(name, ValidationError(_("This recipient needs it."), code="required"))
        entered: dict[Any, tuple[str, ...]] = {
            Route.To.WEBHOOK: ("new_url", "new_secret"),
            Route.To.CHAT: ("new_chat",),
        }
        if to != self.instance.to:
            for name in entered.get(to, ()):
                if not cleaned.get(name) and name not in self.errors:
                    self.add_error(name, ValidationError(_("This recipient needs it."), code="required"))
        return cleaned

    def _post_clean(self) -> None:
        # Before Django checks the constraints.
        cleaned = self.cleaned_data
        if cleaned.get("to") == Route.To.WEBHOOK:
            self.instance.url = cleaned.get("new_url") or self.instance.url
            self.instance.secret = cleaned.get("new_secret") or self.instance.secret
        elif cleaned.get("to") == Route.To.CHAT:
            self.instance.url, self.instance.secret = cleaned.get("new_chat") or self.instance.url, ""
        else:
            self.instance.url = self.instance.secret = ""
        super()._post_clean()  # type: ignore[misc]  # the stubs leave it out


@admin.register(Route)
class RouteAdmin(admin.ModelAdmin):
    """Who is told about which alerts."""

    form = RouteForm
    change_form_template = "alerts/route.html"
    list_display = ("name", "recipient", "least_severity", "about", "escalates_after_minutes", "is_enabled")
    list_select_related = ("group", "person")
    sortable_by = ()
    # One is deleted on its page: the boxes of a list of few short rows are too near each other.
    actions = None
    empty_list = _("There is no route: nobody is told about alerts.")
    fields = (
        "name",
        "to",
        "group",
        "person",
        "new_url",
        "new_secret",
        "new_chat",
        "language",
        "rules",
        "least_severity",
        "escalates_after_minutes",
        "is_enabled",
    )

    def get_fields(self, request: HttpRequest, obj: Route | None = None) -> Any:
        """Return what can be entered; to who may only look, what the list shows."""
        if obj is None or self.has_change_permission(request, obj):
            return self.fields
        return ("name", "recipient", "language", "about", *self.fields[-3:])

    @admin.display(description=_("recipient"))
    def recipient(self, route: Route) -> str:
        """Name the recipient, and what keeps it from being told."""
        named = {Route.To.GROUP: route.group, Route.To.PERSON: route.person, Route.To.WEBHOOK: route.host}
        named[Route.To.CHAT] = route.host
        told = f"{named.get(Route.To(route.to)) or ''} · {route.get_to_display()}".removeprefix(" · ")
        if route.to not in (Route.To.WEBHOOK, Route.To.CHAT) and not mail.is_set():
            return format_html("{} <strong>{}</strong>", told, gettext("EMAIL_URL names no mail server."))
        return told

    @admin.display(description=_("rules"))
    def about(self, route: Route) -> str:
        """Name the rules."""
        return ", ".join(map(title_of, route.rules)) or gettext("all")

    def get_urls(self) -> list[Any]:
        """Add the button that sends a test."""
        view = self.admin_site.admin_view(require_POST(self.test_view))
        return [path("<int:pk>/test/", view, name="alerts_route_test"), *super().get_urls()]

    def test_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Send a test, and show what the receiver's server said."""
        if not self.has_change_permission(request):
            raise PermissionDenied
        route = self.get_object(request, str(pk))
        if route is None:
            raise Http404
        answers = send_test(route, by=request.user)
        for recipient, answer in answers:
            level = messages.SUCCESS if answer.is_delivered else messages.ERROR
            self.message_user(request, f"{recipient}: {answer.text}", level)
        if not answers:
            self.message_user(request, gettext("There is no address to send a test to."), messages.ERROR)
        return HttpResponseRedirect(reverse("admin:alerts_route_change", args=[pk]))
