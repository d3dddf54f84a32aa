"""The WSGI entry point that gunicorn serves."""

import os

from django.conf import settings
from django.core.wsgi import get_wsgi_application

from database.statement_timeout import limit_statements

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "console.settings")

try:
    application = get_wsgi_application()
except SystemExit:
    # Unusable settings, already reported: gunicorn's code for "failed to boot"; with another it would retry for ever.
    raise SystemExit(3) from None
limit_statements(settings.WEB_STATEMENT_TIMEOUT_SECONDS)
