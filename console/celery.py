"""The Celery application; ``maintenance.tasks`` creates one task for each job of the registry."""

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "console.settings")

from typing import Any

from celery import Celery
from celery.signals import celeryd_after_setup, setup_logging, worker_process_init, worker_process_shutdown

from console import messages
from console.tracing import switch as tracing

messages.install()
app = Celery("console")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks(["maintenance"])
# By name: the step needs Django's models, which are not loaded yet.
app.steps["worker"].add("maintenance.ledger.workers:Liveness")
app.steps["consumer"].add("maintenance.ledger.workers:EventLoopNote")


@setup_logging.connect(weak=False)
def leave_logging_to_the_settings(**_kwargs: Any) -> None:
    """Do nothing, so that Celery does not set its own level, and LOG_LEVEL applies to workers and schedulers too."""


@celeryd_after_setup.connect(weak=False)
def load_what_traces(**_kwargs: Any) -> None:
    """Import it before the pool forks, whose children have four seconds to start."""
    tracing.load()


@worker_process_init.connect(weak=False)
def trace_this_process(**_kwargs: Any) -> None:
    """Begin in each child of the pool, because threads do not survive a fork."""
    tracing.start()


@worker_process_shutdown.connect(weak=False)
def send_the_last_spans(**_kwargs: Any) -> None:
    """Send them before the child ends, which it does without exit handlers."""
    tracing.stop()
