"""50 clients that read ``/api/v1/runs/`` for a minute from the web server of production, by ``wrk`` (Debian: wrk).

Fill a database first (``python -m bench.fill --posts 1000000``), then run ``python -m bench.api_load`` with the same
DATABASE_URL. It starts gunicorn as production does and adds personal tokens, which it deletes again. It prints the
server time of the answers as gunicorn logs it, the answers a second, the statuses, and the memory of the web processes
after a first and after the last part of the time. Beside it stands ``livez``, which is Django and gunicorn alone.
``BENCH_SECONDS`` is the length of a run, ``BENCH_CLIENTS`` the number of clients.
"""

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

import psutil

from bench import harness, web

SECONDS = int(os.environ.get("BENCH_SECONDS", "60"))
CLIENTS = int(os.environ.get("BENCH_CLIENTS", "50"))
PATHS = ("/livez", "/api/v1/runs/")
MIB = 1024 * 1024
# Each connection of wrk sends its requests with the tokens in turn.
SCRIPT = """
local tokens, at = {}, 0
for line in io.lines("%s") do tokens[#tokens + 1] = line end
function request()
  at = at + 1
  local address = "10.0.0." .. (at %% 200 + 1)
  return wrk.format("GET", nil, {["Authorization"] = "Bearer " .. tokens[at %% #tokens + 1], ["X-Forwarded-For"] = address})
end
"""


def load(path: str, script: Path, seconds: int) -> None:
    """Read an address with all clients for some seconds."""
    subprocess.run(
        ["wrk", "-t1", f"-c{CLIENTS}", f"-d{seconds}s", "-s", script, f"http://127.0.0.1:{web.PORT}{path}"],
        check=True,
        stdout=subprocess.DEVNULL,
    )


def memory_of(server: psutil.Process) -> float:
    """Return the MiB that the web server's processes have for themselves."""
    return sum(one.memory_full_info().uss for one in server.children(recursive=True)) / MIB


def row_of(path: str, server: psutil.Process, log: Path, script: Path) -> list[str]:
    """Load one address; return its line of the table."""
    load(path, script, max(5, SECONDS // 6))
    first, began = memory_of(server), log.stat().st_size
    load(path, script, SECONDS)
    lines = log.read_text()[began:].splitlines()
    read = [line.rsplit('" ', 1)[1].split() for line in lines if f"GET {path.partition('?')[0]}" in line]
    times = [float(fields[2]) for fields in read]
    p50, p95 = statistics.median(times), statistics.quantiles(times, n=20)[-1]
    statuses = ", ".join(f"{status}: {number}" for status, number in Counter(one[0] for one in read).items())
    memory = f"{first:.0f} → {memory_of(server):.0f}"
    return [
        path,
        f"{p50:.0f}",
        f"{p95:.0f}",
        f"{max(times):.0f}",
        f"{len(times) / SECONDS:.0f}",
        statuses,
        memory,
    ]


def main() -> None:
    """Print the table."""
    if shutil.which("wrk") is None:
        sys.exit("wrk is not installed: apt-get install wrk")
    with tempfile.TemporaryDirectory() as folder, web.callers() as tokens:
        log, script, secrets = (Path(folder, name) for name in ("log", "tokens.lua", "tokens"))
        secrets.write_text("\n".join(tokens))
        script.write_text(SCRIPT % secrets)
        with web.web_server(log) as server:
            table = [row_of(path, server, log, script) for path in PATHS]
    harness.print_table(
        f"{CLIENTS} clients, {SECONDS} s each",
        ["address", "median ms", "p95 ms", "most ms", "a second", "statuses", "MiB"],
        table,
    )


if __name__ == "__main__":
    harness.set_up()
    main()
