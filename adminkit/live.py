"""Answers polls of a live page with the parts that changed since the reader's version, or with 204 if none did.

The version is in the fragment's address: one short digest for each part, in the order of the parts. The server keeps no
state.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.middleware.csrf import get_token
from django.shortcuts import render
from django.template.loader import render_to_string
from django.utils.safestring import SafeString

# Text that changes only because time passes does not count as a change.
_VOLATILE = re.compile(r"(<span data-(?:volatile|since)[^>]*>)[^<]*")
# Each answer has a new token for the same secret.
_TOKEN = re.compile(r'name="csrfmiddlewaretoken" value="[^"]*"')


# A placeholder until the version is known.
_VERSION = "0-version-0"


@dataclass(frozen=True)
class Rendered:
    """A live page at one moment; may be reused for other readers who see the same."""

    main: str
    parts: tuple[str, ...]
    digests: tuple[str, ...]


def rendered(
    request: HttpRequest, *, main: str, parts: Sequence[str], context: Mapping[str, Any]
) -> Rendered:
    """Return the parts of a live page as they are now (``answer``)."""
    others = tuple(render_to_string(part, {**context, "oob": True}, request) for part in parts)
    steady = render_to_string(main, {**context, "version": _VERSION}, request)
    return Rendered(steady, others, tuple(_digest(text) for text in (steady, *others)))


def whole(now: Rendered) -> str:
    """Return the main part, with its version, followed by all others: for the page that starts polling."""
    return now.main.replace(_VERSION, ".".join(now.digests)) + "".join(now.parts)


def news(request: HttpRequest, now: Rendered) -> str | None:
    """Return the parts that changed since the version in the request's ``v``, to be swapped in; None: none did."""
    known = tuple(request.GET.get("v", "").split("."))
    if known == now.digests:
        return None
    older = known[1:] if len(known) == len(now.digests) else ("",) * len(now.parts)
    pairs = zip(now.parts, now.digests[1:], older, strict=True)
    changed = "".join(text for text, digest, before in pairs if digest != before)
    return now.main.replace(_VERSION, ".".join(now.digests)) + changed


def for_reader(request: HttpRequest, text: str) -> str:
    """Return a text that may have been rendered for another reader, with this reader's token in its forms."""
    return _TOKEN.sub(lambda _found: f'name="csrfmiddlewaretoken" value="{get_token(request)}"', text)


def answer(
    request: HttpRequest,
    template: str,
    *,
    main: str,
    parts: Sequence[str] = (),
    context: Mapping[str, Any],
    has_news: bool = False,
) -> HttpResponse:
    """Return what changed since the version in the request's ``v``.

    Args:
        request: the poll.
        template: gets ``changed``, rendered: the part that polls again, and the others that changed.
        main: the template of the part that polls again; it gets ``version``.
        parts: the templates of the others, which get ``oob``; their elements are swapped in by id.
        context: the context of all templates.
        has_news: answer even if no part changed.
    """
    now = rendered(request, main=main, parts=parts, context=context)
    changed = news(request, now)
    if changed is None and not has_news:
        return HttpResponse(status=204)
    if changed is None:
        changed = now.main.replace(_VERSION, ".".join(now.digests))
    return render(request, template, {**context, "changed": SafeString(changed)})


def _digest(text: str) -> str:
    steady = _TOKEN.sub("", _VOLATILE.sub(r"\1", text))
    return blake2b(steady.encode(), digest_size=6).hexdigest()
