"""Every page, as it is read: in light and dark, on a telephone, in Chinese, and by axe."""

from importlib.resources import files
from typing import Any

import pytest
from playwright.sync_api import expect

from scraping.sandbox import SandboxReddit
from tests.kit import factories
from tests.pages import every_page

pytestmark = pytest.mark.django_db(transaction=True)

MODES: dict[str, dict[str, Any]] = {
    "light": {},
    "dark": {"color_scheme": "dark"},
    "narrow": {"viewport": {"width": 390, "height": 844}},
    "zh": {"locale": "zh-CN"},
}
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


@pytest.fixture(params=MODES)
def mode(request):
    return request.param


@pytest.fixture
def browser_context_args(browser_context_args, mode):
    return {**browser_context_args, **MODES[mode]}


@pytest.fixture
def addresses(superuser):
    return every_page(superuser)


def open_page(page, address):
    """Open it and wait until what it loads by itself is there."""
    response = page.goto(address)
    expect(page.locator(".preview:empty")).to_have_count(0)
    return response


def test_no_page_complains_or_is_wider_than_its_window(signed_in, addresses, complaints, mode):
    page = signed_in
    width = MODES[mode].get("viewport", {"width": 1440})["width"]
    for address in addresses:
        response = open_page(page, address)
        assert response.status == 200, address
        assert complaints == [], address
        assert page.evaluate("document.documentElement.scrollWidth") <= width, address
        language = page.evaluate("document.documentElement.lang")
        assert language == ("zh-hans" if mode == "zh" else "en"), address


@pytest.fixture(scope="session")
def axe():
    """axe-core's source, as its Playwright package carries it."""
    return (files("axe_playwright_python") / "axe.min.js").read_text()


def violations(page, axe):
    options = {"runOnly": RULES, "resultTypes": ["violations"], "preload": False}
    # Evaluated, not added as a script element: the CSP forbids that, and stays on.
    result = page.evaluate(f"options => {{ {axe}; return axe.run(document, options) }}", options)
    return [(rule["id"], rule["nodes"][0]["html"][:200]) for rule in result["violations"]]


def test_axe_finds_nothing_on_any_page(page, signed_in, addresses, axe):
    for address in ["/admin/login/", *addresses]:
        open_page(page, address)
        assert violations(page, axe) == [], address


def test_axe_finds_nothing_on_what_a_bots_trials_answer(signed_in, superuser, axe, mode, settings):
    page = signed_in
    bot = factories.bot_config(owner=superuser, min_score=5)
    for score in (1, 9):
        factories.post(score=score)
    with SandboxReddit(rate_limit=1_000_000) as reddit:
        settings.REDDIT_CLIENT_ID = settings.REDDIT_CLIENT_SECRET = "sandbox"
        settings.REDDIT_URL = settings.REDDIT_OAUTH_URL = reddit.url
        for button in (0, 1):
            page.goto(f"/admin/scraping/botconfig/{bot.pk}/change/")
            with page.expect_popup() as opened:
                page.locator("button[formaction]").nth(button).click()
            answer = opened.value
            expect(answer.locator("#content-main tbody th").first).to_be_visible()
            assert answer.evaluate("document.documentElement.scrollWidth") <= page.viewport_size["width"]
            assert violations(answer, axe) == []
