"""Celery and its broker."""

import hashlib
import os
import tempfile
from pathlib import Path

from kombu import Queue

from .base import VAR_DIR, env
from .web import TIME_ZONE


def private_broker_socket() -> Path:
    """Return the unix socket of the one-machine broker; Linux refuses paths of 108 bytes and more."""
    path = VAR_DIR / "broker.sock"
    if len(os.fsencode(path)) < 104:  # macOS allows 104
        return path
    digest = hashlib.sha256(os.fsencode(VAR_DIR)).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"console-{digest}.sock"


PRIVATE_BROKER_SOCKET = private_broker_socket()
CELERY_BROKER_URL = env.broker("CELERY_BROKER_URL") or f"redis+socket://{PRIVATE_BROKER_SOCKET}"
USES_PRIVATE_BROKER = not env.broker("CELERY_BROKER_URL")

# One queue for each kind of job, so that their workers scale apart: scraping mostly waits for Reddit.
JOB_QUEUES = ("maintenance", "scraping")
# For tasks that are no jobs of the console, and for messages that processes of an earlier release send.
OTHER_QUEUE = "celery"
# A worker takes all of them unless its --queues name some.
CELERY_TASK_QUEUES = [Queue(name) for name in (*JOB_QUEUES, OTHER_QUEUE)]
CELERY_TASK_DEFAULT_QUEUE = OTHER_QUEUE

CELERY_TIMEZONE = TIME_ZONE
CELERY_TASK_IGNORE_RESULT = True  # the ledger (JobRun) is the result
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_TASK_TIME_LIMIT = 3600  # seconds, for tasks that are not jobs: jobs have their own limits (``@job``)
CELERY_BROKER_TRANSPORT_OPTIONS = {
    # Longer than any time limit: a task that runs longer than this is delivered again while it runs.
    "visibility_timeout": 7200,
    # The message of a killed worker is delivered again after 20 s instead of 90 s.
    "unacked_restore_interval": 5,
    "unacked_restore_throttle": 1,
    "socket_timeout": 30,
    "socket_keepalive": True,
    # A send that cannot connect fails soon: the run is stored, and recovery sends its message again.
    "socket_connect_timeout": 5,
    "retry_policy": {"max_retries": 1, "interval_start": 0, "interval_step": 0.2, "timeout": 5.0},
}
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_TASK_PUBLISH_RETRY_POLICY = {"max_retries": 1, "interval_start": 0, "interval_step": 0.2}
# Seconds between SIGQUIT and the end of the running tasks. SIGTERM is the way to stop a worker (ADR 6).
CELERY_WORKER_SOFT_SHUTDOWN_TIMEOUT = 20
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
# Celery would close the database connection around every task, and a new one costs as much as a small run.
# CONN_MAX_AGE and the health check decide instead: each task checks them first (``maintenance.tasks``).
CELERY_DB_REUSE_MAX = 1_000_000
CELERY_BEAT_SCHEDULER = "maintenance.scheduling.beat:LeasedDatabaseScheduler"
CELERY_BEAT_MAX_LOOP_INTERVAL = 1  # seconds; an edit is seen within this time
DJANGO_CELERY_BEAT_TZ_AWARE = True
