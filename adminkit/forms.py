"""Form fields that several apps share."""

from contextlib import AbstractContextManager, nullcontext
from datetime import datetime, tzinfo
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from database.ends import refuse_end


class EndField(forms.DateTimeField):
    """When something ends by itself; empty: not before somebody ends it."""

    def __init__(self, **kwargs: Any) -> None:
        # The browser's own picker: the admin's pair of fields leaves the second without a label.
        picker = forms.DateTimeInput(format="%Y-%m-%dT%H:%M", attrs={"type": "datetime-local"})
        super().__init__(**{"label": _("Until"), "required": False, "widget": picker, **kwargs})
        # In which the moment is written; None: the reader's.
        self.zone: tzinfo | None = None

    def to_python(self, value: Any) -> datetime | None:
        """Read the moment in its zone."""
        with self._in_its_zone():
            return super().to_python(value)

    def prepare_value(self, value: Any) -> Any:
        """Write the moment in its zone."""
        with self._in_its_zone():
            return super().prepare_value(value)

    def _in_its_zone(self) -> AbstractContextManager[None]:
        return timezone.override(self.zone) if self.zone else nullcontext()

    def validate(self, value: datetime | None) -> None:
        """Refuse an end that has passed or is absurd."""
        super().validate(value)
        try:
            refuse_end(value)
        except ValueError as error:
            raise ValidationError(str(error), code="end") from None
