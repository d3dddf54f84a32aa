"""Run the suite embedded and, where the servers answer, beside it on PostgreSQL and Redis; `make test` calls this.

Side by side, because much of the suite waits for processes of its own. A child of a shell's `&` would ignore SIGINT.
"""

import os
import signal
import subprocess
import sys
from pathlib import Path

from tests import services

ROOT = Path(__file__).resolve().parent.parent
VAR = ROOT / "var"
# What a browser shows depends on no database, and a browser is slow: each of its files runs once, most of them embedded;
# these two beside that, so that both runs take about equally long. Slow tests that are not about the database run once
# too (tests/conftest.py).
BROWSED_BESIDE = {"test_every_page.py", "test_roles.py"}


def start(name, *arguments, output=None, **environment):
    """Start a run of pytest with the command line's arguments, some more, and a VAR_DIR of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "pytest", *sys.argv[1:], *arguments],
        env={**os.environ, "VAR_DIR": str(VAR / name), **environment},
        stdout=output,
        stderr=subprocess.STDOUT if output else None,
    )


def ignored(is_left_out):
    """Return what lets pytest leave out these tests of a browser."""
    files = sorted((ROOT / "tests/e2e").glob("test_*.py"))
    return [f"--ignore={file.relative_to(ROOT)}" for file in files if is_left_out(file.name)]


def tell(text):
    """Print a line before what the children print next."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def main():
    """Return the first exit code that is not 0."""
    # Started in the background of a shell, this process ignores SIGINT, and so would all that it starts.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    found = services.variables()
    if found is None:
        return 1
    VAR.mkdir(exist_ok=True)
    tell("Tests on SQLite and a private broker")
    if not found:
        return start("test").wait()
    log = VAR / "test-services.log"
    with log.open("w") as output:
        is_whole = not sys.argv[1:]
        beside = {"BESIDE_EMBEDDED": "1"} if is_whole else {}
        left_out = ignored(lambda name: name not in BROWSED_BESIDE) if is_whole else []
        other = start("test-services", *left_out, output=output, **found, **beside)
        embedded = start("test", *(ignored(BROWSED_BESIDE.__contains__) if is_whole else [])).wait()
        served = other.wait()
    tell("Tests on PostgreSQL and Redis")
    tell(log.read_text())
    return embedded or served


if __name__ == "__main__":
    sys.exit(main())
