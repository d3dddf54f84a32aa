"""Logs, error reports and monitoring."""

import sys

from .base import env
from .web import DEBUG

LOG_LEVEL = env.text("LOG_LEVEL", default="INFO", one_of=("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"))
# text is for people, json for programs: one object a line.
IS_READ_BY_PEOPLE = DEBUG or (sys.stderr is not None and sys.stderr.isatty())
LOG_FORMAT = env.text("LOG_FORMAT", default="text" if IS_READ_BY_PEOPLE else "json", one_of=("json", "text"))
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "text": {"()": "console.logs.TextLines"},
        "json": {"()": "console.logs.JsonLines"},
    },
    "filters": {
        "refusals": {"()": "console.logs.RefusalInOneLine"},
        "ids": {"()": "console.logs.WithIds"},
    },
    "handlers": {
        "stderr": {
            "class": "logging.StreamHandler",
            "formatter": LOG_FORMAT,
            "filters": ["refusals", "ids"],
        }
    },
    "root": {"handlers": ["stderr"], "level": LOG_LEVEL},
    # PRAW and urllib3 log whole requests at DEBUG; never let a token reach a log.
    "loggers": {
        "prawcore": {"level": "INFO"},
        "urllib3": {"level": "INFO"},
        # Without Django's own handlers: one logs each line twice in DEBUG mode, the other mails error reports.
        "django": {"handlers": [], "level": "INFO"},
    },
}
DEFAULT_EXCEPTION_REPORTER = "console.error_reports.RedactedReporter"
DEFAULT_EXCEPTION_REPORTER_FILTER = "console.error_reports.WithoutSecrets"

# The secret that Prometheus sends as a bearer token to read /metrics; empty: only clients on this host may read it.
METRICS_TOKEN = env.secret("METRICS_TOKEN")

# Where traces are sent, by OTLP over HTTP; empty: nothing is traced. The SDK reads this variable and others itself.
OTEL_EXPORTER_OTLP_ENDPOINT = env.text("OTEL_EXPORTER_OTLP_ENDPOINT") and env.web_address(
    "OTEL_EXPORTER_OTLP_ENDPOINT", default="http://collector.example.org:4318"
)
