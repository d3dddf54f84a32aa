"""Form fields that several apps share."""

from datetime import datetime
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

from database.ends import refuse_end


class EndField(forms.DateTimeField):
    """When something ends by itself; empty: not before somebody ends it."""

    def __init__(self, **kwargs: Any) -> None:
        # The browser's own picker: the admin's pair of fields leaves the second without a label.
        picker = forms.DateTimeInput(format="%Y-%m-%dT%H:%M", attrs={"type": "datetime-local"})
        super().__init__(**{"label": _("Until"), "required": False, "widget": picker, **kwargs})

    def validate(self, value: datetime | None) -> None:
        """Refuse an end that has passed or is absurd."""
        super().validate(value)
        try:
            refuse_end(value)
        except ValueError as error:
            raise ValidationError(str(error), code="end") from None
