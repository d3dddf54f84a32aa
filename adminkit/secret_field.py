"""A form field for what is stored encrypted and never shown again."""

from collections.abc import Callable
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

# Longer than any address or key in use.
LENGTH_MAX = 2_000


class SecretInput(forms.TextInput):
    """An input whose value is in no page, also not in that of a form with errors."""

    def format_value(self, value: Any) -> None:
        """Return nothing."""
        return


class SecretField(forms.CharField):
    """A secret to enter; left empty, the stored one stays.

    Args:
        check: raises a ValueError that says what is wrong with a value, without the value.
        is_masked: whether the browser shows dots while it is typed: for what is pasted without being read.
    """

    def __init__(
        self, *, check: Callable[[str], object] | None = None, is_masked: bool = False, **kwargs: Any
    ) -> None:
        widget = SecretInput(attrs={"class": "vTextField", "spellcheck": "false"})
        # A password manager must neither fill in its password nor offer to keep this one.
        widget.input_type, complete = ("password", "new-password") if is_masked else ("text", "off")
        widget.attrs["autocomplete"] = complete
        kept = _("Stored encrypted and never shown. Leave empty to keep the stored one.")
        given: dict[str, Any] = {
            "required": False,
            "max_length": LENGTH_MAX,
            "widget": widget,
            "help_text": kept,
        }
        super().__init__(**given | kwargs)
        self._check = check

    def validate(self, value: Any) -> None:
        """Refuse what the check refuses."""
        super().validate(value)
        if value and self._check is not None:
            try:
                self._check(value)
            except ValueError as error:
                raise ValidationError(str(error), code="unusable") from None
