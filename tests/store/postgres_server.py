"""A PostgreSQL server of the tests' own: temporary, on a Unix socket, without syncing."""

from __future__ import annotations

import asyncio
import contextlib
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

_FOLDERS = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)


def _program(name: str) -> str | None:
    for folder in _FOLDERS:
        if (folder / name).exists():
            return str(folder / name)
    return shutil.which(name)


def _as_server(user: str, *command: str) -> list[str]:
    """A command line of a user who may run a server: root may not."""
    return ["runuser", "-u", user, "--", *command] if os.geteuid() == 0 else list(command)


@contextlib.contextmanager
def running_server() -> Iterator[str]:
    """Start a server; its URL without a database name. Skips where none is installed."""
    initdb, control = _program("initdb"), _program("pg_ctl")
    if initdb is None or control is None:
        if os.environ.get("CI"):
            raise AssertionError("PostgreSQL is not installed")
        pytest.skip("PostgreSQL is not installed (Debian: apt-get install postgresql)")
    user = "postgres" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name
    parent = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    folder = Path(tempfile.mkdtemp(prefix="flin-pg-", dir=parent))
    try:
        if os.geteuid() == 0:
            shutil.chown(folder, user)
        data = folder / "data"
        options = f"-k {folder} -h '' -c fsync=off -c max_connections=100 -c log_min_messages=fatal"
        run = {"check": True, "stdout": subprocess.DEVNULL, "cwd": folder, "timeout": 100}
        login = ("-U", "flin", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync")
        subprocess.run(_as_server(user, initdb, "-D", str(data), *login), **run)
        log = ("-l", str(folder / "log"))
        start = (control, "-D", str(data), "-w", "-o", options, *log, "start")
        subprocess.run(_as_server(user, *start), **run)
        try:
            yield f"postgres://flin@/postgres?host={folder}"
        finally:
            stop = (control, "-D", str(data), "-m", "immediate", "stop")
            subprocess.run(_as_server(user, *stop), **run)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def run_sql(url: str, *statements: str) -> None:
    """Run statements on a connection of their own."""

    async def run() -> None:
        connection = await asyncpg.connect(url)
        try:
            for statement in statements:
                await connection.execute(statement)
        finally:
            await connection.close()

    with asyncio.Runner() as runner:
        runner.run(run())


def emptied(url: str) -> str:
    """The same database without anything in it."""
    run_sql(url, "DROP SCHEMA public CASCADE", "CREATE SCHEMA public")
    return url
