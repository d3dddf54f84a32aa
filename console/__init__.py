"""The Django project: settings, URLs, the Celery application, the admin site."""

from console.celery import app as celery_app

__all__ = ["celery_app"]
