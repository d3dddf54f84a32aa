"""The two events of an export, at its begin and its end, for pages and the API alike."""

from collections.abc import Iterator
from typing import Any

from django.contrib.auth.models import AnonymousUser, User
from django.db.models import QuerySet
from django.http import QueryDict

from audit.activity import LIST
from audit.events import Subject, acting_as_now, record
from database.messages import english_of
from database.names import folded
from scraping.content import export
from scraping.content.normalise import FULLNAME, is_profile
from scraping.models import RedditPost
from scraping.subreddit_names import plain_subreddit


def recorded(
    rows: QuerySet[Any],
    *,
    format: export.Format | str,  # noqa: A002  # as in export()
    query: QueryDict,
    by: User | AnonymousUser,
) -> Iterator[bytes]:
    """Return the pieces of ``export.export``, and record the export: now, and when it ends or the client disconnects.

    Args:
        rows: the posts or comments.
        format: of the file.
        query: the filters, which the events keep without names of accounts.
        by: the person who asks.

    Raises:
        PermissionDenied, FormatUnavailable, ValueError: as ``export.export``; nothing is recorded then.
    """
    tally = export.Tally()
    pieces = export.export(rows, format=format, by=by, tally=tally)
    subject = Subject(LIST, rows.model._meta.label, str(english_of(rows.model._meta.verbose_name_plural)))
    what = {"format": str(format), "filters": without_names(query).urlencode()}
    record(export.STARTED, subject, by=by, parameters=what)
    # The file is sent after the request has been answered, when its address is forgotten.
    again = acting_as_now()

    def noted() -> Iterator[bytes]:
        is_complete = False
        try:
            yield from pieces
            is_complete = True
        finally:
            sums = {"rows": tally.rows, "cells_cut": tally.cells_cut, "complete": is_complete}
            with again():
                record(export.ENDED, subject, by=by, parameters={**what, **sums})

    return noted()


def without_names(query: QueryDict) -> QueryDict:
    """Return the query without names of accounts: in the log, a name would outlive its account."""
    kept = query.copy()
    for name in kept:
        kept.setlist(name, [_without_name(name, value) for value in kept.getlist(name)])
    return kept


def _without_name(parameter: str, value: str) -> str:
    term = value.strip()
    if is_profile(plain_subreddit(term)):
        return "u/…"
    if parameter != "q" or not term or FULLNAME.fullmatch(term):
        return value
    # A word that is no stored subreddit may be a person's name.
    name = term[2:] if term.lower().startswith("r/") else term
    return value if RedditPost.objects.filter(subreddit__folded=folded(name)).exists() else "…"
