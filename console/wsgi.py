"""The WSGI entry point that gunicorn serves."""

import os

import django
from django.conf import settings
from django.core.handlers.wsgi import WSGIHandler

from console import ready
from console.logs import use_for_the_web_server
from console.tracing import switch as tracing
from database.statement_timeout import limit_statements

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "console.settings")

try:
    # As get_wsgi_application() does, but a trace adds middleware between the two. gunicorn has forked already.
    django.setup(set_prefix=False)
    tracing.start()
    application = WSGIHandler()
except SystemExit:
    # Unusable settings, already reported: gunicorn's code for "failed to boot"; with another it would retry for ever.
    raise SystemExit(3) from None
use_for_the_web_server(settings.LOG_FORMAT)
limit_statements(settings.WEB_STATEMENT_TIMEOUT_SECONDS)
ready.load_pages()
