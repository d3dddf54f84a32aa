"""The command lines of the console's services: `up` runs them here, docker-compose.yml in containers.

A test compares the two, so that one machine runs the same commands as production.
"""

import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path

# The environment every service needs.
ENVIRONMENT: Mapping[str, str] = {
    "PYTHONUNBUFFERED": "1",
}

# The environment of a process that does not use the console's settings: it contains no key and no password.
BARE_ENVIRONMENT = frozenset(
    {"PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "PYTHONPATH", "LD_LIBRARY_PATH", *ENVIRONMENT}
)

# Address, method, path without its query (which may contain the name of a Reddit account), status, bytes, milliseconds,
# the request's id.
ACCESS_LOG = '%(h)s "%(m)s %(U)s" %(s)s %(B)s %(M)s %({x-request-id}o)s'

# How long each service may take to end after SIGTERM (seconds), before it is killed.
WEB_GRACE_SECONDS = 15.0  # gunicorn gives open requests 10 s
WORKER_GRACE_SECONDS = 25.0  # a job stops at its next checkpoint, after a batch or a page (ADR 6)
BEAT_GRACE_SECONDS = 10.0


def web(*, host: str = "0.0.0.0", port: int = 8000) -> list[str]:  # noqa: S104  # inside a container; `up` names loopback
    """Return gunicorn's command: 2 processes of 4 threads."""
    address = f"[{host}]" if ":" in host else host
    return [
        "gunicorn", "console.wsgi:application",
        "--bind", f"{address}:{port}",
        "--worker-class", "console.web_worker.DrainingThreadWorker",
        "--workers", "2",
        "--threads", "4",
        "--graceful-timeout", "10",
        "--access-logfile", "-",
        "--access-logformat", ACCESS_LOG,
        "--no-control-socket",
    ]  # fmt: skip


# What a worker takes: the jobs of each kind, and tasks that are no jobs.
QUEUES = ("maintenance", "scraping", "celery")


def worker(*, concurrency: int | str = 4, queues: Sequence[str] = QUEUES, name: str = "worker") -> list[str]:
    """Return the Celery worker's command; ``concurrency`` jobs run at once, from these queues."""
    return [
        "celery", "-A", "console", "--quiet", "worker",
        "--loglevel", "INFO",
        "--concurrency", str(concurrency),
        "--queues", ",".join(queues),
        "--prefetch-multiplier", "1",
        "--hostname", f"{name}@%h",
        "--without-gossip",
        "--without-mingle",
    ]  # fmt: skip


def beat() -> list[str]:
    """Return the scheduler's command; several may run, but only one of them ticks."""
    return ["celery", "-A", "console", "--quiet", "beat", "--loglevel", "INFO", "--pidfile="]


def sandbox_environment(*, var_dir: Path) -> dict[str, str]:
    """Return the sandbox's variables besides ``BARE_ENVIRONMENT``: its own keys instead of the console's."""
    return {
        "READ_DOT_ENV": "false",
        "VAR_DIR": str(var_dir),  # where it keeps its journal
        "SECRET_KEY": secrets.token_urlsafe(50),
        "FIELD_ENCRYPTION_KEY": secrets.token_urlsafe(50),
    }


def sandbox(*, port: int) -> list[str]:
    """Return the command of the synthetic Reddit on loopback."""
    return ["python", "manage.py", "sandbox_reddit", "--port", str(port)]
