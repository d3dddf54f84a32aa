"""The forms of a retention and its overrides."""

from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

from database.names import folded
from maintenance.models import RetentionOverride, RetentionPolicy
from maintenance.registry import Person
from maintenance.retention import Retention, refuse_below_floor, retention_of
from scraping.models import SUBREDDIT_NAME, BotConfig
from scraping.subreddit_names import plain_subreddit


class RetentionForm(forms.ModelForm):
    """The number of days for which a job keeps rows."""

    # Set on the class that the admin makes for each request.
    person: Person

    class Meta:
        model = RetentionPolicy
        fields = ("days", "keeps_live_threads")

    def clean_days(self) -> Any:
        """Refuse to go lower than this person may."""
        if "days" in self.changed_data:
            refuse_below_floor(self.cleaned_data["days"], by=self.person, job=self.instance.job)
        return self.cleaned_data["days"]


class OverrideForm(forms.ModelForm):
    """The override for one subreddit or one bot."""

    subreddit = forms.CharField(
        label=_("Subreddit"), required=False, max_length=60, widget=forms.TextInput(attrs={"size": 24})
    )
    config = forms.ModelChoiceField(
        label=_("Bot"), required=False, queryset=BotConfig.objects.select_related("owner")
    )

    class Meta:
        model = RetentionOverride
        fields = ("subreddit", "config", "days")

    def clean_subreddit(self) -> str:
        """Accept r/name and name."""
        name = plain_subreddit(self.cleaned_data["subreddit"])
        if name and not SUBREDDIT_NAME.match(name):
            raise ValidationError(
                _("%(name)s is not a subreddit name: write it without r/, such as python."),
                code="invalid",
                params={"name": repr(name)},
            )
        return name

    def clean(self) -> dict[str, Any]:
        """Require a subreddit or a bot, but not both."""
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        if (
            "subreddit" in cleaned
            and "config" in cleaned
            and bool(cleaned["subreddit"]) == bool(cleaned["config"])
        ):
            raise ValidationError(_("Name either a subreddit or a bot."), code="one_target")
        return cleaned

    def validate_unique(self) -> None:
        """Do nothing: the form set is checked and stored as a whole, so a deleted row cannot collide with a new one."""

    def validate_constraints(self) -> None:
        """Do nothing, as above."""


class OverrideFormSet(forms.BaseInlineFormSet):
    """All overrides of one retention."""

    person: Person

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        bots = BotConfig.objects.select_related("owner").order_by("name", "pk")
        # Read once, not once per row.
        self._bots = [("", "---------"), *((bot.pk, f"{bot.name} ({bot.owner})") for bot in bots)]

    def add_fields(self, form: Any, index: int | None) -> None:
        """Offer the bots in each row; label each field by its column, for screen readers."""
        super().add_fields(form, index)
        # A row is identified by its target; its key may be gone, because every edit stores all rows as new ones.
        form.fields["id"] = forms.IntegerField(
            required=False, widget=forms.HiddenInput, initial=form.instance.pk
        )
        form.fields["config"].choices = self._bots
        for field in form.fields.values():
            field.widget.attrs["aria-label"] = field.label

    def clean(self) -> None:
        """Refuse two rows with the same target, and fewer days than this person may set."""
        seen = set()
        stored = retention_of(self.instance).days_by_target()
        for form in self.forms:
            row = form.cleaned_data if form.is_valid() else {}
            if not row or row.get("DELETE"):
                continue
            target = (folded(row["subreddit"]), row["config"].pk if row["config"] else None)
            if target in seen:
                form.add_error(
                    "config" if row["config"] else "subreddit", _("This subreddit or bot is listed twice.")
                )
            seen.add(target)
            if stored.get(target) != row["days"]:  # only days that are new for this target
                try:
                    refuse_below_floor(row["days"], by=self.person)
                except ValidationError as error:
                    form.add_error("days", error)


def edited_retention(form: RetentionForm, formsets: list[OverrideFormSet]) -> Retention:
    """Return the retention of valid forms; without a form set the overrides stay as they are."""
    stored = retention_of(form.instance)
    days = form.cleaned_data["days"]
    keeps = form.cleaned_data.get("keeps_live_threads", stored.keeps_live_threads)
    if not formsets:
        return Retention(days, stored.overrides, keeps_live_threads=keeps)
    rows = [
        RetentionOverride(subreddit=row["subreddit"], config=row["config"], days=row["days"])
        for formset in formsets
        for row in (one.cleaned_data for one in formset.forms)
        if row and not row.get("DELETE")
    ]
    return Retention(days, tuple(rows), keeps_live_threads=keeps)
