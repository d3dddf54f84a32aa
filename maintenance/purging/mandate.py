"""The mandate of a run: under which retention it may delete how many rows of which table, past which caps.

A run keeps its mandate, and each attempt checks it before its first batch. The mandate of a person (*Run now* after a
preview, ``--plan``, ``--force``, an approval) contains the number of rows of each table that they saw; that of a
schedule contains no numbers, and the caps apply. More rows than the mandate allows stop the run as BLOCKED; fewer
rows never do.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Self

from database.grouping import grouped
from database.messages import gettext as _
from maintenance.purging.cap import Caps
from maintenance.purging.days import Retention
from maintenance.purging.kept_plan import tables_of
from maintenance.purging.plan import TablePlan

# How long a plan is valid; a run that has begun to delete is not stopped by its age.
VALID = timedelta(days=1)
# Tolerated growth since the plan: a tenth, but at least this many rows of a table.
GROWTH_SHARE = 0.1
GROWTH_ROWS = 100


class Kind(StrEnum):
    """On what the permission to delete rests."""

    RULE = "rule"  # nobody saw a plan: a schedule, or a request without a plan
    PLAN = "plan"  # a person was shown a plan
    APPROVAL = "approval"  # a person approved a run that was blocked
    FORCE = "force"  # the run's own plan counts, past the caps


@dataclass(frozen=True)
class Mandate:
    """See the module. Times are ISO 8601; ``by`` is empty for the system and for a shell."""

    kind: str
    made_at: str
    by: str = ""
    reason: str = ""
    # When the run must have begun at the latest; None: at any time.
    valid_until: str | None = None
    # The moment that the cutoffs are counted from; None: the start of the first attempt.
    now: str | None = None
    # Retention.key(); None: the job has no retention, or no attempt has begun.
    retention: str | None = None
    # Labels of the tables in which holds keep rows; None as above.
    spares_held: Sequence[str] | None = None
    # Rows by label of the table; None: nobody has counted them.
    rows: Mapping[str, int] | None = None
    # None: they are lifted for the tables in ``rows``.
    caps: Mapping[str, Any] | None = None
    # The dry run whose plan it was.
    plan: int | None = None

    def as_json(self) -> dict[str, Any]:
        """Return the mandate as the run stores it."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any] | None) -> Self | None:
        """Return the mandate that ``as_json`` wrote; unknown keys of a newer version are ignored."""
        if not values or "kind" not in values or "made_at" not in values:
            return None
        known = cls.__dataclass_fields__
        return cls(**{name: value for name, value in values.items() if name in known})

    def is_valid(self, at: datetime) -> bool:
        """Whether a run may still begin under it."""
        return self.valid_until is None or at <= datetime.fromisoformat(self.valid_until)

    @property
    def kept(self) -> Retention | None:
        """The retention under which the run may delete."""
        return Retention.from_key(self.retention) if self.retention else None

    def completed(
        self,
        tables: Sequence[TablePlan],
        *,
        retention: Retention | None,
        spares_held: Sequence[str],
        caps: Caps,
    ) -> Self:
        """Return it with the values that only the first attempt knows; each is set once."""
        rows = self.rows
        if self.kind == Kind.FORCE:
            rows = {**{table.model: table.rows for table in tables}, **(rows or {})}
        kept = self.retention or (retention.key() if retention else None)
        spares = [*spares_held] if self.spares_held is None else self.spares_held
        are_lifted = self.kind in (Kind.FORCE, Kind.APPROVAL)
        return replace(
            self,
            rows=rows,
            retention=kept,
            spares_held=spares,
            caps=self.caps if self.caps or are_lifted else asdict(caps),
        )

    def caps_for(self, label: str, in_force: Caps) -> Caps | None:
        """Return the caps for the table of this label; None: a person has lifted them."""
        if self.kind in (Kind.FORCE, Kind.APPROVAL) and label in (self.rows or {}):
            return None
        return Caps(**self.caps) if self.caps else in_force

    def objections(self, tables: Sequence[TablePlan]) -> list[str]:
        """Return which tables have grown beyond the counted rows; ``tables`` has the current ``rows`` and ``gone``."""
        return [
            _("Changed since the plan: %(rows)s %(table)s would be deleted, %(allowed)s were planned.")
            % {
                "rows": grouped(table.rows + table.gone),
                "table": table.verbose_name,
                "allowed": grouped((self.rows or {})[table.model]),
            }
            for table in tables
            if table.model in (self.rows or {})
            and has_grown(table.rows + table.gone, (self.rows or {})[table.model])
        ]


def has_grown(rows: int, allowed: int) -> bool:
    """Whether there are more rows than the allowed ones plus the tolerated growth."""
    return rows > allowed * (1 + GROWTH_SHARE) and rows - allowed > GROWTH_ROWS


# --- Giving ----------------------------------------------------------------------------------


def of_rule(*, at: datetime) -> Mandate:
    """Return the mandate of a schedule, or of a request by a person who saw no plan."""
    return Mandate(kind=Kind.RULE, made_at=at.isoformat())


def of_force(*, by: str, reason: str, at: datetime) -> Mandate:
    """Return the mandate of a person who lifts the caps before there is a plan; the first attempt's plan counts."""
    return Mandate(kind=Kind.FORCE, made_at=at.isoformat(), by=by, reason=reason)


def of_plan(shown: Mapping[str, Any], *, by: str, at: datetime) -> Mandate:
    """Return the mandate of a person who was shown this plan (``shown``)."""
    return Mandate(kind=Kind.PLAN, made_at=at.isoformat(), by=by, **_named(shown))


def of_approval(shown: Mapping[str, Any], *, by: str, reason: str, at: datetime) -> Mandate:
    """Return the mandate of a person who approves the plan of a blocked run."""
    return Mandate(kind=Kind.APPROVAL, made_at=at.isoformat(), by=by, reason=reason, **_named(shown))


def shown(plan: Mapping[str, Any], *, run: int | None = None) -> dict[str, Any]:
    """Return the part of a run's ``plan`` that a person was shown, ready to be signed and sent along in a form."""
    tables = tables_of(plan)
    return {
        "at": plan["at"],
        "run": run,
        "now": plan.get("now"),
        "retention": plan.get("retention"),
        "spares_held": plan.get("spares_held"),
        # An estimate is no limit; the rows from which those cascade are counted.
        "rows": {table.model: table.rows + table.gone for table in tables if not table.is_estimate},
    }


def _named(shown: Mapping[str, Any]) -> dict[str, Any]:
    until = datetime.fromisoformat(shown["at"]) + VALID
    return {
        "valid_until": until.isoformat(),
        "now": shown["now"],
        "retention": shown["retention"],
        "spares_held": shown["spares_held"],
        "rows": dict(shown["rows"]),
        "plan": shown["run"],
    }
