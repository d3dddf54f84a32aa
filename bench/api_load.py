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
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from urllib.request import urlopen

import psutil

from bench import harness

SECONDS = int(os.environ.get("BENCH_SECONDS", "60"))
CLIENTS = int(os.environ.get("BENCH_CLIENTS", "50"))
PATHS = ("/livez", "/api/v1/runs/")
PORT = 18765
# So many, each from an address of its own, that none reaches the limit of a minute.
TOKENS = 200
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


@contextmanager
def callers(scope: str = "read") -> Iterator[list[str]]:
    """Make a superuser with tokens of a scope; yield the tokens; delete both."""
    from django.contrib.auth.models import User

    from accounts.models import PersonalToken, Scope

    user, _is_new = User.objects.get_or_create(username="bench-load", is_superuser=True, is_staff=True)
    try:
        yield [
            PersonalToken.make(
                user=user, lifetime=timedelta(hours=1), name=f"load {number}", scopes=[Scope(scope).value]
            )[1]
            for number in range(TOKENS)
        ]
    finally:
        PersonalToken.objects.filter(user=user).delete()
        user.delete()


@contextmanager
def web_server(log: Path) -> Iterator[psutil.Process]:
    """Run the web server of production until the block ends; its access log goes to a file."""
    from console.local import processes

    with log.open("w") as stream:
        server = subprocess.Popen(
            [
                f"{Path(sys.executable).parent}/{processes.web()[0]}",
                *processes.web(host="127.0.0.1", port=PORT)[1:],
            ],
            stdout=stream,
            stderr=subprocess.STDOUT,
            env={
                **os.environ,
                "ALLOWED_HOSTS": "127.0.0.1",
                "TRUSTED_PROXY_COUNT": "1",
                "LOG_LEVEL": "ERROR",
            },
        )
        try:
            for _ in range(300):
                try:
                    urlopen(f"http://127.0.0.1:{PORT}/livez").close()
                    break
                except OSError:
                    time.sleep(0.1)
            else:
                raise RuntimeError(f"The web server did not answer within 30 s:\n{log.read_text()[-2000:]}")
            yield psutil.Process(server.pid)
        finally:
            server.terminate()
            server.wait()


def load(path: str, script: Path, seconds: int) -> None:
    """Read an address with all clients for some seconds."""
    subprocess.run(
        ["wrk", "-t1", f"-c{CLIENTS}", f"-d{seconds}s", "-s", script, f"http://127.0.0.1:{PORT}{path}"],
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
    with tempfile.TemporaryDirectory() as folder, callers() as tokens:
        log, script, secrets = (Path(folder, name) for name in ("log", "tokens.lua", "tokens"))
        secrets.write_text("\n".join(tokens))
        script.write_text(SCRIPT % secrets)
        with web_server(log) as server:
            table = [row_of(path, server, log, script) for path in PATHS]
    harness.print_table(
        f"{CLIENTS} clients, {SECONDS} s each",
        ["address", "median ms", "p95 ms", "most ms", "a second", "statuses", "MiB"],
        table,
    )


if __name__ == "__main__":
    harness.set_up()
    main()
