"""The synthetic Reddit that `up` runs: written down while it runs, so that commands in a shell beside it scrape it too.

The settings read it, so nothing of Django may be needed here.
"""

import contextlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path

FILE = "sandbox.json"


@contextlib.contextmanager
def written_down(directory: Path, environment: Mapping[str, str]) -> Iterator[None]:
    """Keep the variables that lead to the sandbox in a file of the directory, until the block is left."""
    file = directory / FILE
    file.write_text(json.dumps(dict(environment)))
    try:
        yield
    finally:
        file.unlink(missing_ok=True)


def variables(directory: Path) -> dict[str, str]:
    """Return the variables that lead to the sandbox that runs beside us; empty: there is none."""
    try:
        found = json.loads((directory / FILE).read_text())
    except (OSError, ValueError):
        return {}
    return {str(name): str(value) for name, value in found.items()} if isinstance(found, dict) else {}
