"""The WSGI entry point that gunicorn serves."""

import os

from django.conf import settings
from django.core.wsgi import get_wsgi_application

from database.statement_timeout import limit_statements

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "console.settings")

application = get_wsgi_application()
limit_statements(settings.WEB_STATEMENT_TIMEOUT_SECONDS)
