"""What `make audit` says."""

import pytest

from tests.lock_audit import report

FINE = {"name": "a", "version": "1", "vulns": []}
BAD = {"name": "b", "version": "2", "vulns": [{"id": "PYSEC-1", "fix_versions": ["3"]}]}
SKIPPED = {"name": "c", "skip_reason": "not found"}


@pytest.mark.parametrize(
    ("answer", "said", "is_bad"),
    [
        ([FINE], ["base.txt: 1 of 1 releases audited."], False),
        ([FINE, SKIPPED], ["base.txt: 1 of 2 releases audited.", "  not audited: c"], False),
        ([SKIPPED], ["base.txt: NOT audited, the service knows none of its 1 releases."], False),
        ("timed out", ["base.txt: NOT audited, the service cannot be asked: timed out"], False),
        (
            [FINE, BAD],
            ["base.txt: 2 of 2 releases audited.", "  b 2: PYSEC-1, mended in 3"],
            True,
        ),
    ],
)
def test_only_a_known_vulnerability_fails(answer, said, is_bad):
    assert report("base.txt", answer) == (said, is_bad)
