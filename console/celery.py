"""The Celery application; ``maintenance.tasks`` creates one task for each job of the registry."""

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "console.settings")

from typing import Any

from celery import Celery
from celery.signals import setup_logging

from console import messages

messages.install()
app = Celery("console")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks(["maintenance"])
# By name: the step needs Django's models, which are not loaded yet.
app.steps["worker"].add("maintenance.ledger.workers:Liveness")
app.steps["consumer"].add("maintenance.ledger.workers:Ear")


@setup_logging.connect(weak=False)
def leave_logging_to_the_settings(**_kwargs: Any) -> None:
    """Do nothing, so that Celery does not set its own level, and LOG_LEVEL applies to workers and schedulers too."""
