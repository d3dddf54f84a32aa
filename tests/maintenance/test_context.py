"""The context of a job function: its log."""

import pytest

from maintenance import context as contexts
from maintenance.models import RunLogLine
from tests.kit.steps import ran

pytestmark = pytest.mark.django_db(transaction=True)


def test_the_log_of_a_run_ends_at_its_cap(declare, monkeypatch):
    monkeypatch.setattr(contexts, "LOG_LINES_MAX", 5)

    def babble(ctx):
        """Talk."""
        for number in range(9):
            ctx.log(str(number))

    run = ran(declare(babble))

    texts = list(RunLogLine.objects.filter(run=run).values_list("text", flat=True))
    assert texts[:4] == ["0", "1", "2", "3"]
    assert len(texts) == 5
    assert "ends here" in texts[-1]
