"""A form widget for a choice among hundreds of options."""

from collections.abc import Iterable
from typing import Any

from django import forms
from django.forms.utils import flatatt
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString


class LongSelect(forms.Select):
    """A ``<select>`` without option groups, written as one string: one template for each of 600 options takes 50 ms."""

    def render(
        self, name: str, value: Any, attrs: dict[str, Any] | None = None, renderer: Any = None
    ) -> SafeString:
        """Return the element; the option with this value is selected."""
        found = self.build_attrs(self.attrs, {"name": name, **(attrs or {})})
        return format_html("<select{}>{}</select>", flatatt(found), self.drawn_options(value))

    def drawn_options(self, value: Any) -> SafeString:
        """Return the options alone; the one with this value is selected."""
        chosen = "" if value is None else str(value)
        return format_html_join(
            "",
            '<option value="{}"{}>{}</option>',
            ((key, " selected" if str(key) == chosen else "", label) for key, label in self.offered(chosen)),
        )

    def offered(self, chosen: str) -> Iterable[tuple[Any, Any]]:
        """Return the choices that the page has."""
        return self.choices
