"""Notifies people that a run waits for a decision."""

import logging
from typing import Any

from django.conf import settings
from django.core.mail import send_mail
from django.dispatch import Signal, receiver
from django.utils import translation

from database.messages import gettext as _
from maintenance.models import JobRun

logger = logging.getLogger(__name__)

# Sent with ``run`` when the safety cap has stopped it. The mail below is one receiver; others can be connected.
run_blocked = Signal()


@receiver(run_blocked)
def mail_blocked_run(*, run: JobRun, **_kwargs: Any) -> None:
    """Send a mail to ALERT_EMAILS, if set, that a run waits for a decision, in each language of the console."""
    if not settings.ALERT_EMAILS:
        return
    # The language of a receiver is unknown, and the worker's is irrelevant: first the console's, then the others.
    languages = sorted(dict(settings.LANGUAGES), key=lambda code: code != settings.LANGUAGE_CODE)
    subjects, bodies = [], []
    for language in languages:
        with translation.override(language):
            # Plain strings: a Message would change to the language that is active when it is copied.
            subjects.append(str.__str__(_("%(run)s waits for approval") % {"run": run}))
            bodies.append(f"{subjects[-1]}\n\n{run.message}")
    try:
        send_mail(
            subjects[0],
            "\n\n".join(bodies),
            settings.SERVER_EMAIL,
            settings.ALERT_EMAILS,
        )
    except OSError:
        logger.exception("No mail about %s could be sent.", run)
