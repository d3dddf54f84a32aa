"""The Celery application; ``maintenance.tasks`` makes one task a job from the registry."""

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "console.settings")

from celery import Celery

from console import messages

messages.install()
app = Celery("console")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks(["maintenance"])
