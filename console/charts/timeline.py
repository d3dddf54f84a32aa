"""The timeline: the runs of the last six hours, to scale, and the slots of the next six.

It uses no style attributes, because the content security policy forbids them; the style sheet sets colours and widths.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.utils import timezone
from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext as _

from adminkit.marks import PATHS

HOURS = 6
SPAN = timedelta(hours=HOURS)
LABELS_WIDTH, PLOT_WIDTH, TOP, LANE_HEIGHT = 190, 960, 22, 24
# At the right edge: half of an hour's label, so that none is cut.
MARGIN = 20
WIDTH = LABELS_WIDTH + PLOT_WIDTH
# A very short run is still visible, and two neighbours stay apart.
BAR_MIN, BAR_HEIGHT, MARK = 3.0, 12, 10
LABEL_LENGTH = 28


@dataclass(frozen=True)
class PastRun:
    """A run that began, or should have begun, within the time shown."""

    pk: int
    status: str
    begin: datetime
    end: datetime
    words: str  # the tooltip
    url: str


@dataclass(frozen=True)
class Slot:
    """A future time at which a schedule fires."""

    at: datetime
    collides: bool = False


@dataclass(frozen=True)
class Span:
    """A time in which the schedule does not fire."""

    begin: datetime
    end: datetime


@dataclass(frozen=True)
class Lane:
    """One row of the timeline."""

    title: str
    runs: Sequence[PastRun] = ()
    slots: Sequence[Slot] = ()
    pauses: Sequence[Span] = field(default_factory=list)


def svg(
    lanes: Sequence[Lane],
    *,
    now: datetime,
    windows: Sequence[Span],
    label: str,
    unknown: Span | None = None,
) -> SafeString:
    """Return the drawing.

    Args:
        lanes: its rows.
        now: the time in its middle.
        windows: the maintenance windows, in which nothing scheduled starts.
        label: its name for screen readers.
        unknown: the time whose runs are not drawn.
    """
    height = TOP + LANE_HEIGHT * len(lanes) + 6
    zone = timezone.get_current_timezone_name()
    # The names are a drawing of their own, which stays in sight while the other scrolls.
    parts = [
        '<div class="timeline">',
        f'<svg class="names" viewBox="0 0 {LABELS_WIDTH} {height}" focusable="false">',
        f'<text class="zone" x="0" y="10">{escape(zone)}</text>',
        *(_name(lane, TOP + number * LANE_HEIGHT) for number, lane in enumerate(lanes)),
        "</svg>",
        f'<svg class="plot" viewBox="{LABELS_WIDTH} 0 {PLOT_WIDTH + MARGIN} {height}"'
        f' role="group" aria-label="{escape(label)}" focusable="false">',
    ]
    parts += (_shade(span, now, TOP, height - TOP, "window") for span in windows)
    if unknown:
        parts.append(_shade(unknown, now, TOP, height - TOP, "unknown"))
    parts += _hours(now, height)
    for number, lane in enumerate(lanes):
        parts += _lane(lane, now, TOP + number * LANE_HEIGHT)
    x = _x(now, now)
    parts.append(f'<line class="now" x1="{x}" x2="{x}" y1="{TOP - 6}" y2="{height}"/>')
    parts.append(f'<text class="now-label" x="{x}" y="10" text-anchor="middle">{escape(_("now"))}</text>')
    parts.append("</svg></div>")
    return mark_safe("".join(parts))  # noqa: S308  # numbers, and texts that are escaped here


def _x(moment: datetime, now: datetime) -> float:
    share = (moment - (now - SPAN)) / (2 * SPAN)
    return round(LABELS_WIDTH + PLOT_WIDTH * min(max(share, 0.0), 1.0), 1)


def _hours(now: datetime, height: int) -> Iterable[str]:
    first = timezone.localtime(now - SPAN).replace(minute=0, second=0, microsecond=0)
    for number in range(1, 2 * HOURS + 1):
        moment = first + timedelta(hours=number)
        x = _x(moment, now)
        yield f'<line class="hour" x1="{x}" x2="{x}" y1="{TOP - 4}" y2="{height}"/>'
        if number % 2 == 0 and abs((moment - now).total_seconds()) > 1800:
            hour = timezone.localtime(moment)
            yield f'<text x="{x}" y="10" text-anchor="middle">{hour:%H:%M}</text>'


def _name(lane: Lane, y: int) -> str:
    title = lane.title if len(lane.title) <= LABEL_LENGTH else f"{lane.title[: LABEL_LENGTH - 1]}…"
    return f'<text x="0" y="{y + LANE_HEIGHT // 2 + 4}">{escape(title)}</text>'


def _lane(lane: Lane, now: datetime, y: int) -> Iterable[str]:
    middle = y + LANE_HEIGHT // 2
    yield f'<line class="lane" x1="{LABELS_WIDTH}" x2="{WIDTH}" y1="{middle}" y2="{middle}"/>'
    for span in lane.pauses:
        yield _shade(span, now, y + 2, LANE_HEIGHT - 4, "pause")
    # Where runs lie close together, those that succeeded hide no other.
    for run in sorted(lane.runs, key=lambda one: one.status != "succeeded"):
        yield _run(run, now, middle)
    for slot in lane.slots:
        x = _x(slot.at, now)
        kind = "slot slot-collides" if slot.collides else "slot"
        yield f'<circle class="{kind}" cx="{x}" cy="{middle}" r="4"/>'
        if slot.collides:
            yield f'<path class="collision" d="M{x - 4} {y + 1}h8l-4 5z"/>'


def _run(run: PastRun, now: datetime, middle: int) -> str:
    begin, end = _x(run.begin, now), _x(run.end, now)
    width = max(BAR_MIN, round(end - begin, 1))
    drawn = f'<rect x="{begin}" y="{middle - BAR_HEIGHT / 2}" width="{width}" height="{BAR_HEIGHT}" rx="1"/>'
    if run.status not in ("succeeded", "running"):
        place = f"translate({begin + width / 2 - MARK / 2} {middle - MARK / 2}) scale({MARK / 12:.2f})"
        shape = f'<path transform="{place}" fill-rule="evenodd" d="{PATHS.get(run.status, "")}"/>'
        # A long bar contains its shape; a short one is the shape alone.
        drawn = drawn + shape if width > 2 * MARK else shape
    return (
        f'<a class="bar-{run.status}" href="{escape(run.url)}" tabindex="-1">'
        f"<title>{escape(run.words)}</title>{drawn}</a>"
    )


def _shade(span: Span, now: datetime, y: int, height: int, kind: str) -> str:
    begin, end = _x(span.begin, now), _x(span.end, now)
    if end <= begin:
        return ""
    return f'<rect class="{kind}" x="{begin}" y="{y}" width="{round(end - begin, 1)}" height="{height}"/>'
