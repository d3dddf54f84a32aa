"""Each role follows everything that it is shown: no link and no button leads to a refusal."""

import re
from collections import Counter
from html.parser import HTMLParser
from urllib.parse import parse_qsl, urljoin, urlsplit

import pytest
from django.urls import reverse

from tests.console.test_access import ROLES, make_world, verdict
from tests.soak import size

pytestmark = pytest.mark.django_db

# Of addresses that differ only by the row or by the values of filters, so many are followed.
ALIKE_MAX = size(2, 1_000_000)

# Addresses that leave the console, or would end the walk.
LEFT_OUT = ("/admin/logout/", "/static/")


class Shown(HTMLParser):
    """The addresses that a page offers: links, fragments, and the targets of its forms and buttons."""

    def __init__(self):
        super().__init__()
        self.links, self.posts = set(), set()
        self._posts_to = None
        # Forms by their ids, and ids of forms that a button outside them names.
        self._forms, self._named = {}, set()

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        if tag == "a" and given.get("href"):
            self.links.add(given["href"])
        if given.get("hx-get"):
            self.links.add(given["hx-get"])
        if tag == "form":
            self._posts_to = given.get("action", "") if given.get("method", "").lower() == "post" else None
            self._forms[given.get("id")] = self._posts_to
        submits = (
            given.get("type", "submit") in ("submit", "image")
            if tag == "button"
            else given.get("type") == "submit"
        )
        if tag in ("button", "input") and submits and "disabled" not in given:
            if "form" in given:
                self._named.add(given["form"])
                return
            target = given.get("formaction") or self._posts_to
            if target is not None:
                self.posts.add(target)

    def close(self):
        super().close()
        self.posts |= {self._forms[name] for name in self._named} - {None}

    def handle_endtag(self, tag):
        if tag == "form":
            self._posts_to = None


def kind(address):
    """Return the key by which addresses count as the same page: sorting by another column is not another page."""
    parts = urlsplit(address)
    return parts.path, tuple(sorted(name for name, _value in parse_qsl(parts.query, keep_blank_values=True)))


def shape(address):
    """Return what addresses of different rows, with different filters share."""
    path, names = kind(address)
    return re.sub(r"/\d+(?=/)", "/#", path), bool(names)


def inside(page, address):
    """Return the absolute path of an address on a page; None if it is outside the console."""
    parts = urlsplit(urljoin(page, address))
    if parts.netloc or parts.scheme not in ("", "http") or not parts.path.startswith("/admin/"):
        return None
    if parts.path.startswith(LEFT_OUT):
        return None
    return parts._replace(fragment="").geturl()


def walk(client, start):
    """Visit the reachable addresses, up to ALIKE_MAX of each shape; return the refused ones as (page, method, address)."""
    waiting, met, refused = [start], {kind(start)}, []
    alike = Counter()
    while waiting:
        page = waiting.pop()
        answer = client.get(page, follow=True)
        if "html" not in answer.get("Content-Type", ""):
            continue
        shown = Shown()
        shown.feed(answer.content.decode())
        shown.close()
        for method, found in (("get", shown.links), ("post", shown.posts)):
            for address in sorted({inside(page, one) for one in found} - {None}):
                mark = (*kind(address), method) if method == "post" else kind(address)
                if mark in met:
                    continue
                met.add(mark)
                alike[method, shape(address)] += 1
                if alike[method, shape(address)] > ALIKE_MAX:
                    continue
                if verdict(client, method, address) != "yes":
                    refused.append((page, method, address))
                elif method == "get":
                    waiting.append(address)
    return refused, len(met)


@pytest.mark.slow
@pytest.mark.parametrize("role", ROLES)
def test_nothing_is_shown_that_is_then_refused(client, role):
    people, _owned, _one = make_world()
    client.force_login(people[role])

    refused, met = walk(client, reverse("admin:index"))

    assert not refused, "\n".join(map(str, refused))
    assert met > (3 if role == "no role" else 20)
