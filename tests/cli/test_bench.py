"""`flinfast bench`: what it counts, what it refuses, and a project that it starts itself."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from flinfast.cli import bench as bench_module
from flinfast.cli.bench import CLIENT_BUSY
from flinfast.cli.bench_load import Figures, body_size
from tests.e2e.conftest import SECRET, Server, made

ROOT = Path(__file__).resolve().parents[2]
FILES = {
    "app/index.flin": "route GET { { ok: true } }\n",
    "app/missing.flin": 'route GET { error(404, "none") }\n',
    "app/echo.flin": "ws { on message(data) { ws_send(ws.connection_id, data) } }\n",
    "app/shout.flin": 'ws { on message(data) { ws_send(ws.connection_id, "HEY") } }\n',
    "app/room.flin": (
        'ws {\n    on connect { ws_join("r") }\n    on message(data) { broadcast("r", data) }\n}\n'
    ),
    "app/mine.flin": "guard auth\nws { on message(data) { ws_send(ws.connection_id, data) } }\n",
    "app/bye.flin": 'ws { on message(data) { ws_close(4001, "no") } }\n',
}


def bench(folder: Path, *arguments: str, seconds: str = "0.3") -> subprocess.CompletedProcess[str]:
    options = ["--seconds", seconds, "--connections", "8"]
    return subprocess.run(
        [sys.executable, "-m", "flinfast", "bench", *options, *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "FLIN_SESSION_SECRET": SECRET},
    )


def figures(folder: Path, *arguments: str, seconds: str = "") -> tuple[int, dict[str, Any]]:
    """Exit status and the JSON report, of a longer run if nothing came in a short one."""
    for each in (seconds,) if seconds else ("0.3", "3", "30"):
        done = bench(folder, *arguments, "--json", seconds=each)
        assert done.stdout, done.stderr
        report = json.loads(done.stdout)
        if report["count"] or report["errors"]:
            break
    return done.returncode, report


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One for all tests that leave it as it was."""
    server = made(tmp_path_factory.mktemp("shared"), FILES)
    try:
        yield server.start()
    finally:
        server.kill()


@pytest.mark.parametrize(
    ("target", "arguments"),
    [
        ("ws://127.0.0.1:{port}/echo", ()),
        ("ws://127.0.0.1:{port}/echo", ("--message", "plain text")),
        ("ws://127.0.0.1:{port}/shout", ("--expect", "HEY")),
        ("ws://127.0.0.1:{port}/room", ("--mode", "fanout")),
        ("ws://127.0.0.1:{port}/echo", ("--mode", "connect")),
        ("http://127.0.0.1:{port}/", ()),
        ("http://127.0.0.1:{port}/", ("--expect", '{"ok":true}')),
        ("ws://127.0.0.1:{port}/mine", ("--as", "7")),
    ],
)
def test_right_answers_are_counted(server: Server, target: str, arguments: tuple[str, ...]) -> None:
    """In each mode; the latencies are in order."""
    code, report = figures(server.root, target.format(port=server.port), *arguments)
    assert (code, report["errors"]) == (0, {})
    assert report["count"] > 0
    latency = report["latency_ms"]
    assert 0 < latency["p50"] <= latency["p99"] <= latency["max"]
    assert report["rate"] == pytest.approx(report["count"] / report["seconds"], rel=0.01, abs=0.1)


@pytest.mark.parametrize(
    ("target", "arguments", "error"),
    [
        ("ws://127.0.0.1:{port}/shout", (), "wrong answer"),
        ("ws://127.0.0.1:{port}/shout", ("--mode", "fanout"), ""),
        ("ws://127.0.0.1:{port}/bye", (), "closed 4001"),
        ("http://127.0.0.1:{port}/missing", (), "status 404"),
        ("http://127.0.0.1:{port}/", ("--expect", "else"), "wrong answer"),
    ],
)
def test_wrong_answers_are_errors_and_count_for_nothing(
    server: Server, target: str, arguments: tuple[str, ...], error: str
) -> None:
    """With a status that scripts see."""
    code, report = figures(server.root, target.format(port=server.port), *arguments)
    assert code == 1
    assert report["count"] == 0
    if error:
        assert report["errors"][error] > 0


def test_project_is_started_and_its_data_left_alone(tmp_path: Path) -> None:
    """On a free port, over an empty database; the figures of the server are known."""
    for name, text in {
        **FILES,
        "entities/note.flin": "entity Note { text: text }\n",
        "app/save.flin": (
            'ws { on message(data) { save Note { text: "x" }; ws_send(ws.connection_id, data) } }'
        ),
    }.items():
        file = tmp_path / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
    code, report = figures(tmp_path, ".", "--path", "/save", "--as", "7")
    assert (code, report["errors"]) == (0, {})
    assert report["count"] > 0
    assert report["bytes_per_connection"] is None or report["bytes_per_connection"] >= 0
    assert report["server_cpu"] is not None
    assert not (tmp_path / ".flindb" / "flin.db").exists()
    done = bench(tmp_path, ".", "--path", "mine", "--as", "7")
    assert done.returncode == 0, done.stderr
    assert "errors      none" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (["http://192.0.2.1/"], 2, "--yes-remote"),
        (["http://example.com/"], 2, "--yes-remote"),
        (["https://localhost/"], 2, "http:// or ws://"),
        (["ws://127.0.0.1:99999/"], 2, "port up to 65535"),
        (["ws://127.0.0.1:1/"], 1, "cannot connect"),
        (["http://127.0.0.1:1/"], 1, "cannot connect"),
        (["nowhere"], 1, "nowhere"),
        (["."], 1, "no `app` folder"),
        ([".", "--mode", "fanout", "--connections", "1"], 2, "2 connections or more"),
    ],
)
def test_wrong_use_is_told(tmp_path: Path, arguments: list[str], code: int, text: str) -> None:
    """In an empty folder, with what was expected."""
    done = bench(tmp_path, *arguments)
    assert done.returncode == code, done.stderr
    assert text in done.stderr


def test_broken_program_and_refused_upgrade_are_told(tmp_path: Path) -> None:
    """With what the server said."""
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "index.flin").write_text("guard nonsense\nroute GET { 1 }\n")
    done = bench(tmp_path, ".")
    assert done.returncode == 1
    assert "FL201" in done.stderr
    (tmp_path / "app" / "index.flin").write_text("route GET { 1 }\n")
    done = bench(tmp_path, ".", "--path", "/")
    assert done.returncode == 1
    assert "expected 101 Switching Protocols" in done.stderr


@contextmanager
def silent() -> Iterator[int]:
    """The port of an HTTP server that closes each connection after the first request."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with suppress(OSError):
                while True:
                    link, _ = listener.accept()
                    with link:
                        link.recv(4096)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(60)


def test_connections_that_are_closed_are_errors(tmp_path: Path) -> None:
    """Each is counted once, and it ends when none is left."""
    with silent() as port:
        code, report = figures(tmp_path, f"http://127.0.0.1:{port}/", seconds="60")
    assert code == 1
    assert report["count"] == 0
    assert report["seconds"] < 60
    assert sum(report["errors"].values()) == 8


def test_percentiles_are_those_of_the_latencies() -> None:
    """To three digits, upwards; none without answers."""
    found = Figures()
    assert found.percentile_us(0.99) == 0
    found.latencies = {10: 98, 2000: 1, 30_000: 1}
    assert [found.percentile_us(share) for share in (0.5, 0.98, 0.99, 1.0)] == [
        *(10, 10, 2000, 30_000)
    ]


@pytest.mark.parametrize(
    ("head", "size"),
    [
        (b"http/1.1 200 ok\r\ncontent-length: 12", 12),
        (b"http/1.1 200 ok\r\ncontent-length: 12\r\nx: y", 12),
        (b"http/1.1 204 no content", 0),
        (b"http/1.1 200 ok\r\ntransfer-encoding: chunked", None),
        (b"http/1.1 200 ok\r\ncontent-length: -1", None),
    ],
)
def test_size_of_a_body(head: bytes, size: int | None) -> None:
    """As its head says."""
    assert body_size(head) == size


REPORT: dict[str, Any] = {
    "url": "http://127.0.0.1:1/",
    "mode": "http",
    "connections": 8,
    "count": 100,
    "seconds": 1.0,
    "rate": 100.0,
    "bytes_per_second": 100,
    "latency_ms": {"p50": 1.0},
    "errors": {},
    "server_cpu": 0.3,
    "server_us_each": 3.0,
    "bytes_per_connection": None,
    "client_cpu": 0.97,
}


@pytest.mark.parametrize("was_bottleneck", [False, True])
def test_a_busy_client_is_told_of(capsys: pytest.CaptureFixture[str], was_bottleneck: bool) -> None:
    """Beside the table, so that scripts that read it see nothing new."""
    bench_module._show({**REPORT, "client_was_bottleneck": was_bottleneck})
    told = capsys.readouterr()
    assert "client CPU  97% of a core" in told.out
    assert ("the client was the bottleneck" in told.err) is was_bottleneck
    assert "bottleneck" not in told.out


class Load:
    """Two seconds and one answer, in no time."""

    def __init__(self, figures: Figures) -> None:
        self._figures = figures

    def run(self, seconds: float) -> None:
        self._figures.seconds = seconds
        self._figures.right(0.0, 10)


@pytest.mark.parametrize("share", [CLIENT_BUSY - 0.01, CLIENT_BUSY, CLIENT_BUSY + 0.01])
def test_a_client_is_busy_from_a_share_of_its_core_on(
    monkeypatch: pytest.MonkeyPatch, share: float
) -> None:
    """Of the time that was measured: at the limit, below and above it."""
    used = iter([5.0, 5.0 + share * 2.0 + 1e-9])
    monkeypatch.setattr(bench_module, "_client_cpu_s", lambda: next(used))
    monkeypatch.setattr(bench_module, "_load", lambda target, mode, options, found: Load(found))
    target = bench_module.Target("127.0.0.1", 1, "/", 0, [])
    report = bench_module._measure(target, "http", {"connections": 8, "seconds": 2.0})
    assert report["client_cpu"] == pytest.approx(share, abs=0.001)
    assert report["client_was_bottleneck"] is (share >= CLIENT_BUSY)
