"""The events of an export that the client breaks off, and of one that is refused."""

import pytest
from django.core.exceptions import PermissionDenied
from django.http import QueryDict

from audit.models import Event
from scraping.content.export_events import recorded
from scraping.models import RedditPost
from tests.kit import factories

pytestmark = pytest.mark.django_db


def begun(by):
    return recorded(RedditPost.objects.all(), format="csv", query=QueryDict("q=t3_abc"), by=by)


def test_an_export_that_is_broken_off_says_so():
    factories.post()
    pieces = begun(factories.superuser())

    next(pieces)
    pieces.close()

    started, ended = Event.objects.filter(verb__startswith="export.").order_by("pk")
    assert started.parameters == {"format": "csv", "filters": "q=t3_abc"}
    assert ended.parameters == {**started.parameters, "rows": 0, "cells_cut": 0, "complete": False}


def test_an_export_that_is_refused_writes_nothing():
    with pytest.raises(PermissionDenied):
        begun(factories.user())

    assert not Event.objects.filter(verb__startswith="export.").exists()
