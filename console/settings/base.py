"""The environment, the folder for data, and the database: what the other settings need."""

import os
from pathlib import Path

from console.environment import Environment, refuse

BASE_DIR = Path(__file__).resolve().parents[2]

env = Environment(os.environ)
# Tests, and the processes that they start, must never use a developer's database, broker or Reddit keys.
if env.switch("READ_DOT_ENV", default="PYTEST_VERSION" not in os.environ):
    env.read_file(BASE_DIR / ".env")

# Where the one-machine default keeps its database, broker and generated secrets.
VAR_DIR = env.folder("VAR_DIR", default=BASE_DIR / "var")

DATABASES = {"default": env.database("DATABASE_URL", default=f"sqlite:///{VAR_DIR / 'console.sqlite3'}")}


def local_secret(name: str, make: str) -> str:
    """Return the secret in ``var/<name>``; the first call stores ``make`` there, readable by its owner only.

    Not with a database on another host: each host would create its own secret, and could not read those of the others.
    """
    host = DATABASES["default"].get("HOST") or "localhost"
    if not (host in ("localhost", "127.0.0.1", "::1") or host.startswith("/")):
        fault = "it is missing, and DATABASE_URL names another host, whose users need the same."
        refuse(name.upper(), fault, "Write that of `openssl rand -hex 32` on every host.")
    path = VAR_DIR / name
    try:
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    except FileExistsError:
        return path.read_text().strip()
    except OSError as error:
        refuse(
            "VAR_DIR",
            f"{name} cannot be kept there ({error.strerror}).",
            f"Let it be written, or set {name.upper()}.",
        )
    with os.fdopen(descriptor, "w") as file:
        file.write(make)
    return make
