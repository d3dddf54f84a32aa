"""Pictures for the README, of a made-up fortnight: `make screenshots` renews docs/images/."""

from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings
from playwright.sync_api import expect

from console import demo_history
from database import clock
from maintenance.models import BeatLease, BeatProcess, JobRun, WorkerProcess

pytestmark = pytest.mark.django_db(transaction=True)

IMAGES = settings.BASE_DIR / "docs/images"
PICTURES: dict[str, dict[str, Any]] = {
    "dashboard": {"viewport": {"width": 1440, "height": 900}},
    "dashboard-dark": {"viewport": {"width": 1440, "height": 900}, "color_scheme": "dark"},
    "dashboard-phone": {"viewport": {"width": 360, "height": 800}, "locale": "zh-CN"},
}


@pytest.fixture(params=PICTURES)
def picture(request):
    return request.param


@pytest.fixture
def browser_context_args(browser_context_args, picture):
    return {**browser_context_args, **PICTURES[picture]}


def serve():
    """Let schedulers and workers be alive while the picture is taken."""
    now = clock.now()
    soon = now + timedelta(seconds=20)
    lease = {"holder": "web1:4711:a", "expires_at": soon, "ticked_at": now, "acquired_at": now}
    BeatLease.objects.update_or_create(pk=BeatLease.ROW, defaults=lease)
    BeatProcess.objects.update_or_create(holder="web2:4711:b", defaults={"seen_at": now})
    for number in range(1, 5):
        seen = {"started_at": now, "seen_at": now, "listening_at": now, "taken_at": now}
        WorkerProcess.objects.update_or_create(name=f"worker{number}", defaults=seen)
    JobRun.objects.running().update(heartbeat_at=now)


def test_take_a_picture_of_the_dashboard(signed_in, superuser, picture, settings):
    settings.REDDIT_CLIENT_ID = "console"  # no banner of the sandbox
    demo_history.make(owner=superuser)
    serve()
    page = signed_in
    page.goto("/admin/")
    expect(page.locator("#stored.cards section")).to_have_count(3)
    IMAGES.mkdir(exist_ok=True)
    page.screenshot(path=IMAGES / f"{picture}.png", full_page=picture != "dashboard-phone")
