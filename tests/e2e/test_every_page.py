"""Every page, in two languages, in light and dark, on a desk's screen and on a phone, checked by axe."""

import itertools
import random
import time
from dataclasses import dataclass, field
from typing import Any

import pytest
from playwright.sync_api import expect

from scraping.sandbox import SandboxReddit
from tests.e2e.reading import (
    CHINESE,
    READ_PAGE,
    REPORT_CSP,
    UNRENDERED,
    names_of_people_and_things,
    unfold,
    untranslated,
    violations,
)
from tests.kit import factories
from tests.pages import every_page, pages_of_strangers, rarer_pages
from tests.soak import IS_SOAK

pytestmark = pytest.mark.django_db(transaction=True)

HTML_BYTES_MAX = 250_000
ROW_PIXELS_MAX = 160
SEED = 47
LOCALES = {"en": "en-US", "zh-hans": "zh-CN"}
HEIGHTS = {1440: 900, 360: 740}
MEASURES = """() => ({
  folded: document.querySelectorAll('details:not([open])').length,
  highest: Math.max(0, ...[...document.querySelectorAll('#result_list tbody tr')].map((row) => row.offsetHeight)),
})"""


@dataclass(frozen=True)
class Mode:
    """How somebody reads."""

    language: str
    scheme: str
    width: int

    @property
    def context(self) -> dict[str, Any]:
        """What the browser is told; without transitions, in whose middle axe would measure a contrast."""
        return {
            "locale": LOCALES[self.language],
            "color_scheme": self.scheme,
            "viewport": {"width": self.width, "height": HEIGHTS[self.width]},
            "reduced_motion": "reduce",
        }


MODES = [Mode(*each) for each in itertools.product(LOCALES, ("light", "dark"), HEIGHTS)]


@dataclass
class Visit:
    """A reader in one mode: the pages that were opened, and what was wrong with them."""

    page: Any
    mode: Mode
    origin: str
    axe: str
    names: list[str]
    opened: int = 0
    runs_of_axe: int = 0
    largest: tuple[int, str] = (0, "")
    highest: tuple[int, str] = (0, "")
    faults: list[tuple[str, str]] = field(default_factory=list)

    def __post_init__(self):
        self.page.add_init_script(REPORT_CSP)
        self.page.on("console", lambda message: message.type == "error" and self.fault(message.text))
        self.page.on("pageerror", lambda error: self.fault(str(error)))
        self.page.on("request", lambda request: self.note_request(request.url))

    def fault(self, text):
        self.faults.append((self.page.url.removeprefix(self.origin), text))

    def note_request(self, url):
        if not url.startswith((f"{self.origin}/", "data:", "blob:")):
            self.fault(f"foreign request: {url}")

    def open(self, address):
        """Open a page; look at it with all that folds open, in a soak also as it comes."""
        self.opened += 1
        response = self.page.goto(address)
        if response.status != 200:
            self.fault(f"status {response.status}")
        # What a page loads by itself is there.
        expect(self.page.locator(".preview:empty, [hx-trigger~='load']:empty")).to_have_count(0)
        self.weigh(response, address)
        found = self.page.evaluate(MEASURES)
        self.highest = max(self.highest, (found["highest"], address))
        if self.mode.width == 360 and found["highest"] > ROW_PIXELS_MAX:
            self.fault(f"a row of {found['highest']} px")
        if found["folded"]:
            if IS_SOAK:
                self.ask_axe()
            unfold(self.page)
        self.ask_axe()
        self.read(self.page.evaluate(READ_PAGE))

    def weigh(self, response, address):
        size = len(response.body())
        self.largest = max(self.largest, (size, address))
        if size > HTML_BYTES_MAX:
            self.fault(f"{size} bytes of HTML")

    def ask_axe(self):
        self.runs_of_axe += 1
        for rule, element in violations(self.page, self.axe):
            self.fault(f"axe: {rule}: {element}")

    def read(self, seen):
        if seen["language"] != self.mode.language:
            self.fault(f"language {seen['language']}")
        if seen["wide"] > 0:
            self.fault(f"{seen['wide']} px wider than its window")
        for table in seen["tables"]:
            self.fault(f"a table without a name, or a heading without a scope: {table}")
        for found in UNRENDERED.finditer(seen["shown"]):
            self.fault(seen["shown"][max(0, found.start() - 40) : found.end() + 40])
        for text in seen["texts"]:
            foreign = CHINESE.search(text) if self.mode.language == "en" else untranslated(text, self.names)
            if foreign:
                self.fault(f"not translated: {text[:120]}")


def drawn(addresses):
    """Return the pages of each mode: each page once, in turn in all modes; all of them in a soak."""
    if IS_SOAK:
        return dict.fromkeys(MODES, addresses)
    shuffled = random.Random(SEED).sample(addresses, len(addresses))
    return {mode: shuffled[number :: len(MODES)] for number, mode in enumerate(MODES)}


@pytest.mark.soak
@pytest.mark.timeout(0 if IS_SOAK else 600)
def test_no_page_has_a_fault_in_any_mode(browser, live_server, client, superuser, axe, capsys):
    addresses = [*every_page(superuser), *rarer_pages(superuser)]
    client.force_login(superuser)
    cookie = {"name": "sessionid", "value": client.cookies["sessionid"].value, "url": live_server.url}
    names = names_of_people_and_things()
    visits, began = [], time.monotonic()
    for mode, pages in drawn(addresses).items():
        with browser.new_context(**mode.context, base_url=live_server.url) as context:
            visit = Visit(context.new_page(), mode, live_server.url, axe, names)
            visits.append(visit)
            for address in pages_of_strangers()[:: 1 if IS_SOAK else 2]:
                visit.open(address)
            context.add_cookies([cookie])
            for address in pages:
                visit.open(address)

    with capsys.disabled():
        print(  # noqa: T201  # the figures of the run
            f"\n{len(addresses)} pages, {sum(visit.opened for visit in visits)} visits in {len(visits)} modes,"
            f" axe ran {sum(visit.runs_of_axe for visit in visits)} times in {time.monotonic() - began:.0f} s;"
            f" largest {max(visit.largest for visit in visits)},"
            f" highest row at 360 {max(visit.highest for visit in visits if visit.mode.width == 360)}"
        )
    faults = dict.fromkeys(
        f"{visit.mode.language} {visit.mode.scheme} {visit.mode.width} {address}: {fault}"
        for visit in visits
        for address, fault in visit.faults
    )
    assert not faults, "\n".join(faults)
    assert {visit.mode for visit in visits if visit.opened > len(addresses) // len(MODES)} == {*MODES}


@pytest.mark.parametrize(
    "mode", [Mode("en", "light", 1440), Mode("zh-hans", "dark", 360)], ids=lambda mode: f"{mode.width}"
)
def test_axe_finds_nothing_on_what_a_bots_trials_answer(
    browser, live_server, client, superuser, axe, mode, settings
):
    bot = factories.bot_config(owner=superuser, min_score=5)
    for score in (1, 9):
        factories.post(score=score)
    client.force_login(superuser)
    with (
        SandboxReddit(rate_limit=1_000_000) as reddit,
        browser.new_context(**mode.context, base_url=live_server.url) as context,
    ):
        settings.REDDIT_CLIENT_ID = settings.REDDIT_CLIENT_SECRET = "sandbox"
        settings.REDDIT_URL = settings.REDDIT_OAUTH_URL = reddit.url
        context.add_cookies(
            [{"name": "sessionid", "value": client.cookies["sessionid"].value, "url": live_server.url}]
        )
        page = context.new_page()
        for button in (0, 1):
            page.goto(f"/admin/scraping/botconfig/{bot.pk}/change/")
            with page.expect_popup() as opened:
                page.locator("button[formaction]").nth(button).click()
            answer = opened.value
            expect(answer.locator("#content-main tbody th").first).to_be_visible()
            assert answer.evaluate("document.documentElement.scrollWidth") <= mode.width
            assert violations(answer, axe) == []
