"""The marks of a run's states: each has a colour and a shape of its own, the same in every place."""

import pytest

from maintenance.models import JobRun
from tests.e2e.reading import violations
from tests.kit import factories

pytestmark = pytest.mark.django_db(transaction=True)

STATES = JobRun.Status.values
JOB = "cleanup_tokens"
LEGEND = """() => [...document.querySelectorAll('.legend .mark')].map((mark) => {
  const badge = mark.closest('dt').nextElementSibling.querySelector('.badge'), shown = getComputedStyle(badge);
  const dot = getComputedStyle(badge, '::before');
  const shape = ['clipPath', 'borderRadius', 'borderTopWidth', 'backgroundImage', 'transform'];
  return {
    state: badge.className.split('badge-').pop(),
    fill: getComputedStyle(mark).fill,
    path: mark.querySelector('path').getAttribute('d'),
    badge: shown.color + shown.backgroundColor,
    dot: shape.map((name) => dot[name]).join(' '),
  };
})"""
FILLS = """(selector) => Object.fromEntries([...document.querySelectorAll(selector)].map(
  (one) => [one.closest('[class^="bar-"]').className.baseVal.split(' ')[0].replace('bar-', ''), getComputedStyle(one).fill]
))"""


@pytest.fixture(params=["light", "dark"])
def browser_context_args(browser_context_args, request):
    return {**browser_context_args, "color_scheme": request.param, "reduced_motion": "reduce"}


def test_each_state_has_a_colour_and_a_shape_of_its_own_everywhere(signed_in, axe):
    page = signed_in
    for status in STATES:
        if status != "running":
            # Blocked ones have parameters of their own: a job has one unfinished run with the same.
            factories.job_run(job=JOB, status=status, trigger="admin")
    running = factories.job_run(job=JOB, status="running", dry_run=True)

    page.goto("/admin/maintenance/jobrun/")
    page.get_by_text("What the marks mean").click()
    legend = page.evaluate(LEGEND)
    assert [row["state"] for row in legend] == STATES
    for name in ("fill", "path", "badge", "dot"):
        assert len({row[name] for row in legend}) == len(STATES), (name, legend)
    assert violations(page, axe) == []

    fills = {row["state"]: row["fill"] for row in legend}
    page.goto(f"/admin/maintenance/jobrun/{running.pk}/change/")
    assert page.evaluate(FILLS, ".strip rect") == fills
    page.goto("/admin/")
    drawn = page.evaluate(FILLS, f"#jobs .strip:has(a[href*='/{running.pk}/']) rect")
    assert drawn == fills
