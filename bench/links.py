"""Every filter, order and link that the console's pages offer, on a filled database, with what is over a target.

Fill a database first (``python -m bench.fill --posts 1000000 --schedules 10000``), then run ``python -m bench.links``
with the same DATABASE_URL; it only reads. It follows the links of all pages of ``bench.pages`` (of each kind of address
a few), and the links of those, which on lists are filters beside one that is set, for at most ``BENCH_MINUTES`` (10). It
prints the slowest pages, and each page over a target: server time in milliseconds, queries, kilobytes.
"""

import gc
import os
import re
import sys
import time
from collections import Counter, deque
from html.parser import HTMLParser
from typing import Any, Final
from urllib.parse import parse_qsl, urljoin, urlsplit

from bench import harness
from bench.pages import (
    IDS,
    PAGES,
    TARGET_DASHBOARD_MS,
    TARGET_KB,
    TARGET_MS,
    TARGET_QUERIES,
    client_of_bench,
    measure,
)

# How many pages of one kind, which differ in numbers and values only, are measured.
OF_A_KIND: Final = int(os.environ.get("BENCH_OF_A_KIND", "2"))
MINUTES: Final = float(os.environ.get("BENCH_MINUTES", "10"))
SHOWN: Final = 25


class Links(HTMLParser):
    """Collects the addresses that a page leads to."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note the address of a link, or of a part that is loaded later."""
        values = dict(attrs)
        address = values.get("href") if tag == "a" else values.get("hx-get")
        if address and not address.startswith(("#", "mailto:")) and "download" not in values:
            self.found.append(address)


def kind_of(address: str) -> tuple[str, tuple[tuple[str, str], ...]]:
    """Return what pages of one kind share: the path without numbers, and the filters with values that are words."""
    parts = urlsplit(address)
    words = tuple(
        (name, value if re.fullmatch(r"[a-z_]{1,20}", value) else "…")
        for name, value in sorted(parse_qsl(parts.query, keep_blank_values=True))
    )
    return re.sub(r"\d+", "0", parts.path), words


def is_page(address: str) -> bool:
    """Tell whether the address is a page of the console that only reads, at once, and belongs in a browser."""
    parts = urlsplit(address)
    left_out = (
        "/logout",
        "/static/",
        "/jsi18n",
        ".csv",
        ".yaml",
        "/download",
        "/export",
        "/oidc/",
        "new_plan=",
    )
    return parts.path.startswith("/admin/") and not any(part in address for part in left_out)


def crawl(client: Any) -> dict[str, dict[str, Any]]:
    """Return the measurements of every page by its address, in the order in which they were found."""
    queue = deque((f"/admin/{address.format(**IDS)}", 0) for address in PAGES.values())
    seen: Counter[tuple[str, tuple[tuple[str, str], ...]]] = Counter()
    known: set[str] = set()
    pages: dict[str, dict[str, Any]] = {}
    ends_at = time.monotonic() + 60 * MINUTES
    while queue and time.monotonic() < ends_at:
        address, depth = queue.popleft()
        kind = kind_of(address)
        if address in known or seen[kind] >= OF_A_KIND or not is_page(address):
            continue
        known.add(address)
        seen[kind] += 1
        answer = client.get(address)
        if answer.status_code != 200 or "text/html" not in answer.headers["Content-Type"]:
            continue
        gc.freeze()  # what this crawl remembers is no part of a page's work
        pages[address] = measure(client, address)
        if is_over(address, pages[address]):
            sys.stderr.write(f"over a target: {address}\n")
        if depth < 2:
            found = Links(answer.content.decode()).found
            queue.extend((urljoin(address, link), depth + 1) for link in found)
    if queue:
        sys.stderr.write(
            f"The time was over with {len(queue)} links left, many of them to pages that are measured.\n"
        )
    return pages


def is_over(address: str, page: dict[str, Any]) -> bool:
    """Tell whether the page is over a target of time, queries or size."""
    limit = TARGET_DASHBOARD_MS if address == "/admin/" else TARGET_MS
    return bool(page["p95"] > limit or page["queries"] > TARGET_QUERIES or page["kb"] > TARGET_KB)


def main() -> None:
    """Print the slowest pages, and all that are over a target."""
    from django.db import connection

    pages = crawl(client_of_bench())
    slowest = sorted(pages.items(), key=lambda item: -item[1]["p95"])
    shown = [*slowest[:SHOWN], *(item for item in slowest[SHOWN:] if is_over(*item))]
    harness.print_table(
        f"{len(pages)} pages on {connection.vendor}; the slowest, and all over a target",
        ["page", "median ms", "p95 ms", "queries", "kB", "over"],
        [
            [
                address.removeprefix("/admin/") or "dashboard",
                f"{page['median']:.0f}",
                f"{page['p95']:.0f}",
                page["queries"],
                f"{page['kb']:.0f}",
                "*" if is_over(address, page) else "",
            ]
            for address, page in shown
        ],
    )


if __name__ == "__main__":
    os.environ.setdefault("LOG_LEVEL", "ERROR")
    harness.set_up()
    main()
