"""Answers polls of a live page: only the parts that changed since the reader's version, or 204 when none did.

The version is in the fragment's address: one short digest for each part, in the order of the parts. Nothing is kept on the server.
"""

import re
from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.template.loader import render_to_string
from django.utils.safestring import SafeString

# Text that changes only because time passes does not count as a change.
_VOLATILE = re.compile(r"(<span data-(?:volatile|since)[^>]*>)[^<]*")
# A fresh token in each answer, for one secret.
_TOKEN = re.compile(r'name="csrfmiddlewaretoken" value="[^"]*"')


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
        template: gets ``main`` and ``changed``, both rendered, besides the context.
        main: the template of the part that asks again; it gets ``version``.
        parts: the templates of the others, which get ``oob``; what they render is swapped in by its id.
        context: for all of them.
        has_news: answer even when no part changed.
    """
    rendered = [render_to_string(part, {**context, "oob": True}, request) for part in parts]
    steady = render_to_string(main, {**context, "version": ""}, request)
    digests = [_digest(text) for text in (steady, *rendered)]
    known = request.GET.get("v", "").split(".")
    if known == digests and not has_news:
        return HttpResponse(status=204)
    older = known[1:] if len(known) == len(digests) else [""] * len(rendered)
    pairs = zip(rendered, digests[1:], older, strict=True)
    changed = SafeString("".join(text for text, digest, before in pairs if digest != before))
    versioned = render_to_string(main, {**context, "version": ".".join(digests)}, request)
    return render(request, template, {**context, "main": versioned, "changed": changed})


def _digest(text: str) -> str:
    steady = _TOKEN.sub("", _VOLATILE.sub(r"\1", text))
    return blake2b(steady.encode(), digest_size=6).hexdigest()
