"""403 and 404 in the console's own frame."""

import pytest
from django.urls import reverse

from tests import factories

pytestmark = pytest.mark.django_db


def test_a_missing_page_says_so_in_the_readers_language(client):
    answer = client.get("/nowhere", headers={"Accept-Language": "zh-hans"})

    assert answer.status_code == 404
    assert "没有这个页面" in answer.content.decode()


def test_a_forbidden_page_says_what_to_do(client):
    client.force_login(factories.user())

    answer = client.get(reverse("admin:maintenance_job_run", args=["purge_old_content"]))

    assert answer.status_code == 403
    assert "lacks the permission" in answer.content.decode()


def test_an_error_page_needs_no_database():
    from django.template.loader import get_template

    assert "Something went wrong" in get_template("500.html").render({})
