"""Forms of the scraping admin."""

import re
from typing import Any

from django import forms
from django.contrib.auth.models import AnonymousUser, User
from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

from adminkit.forms import EndField
from adminkit.secret_field import SecretField
from database.names import folded
from scraping.content.holds import REASON_MAX
from scraping.models import SUBREDDIT_NAME, BotConfig, RedditApp
from scraping.subreddit_names import plain_subreddit

_SEPARATORS = re.compile(r"[\s,;，、]+")


class SubredditsField(forms.CharField):
    """Subreddit names as text, one per line or separated by commas; a list in Python."""

    widget = forms.Textarea

    def prepare_value(self, value: Any) -> Any:
        """Show a stored list with one name per line."""
        return "\n".join(str(name) for name in value) if isinstance(value, list) else value

    def to_python(self, value: Any) -> Any:
        """Return the names without r/ and without repetitions, in the order they were written."""
        names: dict[str, str] = {}
        for word in _SEPARATORS.split(super().to_python(value) or ""):
            name = plain_subreddit(word)
            if name:
                names.setdefault(folded(name), name)
        return list(names.values())

    def validate(self, value: Any) -> None:
        """Refuse an empty list, and names that are invalid on Reddit."""
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


class LinesField(forms.CharField):
    """Texts, one per line; a list in Python."""

    widget = forms.Textarea(attrs={"rows": 2, "cols": 40, "spellcheck": "false", "class": "vLargeTextField"})

    def prepare_value(self, value: Any) -> Any:
        """Show a stored list with one text per line."""
        return "\n".join(str(text) for text in value) if isinstance(value, list) else value

    def to_python(self, value: Any) -> Any:
        """Return the lines that are not empty, each once."""
        lines = (super().to_python(value) or "").splitlines()
        return list(dict.fromkeys(line.strip() for line in lines if line.strip()))

    def has_changed(self, initial: Any, data: Any) -> bool:
        """Compare lists, not the way they were written."""
        return bool(list(initial or []) != self.to_python(data))


_WITH_DEFAULTS = {"comment_requests", "comment_refresh_hours"}


class BotConfigForm(forms.ModelForm):
    """The form of a bot config."""

    # The owner of a new bot if the form has no field for it.
    person: User | AnonymousUser = AnonymousUser()

    subreddits = SubredditsField(
        label=_("Subreddits"),
        help_text=_("One per line, or separated by commas; r/ before the name is allowed."),
        widget=forms.Textarea(
            attrs={"rows": 4, "cols": 40, "spellcheck": "false", "class": "vLargeTextField"}
        ),
    )

    flairs_wanted = LinesField(
        label=_("Only these flairs"), required=False, help_text=_("One per line; case does not matter.")
    )
    flairs_unwanted = LinesField(label=_("Not these flairs"), required=False)
    domains_wanted = LinesField(
        label=_("Only these domains"),
        required=False,
        help_text=_(
            "One per line, such as example.org, which includes its subdomains; self means text posts."
        ),
    )
    domains_unwanted = LinesField(label=_("Not these domains"), required=False)

    class Meta:
        model = BotConfig
        # The admin's fieldsets decide the fields; a list here would be ignored.
        fields: tuple[str, ...] = ()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name in _WITH_DEFAULTS & self.fields.keys():
            self.fields[name].required = False
        if "app" in self.fields:
            app_field: Any = self.fields["app"]
            app_field.queryset = RedditApp.objects.visible_to(self.person)

    def clean(self) -> dict[str, Any]:
        """Replace empty numbers by their defaults; refuse an empty search."""
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        for name in _WITH_DEFAULTS & self.fields.keys():
            if cleaned.get(name) is None and name not in self.errors:
                cleaned[name] = getattr(BotConfig(), name)
        if cleaned.get("sort") == BotConfig.Sort.SEARCH and not cleaned.get("query"):
            self.add_error("query", ValidationError(_("Write the words to search for."), code="required"))
        self._refuse_a_name_twice(cleaned)
        self._refuse_a_foreign_app(cleaned)
        return cleaned

    def _owner_id(self, cleaned: dict[str, Any]) -> int | None:
        owner = cleaned.get("owner")
        return owner.pk if owner else self.instance.owner_id or self.person.pk

    def _refuse_a_foreign_app(self, cleaned: dict[str, Any]) -> None:
        # The owner's rights count, not the editor's, because the bot scrapes for its owner.
        app, owner = cleaned.get("app"), User.objects.filter(pk=self._owner_id(cleaned) or 0).first()
        if app and owner and not RedditApp.objects.visible_to(owner).filter(pk=app.pk).exists():
            text = _(
                "The owner of this app is not the owner of the bot: choose another app, or share this one."
            )
            self.add_error("app", ValidationError(text, code="foreign"))

    def _refuse_a_name_twice(self, cleaned: dict[str, Any]) -> None:
        # Django checks the constraint only if the form has both of its fields.
        bot: BotConfig = self.instance
        namesakes = BotConfig.objects.filter(owner_id=self._owner_id(cleaned), name=cleaned.get("name"))
        namesakes = namesakes.exclude(pk=bot.pk)
        if "name" in cleaned and namesakes.exists():
            text = _("A bot with this name exists already: choose another name.")
            self.add_error("name", ValidationError(text, code="unique"))


class RedditAppForm(forms.ModelForm):
    """The form of an OAuth client; its secret can be set but is never shown."""

    new_secret = SecretField(label=_("Client secret"), is_masked=True)

    class Meta:
        model = RedditApp
        # The admin decides the fields.
        fields: tuple[str, ...] = ()

    def clean_owner(self) -> Any:
        """Refuse an owner for a shared app that bots of other people use."""
        owner = self.cleaned_data["owner"]
        if owner is None or self.instance.pk is None:
            return owner
        foreign = self.instance.bot_configs.exclude(owner=owner).exclude(owner__is_superuser=True)
        names = ", ".join(foreign.values_list("name", flat=True)[:5])
        if names:
            raise ValidationError(
                _("Bots of other people use this app (%(names)s): give them another one first."),
                code="in-use",
                params={"names": names},
            )
        return owner

    def save(self, commit: bool = True) -> Any:
        """Store a secret only if one was entered."""
        if self.cleaned_data["new_secret"]:
            self.instance.client_secret = self.cleaned_data["new_secret"]
        return super().save(commit)


class ReleaseForm(forms.Form):
    """The form with the reason for a release."""

    reason = forms.CharField(
        label=_("Reason"),
        max_length=REASON_MAX,
        widget=forms.TextInput(attrs={"class": "vTextField", "size": 60}),
    )


class HoldForm(ReleaseForm):
    """The form with the reason for a hold, and its optional end."""

    until = EndField(label=_("Held until"), help_text=_("Empty: until somebody releases them."))
