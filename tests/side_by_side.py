"""Run the suite embedded, on PostgreSQL and Redis where they answer, and in the browser; `make test` calls this.

All at once, because much of the suite waits for processes of its own. A child of a shell's `&` would ignore SIGINT.
"""

import os
import signal
import subprocess
import sys
from pathlib import Path

from tests import services

ROOT = Path(__file__).resolve().parent.parent
VAR = ROOT / "var"
# What a browser shows depends on no database: it runs once, embedded. So do slow tests that are not about the database
# (tests/conftest.py).
BROWSED = "tests/e2e"


class Run:
    """A run of pytest with the command line's arguments, some more, and a VAR_DIR of its own."""

    def __init__(self, title, name, *arguments, is_shown=False, **environment):
        self.title, self.log = title, VAR / f"{name}.log"
        command = [sys.executable, "-m", "pytest", *sys.argv[1:], *arguments]
        environment = {**os.environ, "VAR_DIR": str(VAR / name), **environment}
        if is_shown:
            tell(title)
            self.log, self._process = None, subprocess.Popen(command, env=environment)
            return
        with self.log.open("w") as output:
            self._process = subprocess.Popen(
                command, env=environment, stdout=output, stderr=subprocess.STDOUT
            )

    def wait(self):
        """Return the exit code, after the output has been shown."""
        code = self._process.wait()
        if self.log:
            tell(self.title)
            tell(self.log.read_text())
        return code


def tell(text):
    """Print a text before what the children print next."""
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
    embedded, served = "Tests on SQLite and a private broker", "Tests on PostgreSQL and Redis"
    if not found:
        return Run(embedded, "test", is_shown=True).wait()
    if sys.argv[1:]:
        runs = [Run(served, "test-services", **found), Run(embedded, "test", is_shown=True)]
    else:
        rest = f"--ignore={BROWSED}"
        runs = [
            Run(served, "test-services", rest, BESIDE_EMBEDDED="1", **found),
            Run("Tests in a browser", "test-pages", BROWSED),
            Run(embedded, "test", rest, is_shown=True),
        ]
    return next(filter(None, [run.wait() for run in reversed(runs)]), 0)


if __name__ == "__main__":
    sys.exit(main())
