"""`manage.py makemessages`: Django's command, which also collects the titles and summaries of jobs.

A job's title and summary come from its name and docstring, so that they are declared once; gettext looks for
calls. During the collection a temporary file contains these calls.
"""

from typing import Any

from django.conf import settings
from django.core.management.commands import makemessages

from maintenance.ledger import requests  # noqa: F401  (declares the jobs)
from maintenance.registry import jobs


class Command(makemessages.Command):
    """Collect messages, including those of the jobs."""

    def handle(self, *args: Any, **options: Any) -> None:
        """Collect."""
        texts = [text for job in jobs() for text in (job.english_title, job.english_summary)]
        file = settings.BASE_DIR / "maintenance" / "job_texts_for_gettext.py"
        file.write_text("".join(f"_({text!r})\n" for text in texts))
        try:
            super().handle(*args, **options)
        finally:
            file.unlink()
