"""Start a server on one core, load it from another, end it and all its children."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.client import parse_headers
from pathlib import Path
from typing import BinaryIO

from bench.contenders import Contender, compile_c
from bench.scenarios import Scenario

START_S = 60.0  # of a server on a machine that does other work too
STOP_S = 10.0
LOAD_S = 240.0  # beyond the longest run of the load generator, which ends itself before
SESSIONS_AT_ONCE = 100  # requests of one write
START_TRIES = 3  # a port that was free may be taken before the server binds it
SERVER_CORE, CLIENT_CORE = 0, 1


class ServerError(RuntimeError):
    """A server did not start, or the load generator gave no answer."""


def _pinned(core: int, command: list[str]) -> list[str]:
    pinned = ["taskset", "-c", str(core % (os.cpu_count() or 1)), *command]
    # Whatever ends the benchmark, neither servers nor load stay behind.
    return ["setpriv", "--pdeathsig", "KILL", *pinned] if shutil.which("setpriv") else pinned


def free_port() -> int:
    """A TCP port that nobody listens on right now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _last_words(errors: Path) -> str:
    lines = errors.read_text(errors="replace").strip().splitlines()
    return lines[-1][:200] if lines else "it said nothing"


def _listeners(port: int) -> set[str]:
    """Targets of the file descriptors that listen on a TCP port, whoever has them."""
    found = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with suppress(OSError):
            for line in Path(table).read_text().splitlines()[1:]:
                columns = line.split()
                if columns[3] == "0A" and int(columns[1].rpartition(":")[2], 16) == port:
                    found.add(f"socket:[{columns[9]}]")
    return found


def _listens(session: int, port: int) -> bool:
    """Whether a process of a session listens on a port; another program's listener is not ours."""
    wanted = _listeners(port)
    for process in Path("/proc").glob("[0-9]*") if wanted else ():
        with suppress(OSError):
            if int((process / "stat").read_text().rpartition(")")[2].split()[3]) == session:
                held = {os.readlink(descriptor) for descriptor in (process / "fd").iterdir()}
                if held & wanted:
                    return True
    return False


def _wait_for(port: int, process: subprocess.Popen[bytes], errors: Path) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise ServerError(f"server ended: {_last_words(errors)}")
        if _listens(process.pid, port):
            return
        time.sleep(0.02)
    raise ServerError(f"server did not listen within {START_S:.0f} s")


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a server: asked first, then with everything in its session."""
    with suppress(ProcessLookupError):
        process.send_signal(signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        process.wait(STOP_S)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _start(contender: Contender, folder: Path) -> tuple[int, subprocess.Popen[bytes]]:
    port, errors = free_port(), folder / "errors.log"
    project = folder / f"project-{port}"
    project.mkdir()
    with errors.open("wb") as log:
        process = subprocess.Popen(
            _pinned(SERVER_CORE, contender.command(port, project)),
            stdout=subprocess.DEVNULL,
            stderr=log,
            env={**os.environ, **contender.environment},
            start_new_session=True,
        )
    try:
        _wait_for(port, process, errors)
    except BaseException:
        _end(process)
        raise
    return port, process


def _retried(
    start: Callable[[], tuple[int, subprocess.Popen[bytes]]],
) -> tuple[int, subprocess.Popen[bytes]]:
    for _ in range(START_TRIES - 1):
        try:
            return start()
        except ServerError as error:
            if "in use" not in str(error).lower() and "EADDRINUSE" not in str(error):
                raise
    return start()


@contextmanager
def running(contender: Contender) -> Iterator[tuple[int, int]]:
    """Run a contender; yields (port, process id).

    Raises:
        ServerError: It does not start within `START_S` seconds.
    """
    with tempfile.TemporaryDirectory(
        prefix="flinfast-bench-", ignore_cleanup_errors=True
    ) as folder:
        port, process = _retried(lambda: _start(contender, Path(folder)))
        try:
            yield port, process.pid
        finally:
            _end(process)


def make_sessions(port: int, count: int) -> list[str]:
    """Cookies that so many GETs of /session are answered with; none from a server without."""
    request = f"GET /session HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode()
    found: list[str] = []
    with (
        socket.create_connection(("127.0.0.1", port), START_S) as one,
        one.makefile("rb") as reader,
    ):
        for start in range(0, count, SESSIONS_AT_ONCE):
            batch = min(SESSIONS_AT_ONCE, count - start)
            one.sendall(request * batch)
            for _ in range(batch):
                head = parse_headers(_after_status(reader))
                reader.read(int(head["Content-Length"]))
                cookie = str(head.get("Set-Cookie", "")).partition(";")[0]
                found += [cookie] if cookie else []
    return found


def _after_status(reader: BinaryIO) -> BinaryIO:
    if b" 200 " not in (status := reader.readline()):
        raise ServerError(f"no session: {status!r}")
    return reader


@contextmanager
def _cookies(port: int, count: int) -> Iterator[list[str]]:
    """Arguments that give each connection a session."""
    found = make_sessions(port, count) if count else []
    with tempfile.NamedTemporaryFile("w", prefix="flinfast-bench-", suffix=".txt") as file:
        file.write("".join(f"{cookie}\n" for cookie in found))
        file.flush()
        yield ["-f", file.name] if found else []


def load(scenario: Scenario, port: int, pid: int, seconds: float) -> dict[str, object]:
    """One run of the load generator; its JSON answer.

    Raises:
        ServerError: There is no answer.
    """
    timing = ["-t", str(seconds)] if scenario.timed else []
    command = [str(compile_c("wsload")), *scenario.arguments, "-p", str(port), "-i", str(pid)]
    try:
        with _cookies(port, scenario.sessions) as cookies:
            done = subprocess.run(
                _pinned(CLIENT_CORE, [*command, *timing, *cookies]),
                capture_output=True,
                timeout=LOAD_S + seconds,
                check=False,
            )
    except subprocess.TimeoutExpired:
        raise ServerError("the load generator did not end") from None
    if not done.stdout.strip():
        raise ServerError(done.stderr.decode(errors="replace")[-300:] or "no answer from wsload")
    answer: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
    return answer
