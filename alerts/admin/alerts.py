"""The list of alerts: the newest first; a row shows what, since when, how often and why."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.text import capfirst
from django.utils.translation import gettext_lazy as _

from adminkit.admin_classes import ReadOnlyAdmin
from adminkit.columns import moment_column
from adminkit.links import badge, choice_label
from alerts import decisions
from alerts.admin.decisions import AlertDecisions, MuteForm, NoteForm
from alerts.admin.why import causes_of
from alerts.models import Alert
from alerts.rules import RULES, title_in_words, title_of


class RuleFilter(admin.SimpleListFilter):
    """Filters alerts by their rule."""

    title = _("rule")
    parameter_name = "rule"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        """Offer the rules."""
        return [(code, one.title) for code, one in RULES.items()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Alert]) -> QuerySet[Alert]:
        """Keep the alerts of the chosen rule."""
        return queryset.filter(rule=self.value()) if self.value() else queryset


class StateFilter(admin.SimpleListFilter):
    """Filters alerts by whether their condition still holds."""

    title = _("state")
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        """Offer both states."""
        return [("open", _("open")), ("closed", _("closed"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Alert]) -> QuerySet[Alert]:
        """Keep the alerts in the chosen state."""
        match self.value():
            case "open":
                return queryset.filter(closed_at__isnull=True)
            case "closed":
                return queryset.filter(closed_at__isnull=False)
        return queryset


@admin.register(Alert)
class AlertAdmin(AlertDecisions, ReadOnlyAdmin):
    """Alerts are opened and closed by the rules; people acknowledge and mute them."""

    change_form_template = "alerts/alert.html"
    list_display = (
        "what",
        "subject",
        "how_severe",
        moment_column(Alert, "opened_at"),
        moment_column(Alert, "closed_at"),
        "occurrences",
        "flapping",
        "acknowledged_by_name",
        "why",
    )
    list_display_links = ("what",)
    list_filter = (StateFilter, RuleFilter, "severity")
    fields = (
        "what",
        "subject",
        "how_severe",
        "opened_at",
        "closed_at",
        "occurrences",
        "flapping",
        "acknowledged_by_name",
        "last_seen_at",
        "why",
    )
    empty_list = _("There is no alert: no rule has found anything that somebody must know about.")

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """Show the alert, what people have decided and, to people who may decide, the buttons."""
        alert = self.get_object(request, object_id)
        shown: dict[str, Any] = {}
        if alert is not None:
            shown = {
                "title": capfirst(title_in_words(alert)),
                "subtitle": None,
                "causes": causes_of(alert, request.user),
                "mute": decisions.mutes_of(alert).first(),
                "may_decide": decisions.may_decide(alert, request.user),
                "note_form": NoteForm(),
                "mute_form": MuteForm(),
            }
        return super().change_view(request, object_id, form_url, shown | (extra_context or {}))

    def get_queryset(self, request: HttpRequest) -> QuerySet[Alert]:
        """Return the alerts that the person may see, the newest first."""
        return Alert.objects.visible_to(request.user).order_by("-pk")

    @admin.display(description=_("rule"))
    def what(self, alert: Alert) -> str:
        """Name the rule."""
        return capfirst(title_of(alert.rule))

    @admin.display(description=_("subject"))
    def subject(self, alert: Alert) -> str:
        """Name the subject in the reader's language."""
        return alert.subject_in_words

    @admin.display(description=_("severity"))
    def how_severe(self, alert: Alert) -> str:
        """Show the severity as a badge, until the alert is closed."""
        kinds = {Alert.Severity.CRITICAL: "failed", Alert.Severity.WARNING: "warning"}
        label = choice_label(alert, "severity")
        return badge(kinds[Alert.Severity(alert.severity)], label) if alert.closed_at is None else label

    @admin.display(description=_("flapping"))
    def flapping(self, alert: Alert) -> str:
        """Say so only if it is: the icon of a "no" would look like a fault."""
        return str(_("Yes")) if alert.is_flapping else "–"

    @admin.display(description=_("cause"))
    def why(self, alert: Alert) -> str:
        """Show the cause in the reader's language."""
        return alert.cause or "–"
