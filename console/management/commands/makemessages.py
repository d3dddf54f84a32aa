"""`manage.py makemessages`: Django's, which also collects what the jobs say of themselves.

A job's title and summary come from its name and docstring, so that it is declared once; gettext looks for
calls. For the time of the collection they stand in a file of calls.
"""

from typing import Any

from django.conf import settings
from django.core.management.commands import makemessages

from maintenance.ledger import requests  # noqa: F401  (declares the jobs)
from maintenance.registry import jobs


class Command(makemessages.Command):
    """Collect messages, the jobs' too."""

    def handle(self, *args: Any, **options: Any) -> None:
        """Collect."""
        texts = [text for job in jobs() for text in (job.english_title, job.english_summary)]
        file = settings.BASE_DIR / "maintenance" / "job_texts_for_gettext.py"
        file.write_text("".join(f"_({text!r})\n" for text in texts))
        try:
            super().handle(*args, **options)
        finally:
            file.unlink()
