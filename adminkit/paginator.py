"""A paginator for tables that are too big to count."""

from typing import Any

from django.core.paginator import Paginator
from django.utils.functional import cached_property

# The list ends here: older rows are found by search and filters, and a larger OFFSET would
# make the database walk over all rows before it.
ROWS_MAX = 10_000


class BoundedPaginator(Paginator):
    """Pages through the first 10,000 rows; counting stops there, so it reads no more rows than that."""

    @cached_property
    def count(self) -> int:
        """The number of rows, 10,000 at most."""
        rows: Any = self.object_list
        return int(rows.order_by()[:ROWS_MAX].count())

    @property
    def is_bounded(self) -> bool:
        """Whether there may be more rows than are shown."""
        return self.count >= ROWS_MAX
