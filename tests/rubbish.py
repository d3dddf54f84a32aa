"""Seeded rubbish for the pages: every address that the resolver knows, with parameters that nobody means."""

import json
import re
from dataclasses import dataclass, field
from html.parser import HTMLParser
from urllib.parse import quote, urlencode

from django.apps import apps
from django.contrib import admin
from django.urls import URLResolver, get_resolver
from django.urls.resolvers import RegexPattern

HUGE = "9" * 23
NASTY = (
    "", " ", "0", "-1", "1", "2", "true", "a", "é密", "%", "_", "'", '"', "\\", "(", "[", "{}", "[]", "null", "1,a", "1,2",
    HUGE, f"-{HUGE}", f"1,{HUGE}", "9223372036854775808", "-9223372036854775809", "2147483648", "1e999", "nan", "NaN",
    "Infinity", "1.5", "0x10", "²", "٣", "\0", "a\0b", "\ud800", "\x1b[31m", "\r\nX: y", "99999", "99999-01-01", "0000-00-00",
    "0001-01-01 00:00:00+14:00", "9999-12-31 23:59:59-14:00", "2026-02-30", "2026-11-28T20:00:00+99:99", "12:00",
    "2026-11-28", "2026-11-28 00:00:00+00:00", "None", "__all__", "id", "pk", "password", "../../etc/passwd", "//evil.example",
    "https://evil.example/", "javascript:alert(1)", "<script>", "{{ x }}", "%(x)s", "%s", "(a+)+$", "^(([A-Za-z ,.'])+)+#$",
    '{"config": "\\ud800"}', '{"config": 1e999}', '{"config": 99999999999999999999999}', "[" * 2000, '{"a":' * 500, "x" * 5000, "9" * 4301,
    "u/\0", "u/", "t3_", "t1_\0", "#", "#999999999999999999999", "status", "0.1", "-0", "1-", "-", "1.-2", "on", "default", "*/0", "*/90", "mon#1", "L", "60", "5-1", "*/-1",
    "Europe/Berlin", "Factory", "localtime", "Mars/Base",
)  # fmt: skip
LOOKUPS = (
    "", "exact", "iexact", "in", "range", "regex", "iregex", "contains", "icontains", "startswith", "isnull", "gt", "gte", "lt",
    "lte", "year", "month", "week_day", "date", "time", "hour", "has_key", "contained_by", "isvalid", "pk", "id__in", "0", "x__y", "overlap",
    "date__year__gte", "len", "trunc", "unaccent", "search", "trigram_similar", "id__regex", "password__startswith",
)  # fmt: skip
CONTROLS = (
    "q", "p", "o", "ot", "all", "e", "_popup", "_to_field", "_facets", "_changelist_filters", "_source_model", "next", "after", "before",
    "plan", "config", "days", "app_label", "model_name", "field_name", "term", "job", "subreddit", "hold", "date", "version",
    "permissions", "groups", "owner", "app", "minute", "hour", "day_of_month", "month_of_year", "day_of_week", "timezone",
    "dry_run", "force", "created_at__year", "created_at__month", "created_at__day", "csrfmiddlewaretoken", "_method",
)  # fmt: skip


@dataclass(frozen=True)
class Route:
    """A pattern of the resolver: what to write, with ``<name>`` where a value goes."""

    pieces: tuple[str, ...]
    arguments: tuple[str, ...]
    name: str


def routes():
    """Return every route of the console, found in the resolver."""
    found = []

    def walk(patterns, pieces, arguments):
        for entry in patterns:
            text, names = str(entry.pattern), entry.pattern.converters
            if isinstance(entry.pattern, RegexPattern):  # the list of an app, and the catch-all
                names = entry.pattern.regex.groupindex
                text = "".join(f"<{name}>/" for name in names) or text
            here, values = (*pieces, text), (*arguments, *names)
            if isinstance(entry, URLResolver):
                walk(entry.url_patterns, here, values)
            else:
                found.append(Route(here, values, entry.name or ""))

    walk(get_resolver().url_patterns, (), ())
    return found


def address(route, values):
    """Return the path of a route with these values, percent-encoded."""

    def value(match):
        return quote(values[match[1]].encode("utf-8", "surrogatepass"), safe="")

    return "/" + re.sub(r"<(?:\w+:)?(\w+)>", value, "".join(route.pieces))


def model_of(route):
    """Return the model that a route of the admin is about, by its name; None where it names none."""
    for model in admin.site._registry:
        if route.name.startswith(f"{model._meta.app_label}_{model._meta.model_name}_"):
            return model
    return None


def query(random, model):
    """Return the query string of a request: up to four parameters, most of them named after a column."""
    count = random.choice((0, 1, 1, 1, 2, 4))
    pairs = [(parameter(random, model), random.choice(NASTY)) for _number in range(count)]
    return urlencode([(name, value.encode("utf-8", "surrogatepass")) for name, value in pairs])


def parameter(random, model):
    """Return a parameter's name: a control of the admin's, or a path of look-ups from a column."""
    if random.random() < 0.35:
        return random.choice(CONTROLS)
    model = model or random.choice(list(apps.get_models()))
    steps = []
    for _depth in range(random.choice((1, 1, 1, 2, 3))):
        columns = model._meta.get_fields()
        column = random.choice(columns)
        steps.append(random.choice((column.name, column.name, column.name, "pk", "nothing")))
        if column.related_model is None or isinstance(column.related_model, str):
            break
        model = column.related_model
    steps.append(random.choice(LOOKUPS))
    return "__".join(step for step in steps if step)


@dataclass
class Forms(HTMLParser):
    """The fields of the forms of a page, as a browser would send them."""

    fields: list = field(default_factory=list)
    select: str | None = None
    textarea: str | None = None

    def __post_init__(self):
        super().__init__()

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        name = given.get("name")
        if tag == "input" and name:
            if given.get("type") in ("checkbox", "radio") and "checked" not in given:
                return
            self.fields.append((name, given.get("value") or ""))
        elif tag == "button" and name:
            self.fields.append((name, given.get("value") or ""))
        elif tag == "select" and name:
            self.select = name
        elif tag == "option" and self.select and "selected" in given:
            self.fields.append((self.select, given.get("value") or ""))
        elif tag == "textarea" and name:
            self.textarea = name
            self.fields.append((name, ""))

    def handle_data(self, data):
        if self.textarea and self.fields:
            self.fields[-1] = (self.textarea, self.fields[-1][1] + data)

    def handle_endtag(self, tag):
        if tag == "select":
            self.select = None
        elif tag == "textarea":
            self.textarea = None


BUTTONS = (
    "_save",
    "_continue",
    "_addanother",
    "_saveasnew",
    "_popup",
    "_to_field",
    "post",
    "action",
    "index",
    "select_across",
    "_selected_action",
    "confirmed",
    "end",
    "until_0",
    "plan",
    "plan_at",
    "reason",
    "next",
)


def body(random, page):
    """Return what is posted: the page's own forms, with a few fields spoilt; or nothing but rubbish."""
    parsed = Forms()
    parsed.feed(page)
    pairs = [(name, value) for name, value in parsed.fields if name not in ("csrfmiddlewaretoken",)]
    if random.random() < 0.15:
        pairs = []
    kept = [(name, value) for name, value in pairs if random.random() > 0.03]
    for _number in range(random.choice((0, 1, 1, 1, 2, 3, 8))):
        if kept and random.random() < 0.75:
            position = random.randrange(len(kept))
            kept[position] = (kept[position][0], random.choice(NASTY))
        else:
            kept.append((random.choice(BUTTONS + CONTROLS), random.choice(NASTY)))
    if random.random() < 0.5:
        kept.append((random.choice(("_save", "_continue", "post")), "yes"))
    return kept


def encoded(random, pairs):
    """Return the body with its content type; now and then one that is not what its type says."""
    data = urlencode([(name, value.encode("utf-8", "surrogatepass")) for name, value in pairs]).encode()
    kind = random.random()
    if kind < 0.04:
        return json.dumps(dict(pairs)).encode(), "application/json"
    if kind < 0.08:
        return data, "multipart/form-data; boundary=x"
    if kind < 0.1:
        return data, "multipart/form-data"
    if kind < 0.12:
        return data, "application/x-www-form-urlencoded; charset=nothing"
    if kind < 0.14:
        return b"\xff\xfe" + data, "application/x-www-form-urlencoded"
    return data, "application/x-www-form-urlencoded"
