"""``make test-fast`` leaves out slow tests, but never a whole folder of them."""

import ast
from pathlib import Path

from django.conf import settings

TESTS = settings.BASE_DIR / "tests"
# Real processes and a real browser: none of them is quick.
ALL_SLOW = {"chaos", "e2e"}


def is_slow(node: ast.AST) -> bool:
    """Whether a decorator, or a module's marks, name ``pytest.mark.slow``."""
    return "mark.slow" in ast.unparse(node)


def has_quick_test(file: Path) -> bool:
    """Whether a test of the file runs in ``make test-fast``."""
    tree = ast.parse(file.read_text())
    marks = [node for node in tree.body if isinstance(node, ast.Assign) and "pytestmark" in ast.unparse(node)]
    if any(is_slow(mark) for mark in marks):
        return False
    tests = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name.startswith("test")]
    return any(not any(is_slow(mark) for mark in test.decorator_list) for test in tests)


def test_every_folder_keeps_a_quick_test():
    folders = {file.parent for file in TESTS.rglob("test_*.py")}
    folders = {one for one in folders if not ALL_SLOW & {*one.relative_to(TESTS).parts}}

    assert len(folders) > 15
    assert [str(one) for one in sorted(folders) if not any(map(has_quick_test, one.glob("test_*.py")))] == []
