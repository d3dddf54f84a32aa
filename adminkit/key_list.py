"""Lists of big tables in pages by key: Older and Newer instead of numbers, so that no page costs more than the first."""

from collections.abc import Sequence
from typing import Any, Final

from django.contrib.admin.views.main import ORDER_VAR, PAGE_VAR, ChangeList
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.functional import cached_property
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from adminkit.paginator import BoundedPaginator
from database.estimates import table_sizes
from database.keyset import BadCursor, KeyPage, Order, Place, decoded, encoded, read

# The cursor of the row behind which, or before which, a page begins.
AFTER_VAR: Final = "after"
BEFORE_VAR: Final = "before"
# They set where a page begins; a link that changes the list leaves them out.
PLACE_VARS: Final = (AFTER_VAR, BEFORE_VAR, PAGE_VAR)

# The figures of an estimate that are not zero.
FIGURES: Final = 2

NO_SUCH_PAGE: Final = _("This list has no numbered pages any more; this is its first page.")
NO_SUCH_PLACE: Final = _("The link to this page is damaged or from another list; this is the first page.")
NOTHING_THERE: Final = _("There is nothing more in that direction; this is the first page.")


class KeyPaginator(BoundedPaginator):
    """Counts a list that has more than one page: exactly up to 10,000 rows, a whole table by its estimate."""

    def __init__(self, object_list: Any, per_page: Any, *args: Any, **kwargs: Any) -> None:
        super().__init__(object_list, per_page, *args, **kwargs)
        # The number of rows, where one page holds them all.
        self.known_count: int | None = None

    @cached_property
    def estimate(self) -> int | None:
        """About how many rows the whole table has; None: the list is a part of it, or small enough to be counted."""
        rows: Any = self.object_list
        if rows.query.where or rows.query.distinct or self.known_count is not None:
            return None
        size = table_sizes([rows.model], rows.db)[rows.model]
        if size.is_exact:
            self.known_count = size.rows
            return None
        return round(size.rows, FIGURES - len(str(size.rows)))

    @cached_property
    def count(self) -> int:
        """The number of rows, as far as it is known."""
        if self.estimate is not None:
            return self.estimate
        return super().count if self.known_count is None else self.known_count

    @property
    def is_bounded(self) -> bool:
        """Whether there may be more rows than were counted."""
        return self.known_count is None and self.estimate is None and super().is_bounded


class KeyList(ChangeList):
    """A list in pages by key. It is sorted by one column that begins an index, or by key.

    Those columns are the ``sortable_by`` of its admin; a test checks their indexes.
    """

    # Why the page is not the one that the address asks for; empty: it is.
    notice: Any = ""
    older_url = newer_url = first_url = ""
    multi_page = False

    def get_queryset(self, request: HttpRequest, exclude_parameters: Any = None) -> QuerySet[Any]:
        """Return all rows of the list, without regard to where the page begins."""
        for name in PLACE_VARS:
            self.params.pop(name, None)
            self.filter_params.pop(name, None)
        return super().get_queryset(request, exclude_parameters)

    @cached_property
    def order(self) -> Order:
        """The order of the list: of the requested column if it can be sorted by, else the newest first."""
        asked = (self.params.get(ORDER_VAR) or "").split(".")[0]
        column = self._sortable_columns().get(asked.removeprefix("-"))
        if column is None:
            return Order()
        is_descending = asked.startswith("-")
        if column in ("pk", self.lookup_opts.pk.name):
            return Order(is_descending=is_descending)
        field: Any = self.lookup_opts.get_field(column)
        return Order(column, is_descending, has_nulls=field.null)

    def get_ordering(self, request: HttpRequest, queryset: QuerySet[Any]) -> list[Any]:
        """Return the terms of ``order``: Django's would sort by any column that is shown."""
        return self.order.terms()

    def _sortable_columns(self) -> dict[str, str]:
        """Return the columns to sort by, by their number in an address."""
        return {
            str(number): str(self.get_ordering_field(name)).removeprefix("-")
            for number, name in enumerate(self.list_display)
            if name in (self.sortable_by or ()) and self.get_ordering_field(name)
        }

    def get_results(self, request: HttpRequest) -> None:
        """Read the page."""
        page = self._page(request)
        self.paginator = self.model_admin.get_paginator(request, self.queryset, self.list_per_page)
        if page.before is None and page.after is None:
            self.paginator.known_count = len(page.rows)
        self.result_list: Sequence[Any] = page.rows
        self.result_count = self.paginator.count
        self.full_result_count = None
        self.show_full_result_count = False
        self.show_admin_actions = True
        self.can_show_all = False
        self.first_url = self.get_query_string() if page.before is not None else ""
        if page.before is not None:
            self.newer_url = self.get_query_string({BEFORE_VAR: encoded(page.before, self.order)})
        if page.after is not None:
            self.older_url = self.get_query_string({AFTER_VAR: encoded(page.after, self.order)})

    def _page(self, request: HttpRequest) -> KeyPage[Any]:
        if request.GET.get(PAGE_VAR, "1") != "1":
            self.notice = NO_SUCH_PAGE
        places: dict[str, Place] = {}
        for name, parameter in (("after", AFTER_VAR), ("before", BEFORE_VAR)):
            cursor = request.GET.get(parameter)
            if cursor and not places:
                try:
                    places[name] = decoded(cursor, self.queryset, self.order)
                except BadCursor:
                    self.notice = NO_SUCH_PLACE
        page = read(self.queryset, self.order, size=self.list_per_page, **places)
        if places and not page.rows:
            self.notice = NOTHING_THERE
            return read(self.queryset, self.order, size=self.list_per_page)
        return page

    @property
    def directions(self) -> tuple[str, str, str]:
        """The words of the links to the first page, to the page before and to the page behind."""
        if self.order.is_descending:
            return gettext("Newest"), gettext("Newer"), gettext("Older")
        return gettext("Oldest"), gettext("Older"), gettext("Newer")
