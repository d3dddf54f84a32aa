"""Asks the vulnerability service of PyPI about every locked release; `make audit` calls this.

Exit 0: no known vulnerability, or the service could not be asked, which is said. Exit 1: there are some.
"""

import json
import subprocess
import sys
from typing import Any

LOCKS = (
    "requirements/base.txt",
    "requirements/parquet.txt",
    "requirements/tracing.txt",
    "requirements/dev.txt",
)
SECONDS = 300


def asked(lock: str) -> list[dict[str, Any]] | str:
    """Return what pip-audit says of each release of a lock, or why it says nothing."""
    command = [
        sys.executable, "-m", "pip_audit", "--requirement", lock, "--disable-pip", "--require-hashes",
        "--format", "json", "--progress-spinner", "off",
    ]  # fmt: skip
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
        found: list[dict[str, Any]] = json.loads(done.stdout)["dependencies"]
    except subprocess.TimeoutExpired:
        return f"no answer within {SECONDS} seconds"
    except (ValueError, KeyError):
        lines = done.stderr.strip().splitlines()
        return lines[-1] if lines else "pip-audit printed nothing"
    return found


def report(lock: str, answer: list[dict[str, Any]] | str) -> tuple[list[str], bool]:
    """Return the lines about a lock, and whether it has a known vulnerability."""
    if isinstance(answer, str):
        return [f"{lock}: NOT audited, the service cannot be asked: {answer}"], False
    skipped = [one["name"] for one in answer if "skip_reason" in one]
    if answer and len(skipped) == len(answer):
        return [f"{lock}: NOT audited, the service knows none of its {len(answer)} releases."], False
    lines = [f"{lock}: {len(answer) - len(skipped)} of {len(answer)} releases audited."]
    lines += [f"  not audited: {', '.join(sorted(skipped))}"] if skipped else []
    faults = [
        f"  {one['name']} {one['version']}: {vuln['id']}, mended in {', '.join(vuln['fix_versions']) or 'no release'}"
        for one in answer
        for vuln in one.get("vulns", ())
    ]
    return [*lines, *faults], bool(faults)


def main() -> int:
    """Print the report of every lock; return the exit code."""
    is_vulnerable = False
    for lock in LOCKS:
        lines, is_bad = report(lock, asked(lock))
        is_vulnerable |= is_bad
        sys.stdout.write("\n".join([*lines, ""]))
        sys.stdout.flush()
    return int(is_vulnerable)


if __name__ == "__main__":
    sys.exit(main())
