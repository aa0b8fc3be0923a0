"""How long a person waits: `--version`, a warm `serve`, and a save until it is live.

    python -m bench.bench_start
    python -m bench.bench_start --python .venv/bin/python --rounds 20

CPU is that of the whole process, all threads, user and system; wall time is what a person feels and
depends on what else the machine does. Beside them stand a bare Python and one that imports the
compiled dependencies: less than that no Python program can need. Rounds are interleaved.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from websockets.sync.client import ClientConnection, connect

ROUNDS = 9
SOCKETS = 50  # connections that a save must not drop
START_S = 60.0  # of a server on a machine that does other work too
IDENTITY = "import flinfast; print(flinfast.__file__)"

HANDLER = """route GET {{ "{0}" }}
ws {{ on message(data) {{ ws_send(ws.connection_id, "{0}") }} }}
"""
ENTITY = "entity Note { text: text @required }\n"


@dataclass(frozen=True)
class Sample:
    """What one start or save took, in milliseconds."""

    cpu_ms: float
    wall_ms: float


@dataclass(frozen=True)
class Row:
    """One thing measured.

    Attributes:
        name: As in the table.
        measure: One round of it.
        bar: What it may take, such as "CPU 60"; empty for a floor.
    """

    name: str
    measure: Callable[[], Sample]
    bar: str = ""


def cpu_ms(pid: int) -> float:
    """CPU time that a running process has used, all threads; Linux."""
    return time.clock_gettime((~pid << 3) | 2) * 1000  # MAKE_PROCESS_CPUCLOCK(pid, CPUCLOCK_SCHED)


def whole_run(command: list[str]) -> Sample:
    """A process from its start to its end."""
    began = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    wall_ms = (time.perf_counter() - began) * 1000
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{command} ended with {process.returncode}")
    return Sample((used.ru_utime + used.ru_stime) * 1000, wall_ms)


@contextlib.contextmanager
def listening(command: list[str]) -> Iterator[tuple[int, int, float]]:
    """Run a server; (pid, port, seconds until it said that it listens)."""
    began = time.perf_counter()
    process = subprocess.Popen(
        [*command, "--port", "0"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    assert process.stdout is not None
    try:
        text = b""
        while b"http://" not in text or not text.endswith(b"\n"):
            chunk = os.read(process.stdout.fileno(), 65536)
            if not chunk:
                raise RuntimeError(f"{command} ended: {text.decode()}")
            text += chunk
        took_s = time.perf_counter() - began
        port = int(text.partition(b"http://")[2].split(b"\n")[0].rpartition(b":")[2])
        yield process.pid, port, took_s
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(START_S)
        process.stdout.close()


def ready(command: list[str]) -> Sample:
    """A server from its start until it says that it listens."""
    with listening(command) as (pid, _, took_s):
        return Sample(cpu_ms(pid), took_s * 1000)


class Saves:
    """A project under `flinfast dev` with open connections; each round saves a file.

    Args:
        command: `flinfast dev` of that project.
        handler: The file.
    """

    def __init__(self, command: list[str], handler: Path) -> None:
        self._handler = handler
        self._count = 0
        self._stack = contextlib.ExitStack()
        self._pid, port, _ = self._stack.enter_context(listening(command))
        address = f"ws://127.0.0.1:{port}"
        self._live = self._stack.enter_context(connect(address + "/_flin/live"))
        self._live.recv(START_S)
        self._sockets: list[ClientConnection] = [
            self._stack.enter_context(connect(address + "/api/live")) for _ in range(SOCKETS)
        ]
        self.save()  # the compiler is loaded in the background after the start

    def save(self) -> Sample:
        """Save another answer; until a connection that was open before gets it."""
        self._count += 1
        answer = f"answer {self._count}"
        before = cpu_ms(self._pid)
        began = time.perf_counter()
        self._handler.write_text(HANDLER.format(answer), encoding="utf-8")
        self._live.recv(START_S)  # what tells pages to load again: the new program serves
        wall_ms = (time.perf_counter() - began) * 1000
        used_ms = cpu_ms(self._pid) - before
        for socket in self._sockets:
            socket.send("x")
            if socket.recv(START_S) != answer:
                raise RuntimeError("a saved file was not live")
        return Sample(used_ms, wall_ms)

    def close(self) -> None:
        """End the server and its connections."""
        self._stack.close()


def make_project(root: Path) -> Path:
    """A small project with a route, a WebSocket and an entity; its handler's path."""
    handler = root / "app" / "api" / "live.flin"
    handler.parent.mkdir(parents=True)
    handler.write_text(HANDLER.format("answer 0"), encoding="utf-8")
    entities = root / "entities"
    entities.mkdir()
    (entities / "note.flin").write_text(ENTITY, encoding="utf-8")
    (root / "flinfast.toml").write_text("[log]\naccess = false\n", encoding="utf-8")
    return handler


def table(rows: list[Row], samples: dict[str, list[Sample]]) -> str:
    """Markdown: least and median of CPU and wall time."""
    lines = [
        "| milliseconds | CPU, least | CPU, median | wall, least | wall, median | at most |",
        "|---|---|---|---|---|---|",
    ]
    for row in rows:
        columns = [[s.cpu_ms for s in samples[row.name]], [s.wall_ms for s in samples[row.name]]]
        figures = [f"{f(c):.0f}" for c in columns for f in (min, statistics.median)]
        lines.append(f"| {row.name} | {' | '.join(figures)} | {row.bar} |")
    return "\n".join(lines)


def run(python: str, rounds: int) -> str:
    """Measure all rows in turn, `rounds` times.

    Args:
        python: The interpreter whose flinfast is measured.
        rounds: At least 1.

    Returns:
        The table.
    """
    flinfast = [python, "-m", "flinfast"]
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        root = Path(folder) / "project"
        handler = make_project(root)
        ready([*flinfast, "serve", str(root)])  # compiled modules and the program are kept
        saved_root = Path(folder) / "saved"
        saves = Saves([*flinfast, "dev", str(saved_root)], make_project(saved_root))
        stack.callback(saves.close)
        assert handler.exists()
        rows = [
            Row("`python -c pass`", lambda: whole_run([python, "-c", "pass"])),
            Row(
                "`import uvloop, httptools, apsw`",
                lambda: whole_run([python, "-c", "import uvloop, httptools, apsw"]),
            ),
            Row("`flinfast --version`", lambda: whole_run([*flinfast, "--version"]), "CPU 60"),
            Row("`flinfast serve`, warm", lambda: ready([*flinfast, "serve", str(root)]), "250"),
            Row(f"a save, {SOCKETS} sockets", saves.save, "wall 40"),
        ]
        samples: dict[str, list[Sample]] = {row.name: [] for row in rows}
        for _ in range(rounds):
            for row in rows:
                samples[row.name].append(row.measure())
        return table(rows, samples)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m bench.bench_start", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--python", default=sys.executable, help="interpreter to measure")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    arguments = parser.parse_args()
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # warm means that modules are compiled
    where = subprocess.check_output([arguments.python, "-c", IDENTITY], text=True).strip()
    before = os.getloadavg()[0]
    print(run(arguments.python, arguments.rounds))
    print(f"\n{where}; load average {before:.1f} before, {os.getloadavg()[0]:.1f} after")


if __name__ == "__main__":
    main()
