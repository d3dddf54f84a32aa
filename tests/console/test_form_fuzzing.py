"""Drawn bodies for every form and drawn queries for every page, by role.

No answer is 5xx. A refused form has changed nothing, and its page names what is wrong. A query changes nothing.
"""

import html
import logging
import traceback
from collections import Counter
from types import SimpleNamespace

import pytest
from django import forms
from django.apps import apps
from django.contrib.messages import get_messages
from django.contrib.messages.constants import ERROR
from django.core.cache import cache
from django.db import connection, transaction
from django.http import HttpRequest, HttpResponse
from django.template import Context
from django.urls import reverse
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from accounts import afterwards
from console.roles import BOT_OWNERS, OPERATORS
from tests.api.fuzzing_world import REFUSALS
from tests.console import form_drawing
from tests.console.test_access import addresses, make_world
from tests.kit import factories, steps
from tests.soak import IS_SOAK, size

SEED = 20_261_129
ROLES = ("superuser", OPERATORS, BOT_OWNERS)
FORM_CASES, QUERY_CASES = size(10, 1_000), size(10, 750)  # of each role
# Written by looking, or by being refused: when a session was used, who was refused what.
LEFT_OUT = ("sessions.Session", "accounts.LoginSession", "auth.Permission", "contenttypes.ContentType")
REFUSED = (*REFUSALS, "page.refused", "person.factor_failed", "person.openid_refused")
WRITING = ("INSERT", "UPDATE", "DELETE", "WITH")
answers: Counter = Counter()


@pytest.fixture(scope="module", autouse=True)
def _figures(request):
    """Print the figures at the end of a soak."""
    yield
    if IS_SOAK:
        plugins = request.config.pluginmanager
        with plugins.get_plugin("capturemanager").global_and_fixture_disabled():
            for (kind, role), number in sorted(
                Counter((one[0], one[1]) for one in answers.elements()).items()
            ):
                by_status = {
                    one[2]: count for one, count in sorted(answers.items()) if one[:2] == (kind, role)
                }
                plugins.get_plugin("terminalreporter").write_line(f"{kind} as {role}: {number} {by_status}")


@pytest.fixture
def world(db, client, monkeypatch, settings):
    monkeypatch.setattr(afterwards, "run", lambda *_args, **_options: None)  # threads see no open transaction
    settings.REDDIT_CLIENT_ID = ""  # no request goes to Reddit
    client.raise_request_exception = False
    people, owned, one = make_world()
    people["superuser"] = factories.superuser(username="root")
    for status in ("queued", "running", "failed", "blocked"):
        factories.job_run(status=status, job="purge_old_content")
    logging.disable(logging.CRITICAL)
    more = [
        (name, reverse(name))
        for name in ("admin:password_change", "password_reset", "password_reset_confirm")
    ]
    yield people, addresses(owned, one) + more
    logging.disable(logging.NOTSET)


def contents():
    """Return all rows, by model."""
    found = {}
    for model in apps.get_models():
        rows = model._base_manager.order_by("pk")
        if model._meta.label in LEFT_OUT or not model._meta.managed:
            continue
        if model._meta.label == "audit.Event":
            rows = rows.exclude(verb__in=REFUSED)
        found[model._meta.label] = list(rows.values_list())
    return found


def all_ids():
    """Return some ids of every model, of rows that the person may see and of others."""
    found = {
        str(key)
        for model in apps.get_models()
        if model._meta.managed
        for key in model._base_manager.order_by("pk").values_list("pk", flat=True)[:5]
    }
    return sorted(found)


def seen(client, person, found):
    """Return the pages that a person may see, as (name, address, text)."""
    client.force_login(steps.with_password(person, "a long enough password"))
    pages = []
    for name, address in found:
        page = client.get(address)
        if page.status_code == 200:
            pages.append((name, address, "" if page.streaming else page.content.decode()))
    return pages


class Sender:
    """Sends requests of a person who is signed in, and takes back what they changed."""

    def __init__(self, client):
        self._client, self._cookie = client, client.cookies["sessionid"].value
        self.before = contents()

    def __call__(self, method, address, data=b""):
        """Return the answer, and the models whose rows it changed."""
        cache.clear()
        self._client.cookies.clear()
        self._client.cookies["sessionid"] = self._cookie
        statements = []

        def note(execute, sql, *about):
            statements.append(sql)
            return execute(sql, *about)

        with transaction.atomic():
            with connection.execute_wrapper(note):
                kind = "application/x-www-form-urlencoded"
                answer = self._client.generic(method, address, data, content_type=kind)
                if answer.streaming:
                    b"".join(answer.streaming_content)
            # To compare all rows takes longer than most requests.
            is_written = answer.status_code < 500 and any(one.startswith(WRITING) for one in statements)
            if is_written:
                connection.check_constraints()
            after = contents() if is_written else self.before
            transaction.set_rollback(True)
        return answer, [label for label, rows in self.before.items() if rows != after[label]]


def errors_of(answer):
    """Return the errors of all forms of a page, as (label of the field, text)."""
    found = []
    # Of one template it is its context, of several a list of them.
    contexts = answer.context if isinstance(answer.context, list) else [answer.context]
    for context in filter(None, contexts):
        for value in context.flatten().values():
            form = getattr(value, "form", value)
            errors = getattr(form, "errors", None)
            if not getattr(form, "is_bound", False) or not errors or not hasattr(errors, "as_data"):
                continue
            for name, texts in errors.items():
                label = str(form[name].label) if name in form.fields else ""
                found += [(label, str(text)) for text in texts]
    return found


def fault_of(answer, written):
    """Return what is wrong with the answer to a form; empty: nothing."""
    status = answer.status_code
    if status >= 500:
        told = getattr(answer, "exc_info", None)
        return "".join(traceback.format_exception(*told)[-4:]) if told else f"{status}"
    if status >= 400:
        return f"{status} and wrote {written}" if written else ""
    if status == 302:
        assert isinstance(answer.wsgi_request, HttpRequest)
        levels = {message.level for message in get_messages(answer.wsgi_request)}
        # An attempt that failed, such as a test of a route, may be an event.
        return (
            f"only errors, and wrote {written}"
            if levels == {ERROR} and set(written) - {"audit.Event"}
            else ""
        )
    errors = errors_of(answer)
    if not errors:
        return f"{status} and wrote {written}" if written and "audit.Event" not in written else ""
    if written:
        return f"refused, and wrote {written}: {errors}"
    page = html.unescape(answer.content.decode())
    unsaid = [one for one in errors if not (html.unescape(one[0]) in page and html.unescape(one[1]) in page)]
    return f"refused, and does not say {unsaid}" if unsaid else ""


def drawn(number, one):
    """Call a function with a source of draws so often; it never fails, so that all faults are found at once."""

    @seed(SEED)
    @settings(
        max_examples=number, deadline=None, database=None, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(data=st.data())
    def call(data):
        one(data.draw)

    call()


def told(faults):
    return f"{len(faults)} wrong:\n" + "\n".join(list(faults.values())[:12])


@pytest.mark.soak
@pytest.mark.slow
@pytest.mark.timeout(0)
@pytest.mark.parametrize("role", ROLES)
def test_no_form_is_a_server_error_or_half_refused(role, world, client):
    people, found = world
    forms, faults = {}, {}
    for _name, address, text in seen(client, people[role], found):
        for form in form_drawing.read(text, address)[0]:
            forms.setdefault((form.action, tuple(form.names)), form)
    targets, send, ids = list(forms.values()), Sender(client), all_ids()

    def one(draw):
        form = draw(st.sampled_from(targets))
        pairs = form_drawing.body(draw, form, ids)
        answer, written = send("POST", form.action, form_drawing.encoded(pairs))
        answers["forms", role, answer.status_code] += 1
        if fault := fault_of(answer, written):
            faults.setdefault(
                f"{form.action} {fault[-150:]}", f"{role}: POST {form.action} {str(pairs)[:700]}\n{fault}"
            )

    drawn(FORM_CASES, one)

    assert len(targets) >= {"superuser": 50, OPERATORS: 15, BOT_OWNERS: 10}[role]
    assert not faults, told(faults)


@pytest.mark.soak
@pytest.mark.slow
@pytest.mark.timeout(0)
@pytest.mark.parametrize("role", ROLES)
def test_no_query_is_a_server_error_or_changes_anything(role, world, client):
    people, found = world
    lists, others, faults = [], [], {}
    for name, address, text in seen(client, people[role], found):
        is_list = name.endswith(("_changelist", "_export", "activity", "search"))
        (lists if is_list else others).append((address, form_drawing.read(text, address)[1]))
    send, ids = Sender(client), all_ids()

    def one(draw):
        address, links = draw(st.one_of(*[st.sampled_from(lists)] * 3, st.sampled_from(others)))
        pairs = form_drawing.query(draw, links, ids)
        answer, written = send("GET", f"{address.partition('?')[0]}?{form_drawing.encoded(pairs)}")
        answers["queries", role, answer.status_code] += 1
        # That somebody took an export away is an event.
        is_fine = not written or (written == ["audit.Event"] and "/export/" in address)
        fault = fault_of(answer, []) or ("" if is_fine else f"wrote {written}")
        if fault:
            faults.setdefault(
                f"{address} {fault[-150:]}", f"{role}: GET {address} {str(pairs)[:700]}\n{fault}"
            )

    drawn(QUERY_CASES, one)

    assert len(lists) >= {"superuser": 12, OPERATORS: 9, BOT_OWNERS: 5}[role]
    assert not faults, told(faults)


class NameForm(forms.Form):
    """A form that lacks its only field."""

    name = forms.CharField(label="Your name")


SAYS_IT = "<label>Your name</label> This field is required."


@pytest.mark.parametrize(
    ("status", "page", "written", "is_fault"),
    [
        (500, "", [], True),
        (403, "", [], False),
        (403, "", ["auth.User"], True),
        (302, "", ["auth.User"], False),
        (200, "no form", [], False),
        (200, "no form", ["auth.User"], True),
        (200, "no form", ["auth.User", "audit.Event"], False),
        (200, SAYS_IT, [], False),
        (200, SAYS_IT, ["auth.User", "audit.Event"], True),
        (200, "<label>Your name</label> Something is wrong.", [], True),
        (200, "This field is required.", [], True),
    ],
)
def test_what_is_a_fault(status, page, written, is_fault, rf):
    answer = HttpResponse(page, status=status)
    form = Context({} if page == "no form" else {"form": NameForm({})})
    told = SimpleNamespace(
        status_code=status, content=answer.content, context=form, wsgi_request=rf.get("/"), exc_info=None
    )

    assert bool(fault_of(told, written)) is is_fault
