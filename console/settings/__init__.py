"""All settings, read from the environment.

With an empty environment the console runs on one machine: SQLite and a private broker under
``var/``. ``DATABASE_URL`` and ``CELERY_BROKER_URL`` are enough to use PostgreSQL and Redis instead.
An unusable value ends the start with one line: the variable, the fault, the remedy (``console.environment``).
"""

from .base import *  # noqa: F403  Django reads all settings from one module
from .logs import *  # noqa: F403
from .maintenance import *  # noqa: F403
from .openid import *  # noqa: F403
from .people import *  # noqa: F403
from .reddit import *  # noqa: F403
from .storage import *  # noqa: F403
from .tasks import *  # noqa: F403
from .web import *  # noqa: F403
