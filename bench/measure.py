"""Start a server on one core, load it from another, end it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.contenders import Contender, compile_c
from bench.scenarios import Scenario

START_S = 20.0
SERVER_CORE, CLIENT_CORE = 0, 1


def _pinned(core: int, command: list[str]) -> list[str]:
    count = os.cpu_count() or 1
    return ["taskset", "-c", str(core % count), *command]


def free_port() -> int:
    """A TCP port that nobody listens on right now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_for(port: int, process: subprocess.Popen[bytes], errors: Path) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"server ended: {errors.read_text()[-500:]}")
        try:
            socket.create_connection(("127.0.0.1", port), 0.5).close()
        except OSError:
            time.sleep(0.02)
        else:
            return
    raise RuntimeError(f"server did not listen within {START_S:.0f} s")


@contextmanager
def running(contender: Contender) -> Iterator[tuple[int, int]]:
    """Run a contender; yields (port, process id)."""
    port = free_port()
    errors = Path(f"/tmp/flinfast-bench-{os.getpid()}-{port}.log")
    with errors.open("wb") as log:
        process = subprocess.Popen(
            _pinned(SERVER_CORE, contender.command(port)),
            stdout=subprocess.DEVNULL,
            stderr=log,
            env={**os.environ, **contender.environment},
        )
    try:
        _wait_for(port, process, errors)
        yield port, process.pid
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        errors.unlink(missing_ok=True)


def load(scenario: Scenario, port: int, pid: int, seconds: float) -> dict[str, object]:
    """One run of the load generator; its JSON answer."""
    timing = ["-t", str(seconds)] if scenario.timed else []
    command = [str(compile_c("wsload")), *scenario.arguments, "-p", str(port), "-i", str(pid)]
    done = subprocess.run(
        _pinned(CLIENT_CORE, [*command, *timing]), capture_output=True, timeout=180, check=False
    )
    if not done.stdout.strip():
        raise RuntimeError(done.stderr.decode(errors="replace")[-300:] or "no answer from wsload")
    answer: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
    return answer
