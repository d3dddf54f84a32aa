"""Each role follows all that it is shown, in a real browser, in both languages: nothing is refused, nothing is false."""

import random
import re
from collections import Counter
from urllib.parse import parse_qsl, urljoin, urlsplit

import pytest

from tests import filled
from tests.console.test_links import LEFT_OUT
from tests.e2e.reading import (
    READ_PAGE,
    REPORT_CSP,
    UNRENDERED,
    names_of_people_and_things,
    unfold,
    untranslated,
)
from tests.soak import size

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.soak]

ROLES = ("Viewers", "Operators", "Approvers", "Bot owners", "superuser")
LOCALES = {"en": "en-US", "zh-hans": "zh-CN"}
# Addresses of files, which a browser stores instead of showing.
FILES = re.compile(r"/export/|/log/(\?|$)|[?&]format=csv(&|$)")
# Of addresses that differ by a row or by values only, so many are opened.
OF_ONE_SHAPE = size(1, 4)
# Pages that one walk opens.
PAGES_MAX = size(17, 2000)


def shape(address):
    """Return what equally made addresses share: no keys, no values."""
    parts = urlsplit(address)
    names = sorted(name for name, _value in parse_qsl(parts.query, keep_blank_values=True))
    return re.sub(r"/\d+(?=/)", "/#", parts.path), tuple(names)


def inside(origin, page, address):
    """Return an address of the console without its fragment; None where it leads out of it."""
    parts = urlsplit(urljoin(page, address))
    if f"{parts.scheme}://{parts.netloc}" != origin or not parts.path.startswith("/admin/"):
        return None
    return None if parts.path.startswith(LEFT_OUT) else parts._replace(fragment="").geturl()


class Walk:
    """One person's walk through the console: the pages opened and the faults found."""

    def __init__(self, page, origin, language, chance):
        self.page, self.origin, self.language, self.chance = page, origin, language, chance
        self.opened, self.faults, self.next_runs = [], [], 0
        self.names = names_of_people_and_things()
        page.add_init_script(REPORT_CSP)
        page.on("console", lambda message: message.type == "error" and self.fault(message.text))
        page.on("pageerror", lambda error: self.fault(str(error)))
        page.on(
            "response", lambda answer: answer.status >= 400 and self.fault(f"{answer.status} {answer.url}")
        )

    def fault(self, text):
        """Note what is wrong with the page that is open."""
        self.faults.append((self.page.url.removeprefix(self.origin), text))

    def go(self, start):
        """Open a page, and what it leads to."""
        waiting, met = [start], Counter()
        while waiting and len(self.opened) < PAGES_MAX:
            address = waiting.pop(self.chance.randrange(len(waiting)))
            found = self.open(address)
            for link in sorted({inside(self.origin, address, one) for one in found} - {None}):
                if met[shape(link)] < OF_ONE_SHAPE:
                    met[shape(link)] += 1
                    waiting.append(link)
        return self

    def open(self, address):
        """Open one page; return its links."""
        self.opened.append(address)
        if FILES.search(address):
            answer = self.page.context.request.get(address)
            if answer.status != 200:
                self.fault(f"{answer.status} {address}")
            return []
        self.page.goto(address)
        unfold(self.page)
        seen = self.page.evaluate(READ_PAGE)
        self.read(seen)
        return seen["links"]

    def read(self, seen):
        """Note values that were not rendered."""
        if not seen["title"].partition("|")[0].strip() or not seen["heading"].strip():
            self.fault("no title")
        if seen["language"] != self.language:
            self.fault(f"language {seen['language']}")
        self.next_runs += seen["nextRuns"]
        for late in seen["late"]:
            self.fault(f"next run in the past: {late}")
        if seen["wide"] > 0:
            self.fault(f"{seen['wide']} px wider than its window")
        for found in UNRENDERED.finditer(seen["shown"]):
            self.fault(seen["shown"][max(0, found.start() - 40) : found.end() + 40])
        if self.language == "zh-hans":
            for text in seen["texts"]:
                if untranslated(text, self.names):
                    self.fault(f"not translated: {text[:120]}")


@pytest.fixture
def people(settings, live_server):
    return filled.filled_world(settings)


@pytest.mark.parametrize("language", LOCALES)
def test_each_role_is_shown_only_what_is_open_to_it_and_true(browser, live_server, client, people, language):
    faults, opened, next_runs = {}, {}, 0
    for number, role in enumerate(ROLES):
        if role == "superuser":
            filled.start_maintenance(people[role])
        client.force_login(people[role])
        with browser.new_context(
            locale=LOCALES[language], viewport={"width": 1440, "height": 900}
        ) as context:
            context.add_cookies(
                [{"name": "sessionid", "value": client.cookies["sessionid"].value, "url": live_server.url}]
            )
            walk = Walk(context.new_page(), live_server.url, language, random.Random(number))
            walk.go(f"{live_server.url}/admin/")
        faults[role], opened[role] = walk.faults, len(walk.opened)
        next_runs += walk.next_runs

    said = dict.fromkeys(f"{role}: {one}" for role in ROLES for one in faults[role])
    assert not said, "\n".join(said)
    assert min(opened.values()) > 15, opened
    assert next_runs > 20, next_runs
