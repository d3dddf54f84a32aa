"""Forms of the scraping admin."""

import re
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

from scraping.models import SUBREDDIT_NAME, BotConfig, RedditApp

# What people put before a name: r/, /r/, or the whole address.
_PREFIX = re.compile(r"^(?:https?://(?:www\.|old\.)?reddit\.com)?/?r/", re.IGNORECASE)
_SEPARATORS = re.compile(r"[\s,;，、]+")


class SubredditsField(forms.CharField):
    """Subreddit names as text, one a line or separated by commas; a list in Python."""

    widget = forms.Textarea

    def prepare_value(self, value: Any) -> Any:
        """Show a stored list one name a line."""
        return "\n".join(str(name) for name in value) if isinstance(value, list) else value

    def to_python(self, value: Any) -> Any:
        """Return the names without r/ and without repetitions, in the order they were written."""
        names: dict[str, str] = {}
        for word in _SEPARATORS.split(super().to_python(value) or ""):
            name = _PREFIX.sub("", word).strip("/")
            if name:
                names.setdefault(name.lower(), name)
        return list(names.values())

    def validate(self, value: Any) -> None:
        """Refuse an empty list, and every name that Reddit would not have."""
        super().validate(value)
        errors = [
            ValidationError(
                _(
                    "“%(name)s” is not a subreddit name: 2 to 21 letters, digits and underscores,"
                    " or u_ and a user’s name."
                ),
                code="invalid",
                params={"name": name},
            )
            for name in value
            if not SUBREDDIT_NAME.match(name)
        ]
        if errors:
            raise ValidationError(errors)

    def has_changed(self, initial: Any, data: Any) -> bool:
        """Compare names, not the way they were written."""
        return bool(list(initial or []) != self.to_python(data))


class BotConfigForm(forms.ModelForm):
    """What one bot scrapes."""

    subreddits = SubredditsField(
        label=_("Subreddits"),
        help_text=_("One a line, or separated by commas; r/ may stand before the name."),
        widget=forms.Textarea(
            attrs={"rows": 4, "cols": 40, "spellcheck": "false", "class": "vLargeTextField"}
        ),
    )

    class Meta:
        model = BotConfig
        fields = (
            "name", "owner", "app", "subreddits", "sort", "time_filter", "post_limit",
            "comment_policy", "comment_limit", "comment_depth", "is_active", "auto_scrape",
        )  # fmt: skip


class RedditAppForm(forms.ModelForm):
    """An OAuth client; its secret goes in and never comes out."""

    new_secret = forms.CharField(
        label=_("Client secret"),
        required=False,
        strip=True,
        widget=forms.PasswordInput(
            render_value=False, attrs={"autocomplete": "new-password", "class": "vTextField"}
        ),
        help_text=_("Stored encrypted and never shown. Leave empty to keep the stored one."),
    )

    class Meta:
        model = RedditApp
        fields = ("name", "client_id", "user_agent")

    def save(self, commit: bool = True) -> Any:
        """Store a secret only where one was typed."""
        if self.cleaned_data["new_secret"]:
            self.instance.client_secret = self.cleaned_data["new_secret"]
        return super().save(commit)
