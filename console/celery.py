"""The Celery application: one task a job, made from the registry.

``worker_shutting_down`` sets ``STOPPING``, which the prefork children inherit: a running job sees it
at its next checkpoint, saves its cursor and hands back (Celery itself tells children nothing on SIGTERM).
"""

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "console.settings")

from celery import Celery

app = Celery("console")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks(["maintenance"])
