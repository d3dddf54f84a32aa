"""Outside failures that tests of this folder need."""

import pytest

from console.celery import app


@pytest.fixture
def no_broker(monkeypatch):
    """A broker that is away: every connection goes to a port where nobody listens."""
    nowhere = "redis://127.0.0.1:1/0"
    send_task = type(app).send_task

    def send_nowhere(self, *args, **options):
        with app.connection_for_write(nowhere) as connection:
            return send_task(self, *args, connection=connection, **options)

    monkeypatch.setattr(type(app), "send_task", send_nowhere)
    monkeypatch.setattr(app, "connection_for_read", lambda: app.connection_for_write(nowhere))
