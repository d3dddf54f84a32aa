"""Reads the forms and links of pages, and draws what people, programs and attackers send in their place."""

from dataclasses import dataclass, field
from html.parser import HTMLParser
from urllib.parse import parse_qsl, urlencode, urljoin

from hypothesis import strategies as st

from tests import rubbish

HUGE = ("x" * 70_000, "9" * 5_000, "\n" * 3_000, "é" * 40_000, "1," * 20_000, "\ud800" * 500)
# Control characters, lone surrogates, bidirectional marks, and whatever else Unicode has.
ANY_TEXT = st.text(st.characters(), max_size=40)
CONTROL_TEXT = st.text(
    st.sampled_from("\0\x01\x08\x0b\x1b\x7f\x85\u2028\u202e\ufeff\ufffe\ud800\udfffa1 \t\r\n"), max_size=12
)


@dataclass
class Form:
    """One form of a page: where it goes, and what a browser would send."""

    action: str
    is_post: bool
    fields: list[tuple[str, str]] = field(default_factory=list)
    # What a field offers: the values of its options, boxes and buttons.
    offers: dict[str, list[str]] = field(default_factory=dict)

    @property
    def names(self):
        return sorted({name for name, _value in self.fields} | self.offers.keys())


class _Reader(HTMLParser):
    def __init__(self):
        super().__init__()
        self.forms = []
        self.links = []
        self._form = self._select = self._area = None

    def handle_starttag(self, tag, attrs):
        given = {name: value or "" for name, value in attrs}
        name = given.get("name", "")
        if tag == "a" and given.get("href", "").startswith("?"):
            self.links += parse_qsl(given["href"][1:], keep_blank_values=True)
        if tag == "form":
            self._form = Form(given.get("action", ""), given.get("method", "get").lower() == "post")
            self.forms.append(self._form)
        elif self._form is None:
            return
        elif tag in ("input", "button") and name:
            self._control(name, given)
        elif tag == "select":
            self._select = name
        elif tag == "option" and self._select:
            self._form.offers.setdefault(self._select, []).append(given.get("value", ""))
            if "selected" in given:
                self._form.fields.append((self._select, given.get("value", "")))
        elif tag == "textarea" and name:
            self._area = name
            self._form.fields.append((name, ""))

    def _control(self, name, given):
        is_offer = given.get("type") in ("checkbox", "radio", "submit")
        if is_offer:
            self._form.offers.setdefault(name, []).append(given.get("value", "on"))
        if not is_offer or "checked" in given:
            self._form.fields.append((name, given.get("value", "")))

    def handle_data(self, data):
        if self._area and self._form:
            name, value = self._form.fields[-1]
            self._form.fields[-1] = (name, value + data)

    def handle_endtag(self, tag):
        if tag == "form":
            self._form = None
        elif tag == "select":
            self._select = None
        elif tag == "textarea":
            self._area = None


def read(page, address):
    """Return the forms that a page posts, and the parameters that its links set."""
    reader = _Reader()
    reader.feed(page)
    forms = [one for one in reader.forms if one.is_post]
    for form in forms:
        form.action = urljoin(address, form.action)
        form.fields = [pair for pair in form.fields if pair[0] != "csrfmiddlewaretoken"]
    return forms, reader.links


def values(ids, offered=()):
    """Return a strategy of values of a field: offered ones, ids of all kinds of rows, rubbish, any text."""
    kinds = [st.sampled_from(rubbish.NASTY), ANY_TEXT, CONTROL_TEXT, st.sampled_from(ids)]
    if offered:
        kinds += [st.sampled_from(list(offered))] * 3
    return st.one_of(*kinds, st.sampled_from(HUGE)) if not offered else st.one_of(*kinds)


def body(draw, form, ids):
    """Draw what is posted in place of what the form holds: fields missing, spoilt, doubled, unknown."""
    missing = (
        draw(st.sets(st.sampled_from(form.names), max_size=3)) if form.names and draw(st.booleans()) else ()
    )
    pairs = [pair for pair in form.fields if pair[0] not in missing]
    for _number in range(draw(st.integers(0, 4))):
        name = draw(st.sampled_from([*form.names, *rubbish.BUTTONS]))
        value = draw(values(ids, form.offers.get(name, ())))
        if draw(st.integers(0, 4)):
            pairs = [pair for pair in pairs if pair[0] != name]
        pairs.append((name, value))
    return pairs


def query(draw, links, ids):
    """Draw a query string: parameters that the page's own links set, and others."""
    names = sorted({name for name, _value in links}) + list(rubbish.CONTROLS)
    pairs = []
    for _number in range(draw(st.integers(1, 4))):
        if links and draw(st.booleans()):
            pairs.append(draw(st.sampled_from(links)))
        else:
            pairs.append((draw(st.sampled_from(names)), draw(values(ids))))
    return [(name, value) for name, value in pairs if len(value) < 8_000]


def encoded(pairs):
    """Return the pairs as a form encodes them; a lone surrogate becomes bytes that are no UTF-8."""
    return urlencode(
        [
            (name.encode("utf-8", "surrogatepass"), value.encode("utf-8", "surrogatepass"))
            for name, value in pairs
        ]
    )
