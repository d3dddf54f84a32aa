"""The list of runs as a file for a spreadsheet, with its search and filters."""

from collections.abc import Iterator
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, StreamingHttpResponse
from django.urls import path
from django.utils import timezone
from django.views.decorators.http import require_safe

from audit.activity import LIST
from audit.events import Subject, acting_as_now, record
from maintenance.ledger.run_csv import as_csv
from maintenance.models import JobRun
from maintenance.registry import Person
from scraping.content.export import ENDED, STARTED


class RunExport(admin.ModelAdmin):
    """The export of the list of runs, for their admin; the file holds only what the person may see."""

    def get_urls(self) -> list[Any]:
        """Add the export."""
        view = self.admin_site.admin_view(require_safe(self.export_view))
        return [path("export/", view, name="maintenance_jobrun_export"), *super().get_urls()]

    def export_view(self, request: HttpRequest) -> StreamingHttpResponse:
        """Stream the runs of the list as CSV."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        rows = self.get_changelist_instance(request).get_queryset(request)
        stamp = timezone.localtime().strftime("%Y-%m-%d-%H%M")
        return StreamingHttpResponse(
            _recorded(as_csv(rows), filters=request.GET.urlencode(), by=request.user),
            content_type="text/csv; charset=utf-8",
            headers={"Content-Disposition": f'attachment; filename="runs-{stamp}.csv"'},
        )


def _recorded(pieces: Iterator[bytes], *, filters: str, by: Person) -> Iterator[bytes]:
    """Return the pieces, and record the export: now, and when it ends or the client disconnects."""
    subject = Subject(LIST, JobRun._meta.label, str(JobRun._meta.verbose_name_plural))
    what = {"format": "excel", "filters": filters}
    record(STARTED, subject, by=by, parameters=what)
    # The file is sent after the request has been answered, when its address is forgotten.
    again = acting_as_now()

    def noted() -> Iterator[bytes]:
        size, is_complete = 0, False
        try:
            for piece in pieces:
                size += len(piece)
                yield piece
            is_complete = True
        finally:
            with again():
                record(ENDED, subject, by=by, parameters={**what, "bytes": size, "complete": is_complete})

    return noted()
