"""Fixtures of signed-in people."""

import pytest

from tests.kit import factories


@pytest.fixture
def owner(client):
    user = factories.user(
        "scraping.view_botconfig", "scraping.add_botconfig", "scraping.change_botconfig",
        "scraping.delete_botconfig", "scraping.view_scrapesession",
    )  # fmt: skip
    client.force_login(user)
    return user
