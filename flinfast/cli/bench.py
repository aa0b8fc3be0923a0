"""`flinfast bench`: how much a project serves, measured on this machine."""

from __future__ import annotations

import ipaddress
import json
import os
import re
import resource
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import click

from flinfast.cli.bench_load import (
    BenchError,
    Echo,
    Fanout,
    Figures,
    Http,
    Load,
    connect_load,
    open_all,
)
from flinfast.cli.report import EXIT_FAULTS
from flinfast.cli.token import config_of, make_token
from flinfast.cli.usage import example
from flinfast.cli.ws import CONNECT_S, TOKEN_LIFE_S, open_socket

START_S: Final = 60.0
STOP_S: Final = 10.0
SECONDS_MAX: Final = 600.0
CONNECTIONS_MAX: Final = 20_000
CLIENT_BUSY: Final = 0.9  # of a core: beyond it the server may do more than was seen
_ADDRESS: Final = re.compile(r"App\s+http://([0-9.]+):([0-9]+)")
_TICKS: Final = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Target:
    """What is measured.

    Attributes:
        host: Address.
        port: Port.
        path: With its query.
        pid: The server's process when this command started it, else 0.
        fields: Further header fields.
    """

    host: str
    port: int
    path: str
    pid: int
    fields: list[tuple[str, str]]

    @property
    def netloc(self) -> str:
        """Host and port as in a URL."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


@click.command(
    "bench",
    epilog=example(
        "flinfast bench chat --path /api/echo",
        "flinfast bench chat --path /api/room --mode fanout --connections 1000",
        "flinfast bench http://127.0.0.1:3000/api/users --seconds 10",
    ),
)
@click.argument("target", metavar="[PATH_OR_URL]", default=".")
@click.option(
    "--path", "route", metavar="ROUTE", default="/", help="Route of a project to measure."
)
@click.option(
    "--mode",
    type=click.Choice(["echo", "fanout", "http", "connect"]),
    help="What is done.  [default: http for http:// URLs, else echo]",
)
@click.option(
    "--connections", type=click.IntRange(1, CONNECTIONS_MAX), default=100, show_default=True,
    help="Connections that are open at once.",
)  # fmt: skip
@click.option(
    "--seconds", type=click.FloatRange(0.1, SECONDS_MAX), default=5.0, show_default=True,
    help="How long to measure.",
)  # fmt: skip
@click.option("--message", metavar="TEXT", default='{"n": 1}', help="What WebSockets send.")
@click.option("--expect", metavar="TEXT", help="The right answer.  [default: the message itself]")
@click.option("--as", "user", metavar="USER", help="Send a bearer token for this user.")
@click.option(
    "--project",
    type=click.Path(path_type=Path),
    default=".",
    help="Whose secret `--as` signs with.",
)
@click.option("--json", "as_json", is_flag=True, help="Print figures as JSON.")
@click.option("--yes-remote", is_flag=True, help="Measure another machine, which you may load.")
def command(target: str, as_json: bool, **options: Any) -> int:
    """Measure the project at PATH, or a server that runs at URL.

    A project is started on a free port, with an empty database that is removed afterwards. `echo`:
    each connection sends a message and waits for the answer. `fanout`: one sends, all others are to
    receive it. `http`: GET requests over open connections. `connect`: WebSockets opened and closed.
    Only right answers count. Exits 1 when anything went wrong.
    """
    is_url = "://" in target
    mode = options["mode"] or ("http" if target.startswith("http://") else "echo")
    if mode == "fanout" and options["connections"] < 2:
        raise click.UsageError("`--mode fanout` needs 2 connections or more")
    _raise_limit(options["connections"])
    with _running(target, options) if is_url else _started(Path(target), options) as found:
        report = _measure(found, mode, options)
    if as_json:
        click.echo(json.dumps(report, indent=2))
    else:
        _show(report)
    return EXIT_FAULTS if report["errors"] or not report["count"] else 0


def _raise_limit(connections: int) -> None:
    from flinfast.server.server import raise_descriptor_limit

    raise_descriptor_limit()
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < connections + 64:
        raise BenchError(f"{connections} connections need more than the {soft} open files allowed")


# --- targets ----------------------------------------


@contextmanager
def _running(url: str, options: dict[str, Any]) -> Iterator[Target]:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "ws"):
        raise click.UsageError(f"expected a URL of http:// or ws://, got {url}")
    try:
        host, port = parts.hostname or "", parts.port or 80
    except ValueError:
        raise click.UsageError(f"expected a URL with a port up to 65535, got {url}") from None
    if not _is_loopback(host) and not options["yes_remote"]:
        raise click.UsageError(
            f"{host} is not this machine. Add --yes-remote if you may put load on it."
        )
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    fields = []
    if options["user"] is not None:
        config, folder = config_of(options["project"])
        token = make_token(config, folder, options["user"], {}, TOKEN_LIFE_S)
        fields = [("Authorization", f"Bearer {token}")]
    yield Target(host, port, path, 0, fields)


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


@contextmanager
def _started(project: Path, options: dict[str, Any]) -> Iterator[Target]:
    """The project's own server on a free port, without its data."""
    config, _ = config_of(project)
    if config.settings.store.database:
        raise BenchError(
            "the project's database is PostgreSQL, which a measurement would write to: "
            "start the server yourself and give its URL"
        )
    with tempfile.TemporaryDirectory(prefix="flinfast-") as folder:
        environment = {
            **os.environ,
            "FLIN_STORE_PATH": folder,
            "FLIN_SESSION_SECRET": config.settings.session.secret or secrets.token_urlsafe(48),
            "FLIN_LOG_ACCESS": "off",
        }
        address = ["--host", "127.0.0.1", "--port", "0"]
        command = [sys.executable, "-m", "flinfast", "serve", str(project), *address]
        log = Path(folder, "log")
        with log.open("wb") as errors:
            process = subprocess.Popen(
                command, env=environment, stdout=subprocess.PIPE, stderr=errors
            )
        try:
            host, port = _address_of(process, log)
            fields = []
            if options["user"] is not None:
                os.environ["FLIN_SESSION_SECRET"] = environment["FLIN_SESSION_SECRET"]
                own, _ = config_of(project)
                token = make_token(own, Path(folder), options["user"], {}, TOKEN_LIFE_S)
                fields = [("Authorization", f"Bearer {token}")]
            yield Target(host, port, "/" + options["route"].lstrip("/"), process.pid, fields)
        finally:
            _stop(process)


def _address_of(process: subprocess.Popen[bytes], log: Path) -> tuple[str, int]:
    """Where it listens, once it does."""
    assert process.stdout is not None
    deadline = time.monotonic() + START_S
    for line in process.stdout:
        found = _ADDRESS.search(line.decode("utf-8", "replace"))
        if found is not None:
            return found[1], int(found[2])
        if time.monotonic() > deadline:
            break
    process.wait(STOP_S)
    raise BenchError(f"the server did not start:\n{log.read_text('utf-8', 'replace').rstrip()}")


def _stop(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        process.send_signal(signal.SIGTERM)  # the second one waits for nobody
    try:
        process.wait(STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if process.stdout is not None:
        process.stdout.close()


# --- measuring ----------------------------------------


def _measure(target: Target, mode: str, options: dict[str, Any]) -> dict[str, Any]:
    figures = Figures()
    count = options["connections"]
    memory = _memory(target.pid)
    load = _load(target, mode, options, figures)
    opened = _memory(target.pid)
    server_s, client_s = _server_cpu_s(target.pid), _client_cpu_s()
    if load is None:
        url = f"ws://{target.netloc}{target.path}"
        connect_load(url, target.fields, options["seconds"], figures)
    else:
        load.run(options["seconds"])
    client = (_client_cpu_s() - client_s) / figures.seconds
    server = None if not target.pid else _server_cpu_s(target.pid) - server_s
    per_connection = None
    if memory and opened and load is not None:
        per_connection = max(0, opened - memory) // count
    return {
        "url": f"{'http' if mode == 'http' else 'ws'}://{target.netloc}{target.path}",
        "mode": mode,
        "connections": count if load is not None else 1,
        "seconds": round(figures.seconds, 3),
        "count": figures.count,
        "rate": round(figures.count / figures.seconds, 1),
        "bytes_per_second": round(figures.bytes / figures.seconds),
        "latency_ms": {
            "p50": figures.percentile_us(0.5) / 1000,
            "p99": figures.percentile_us(0.99) / 1000,
            "max": figures.latency_max_us / 1000,
        },
        "errors": figures.errors,
        "server_cpu": None if server is None else round(server / figures.seconds, 3),
        "server_us_each": None
        if server is None or not figures.count
        else round(server / figures.count * 1e6, 2),
        "bytes_per_connection": per_connection,
        "client_cpu": round(client, 3),
        "client_was_bottleneck": client >= CLIENT_BUSY,
    }


def _load(target: Target, mode: str, options: dict[str, Any], figures: Figures) -> Load | None:
    """Open connections; None where opening them is what is measured."""
    if mode == "http":
        return _http_load(target, options, figures)
    url = f"ws://{target.netloc}{target.path}"
    if mode == "connect":
        open_socket(url, target.fields)[0].close()  # a refusal is told before anything is counted
        return None
    links = open_all(options["connections"], lambda: open_socket(url, target.fields)[0])
    message = options["message"].encode()
    expect = message if options["expect"] is None else options["expect"].encode()
    return (Echo if mode == "echo" else Fanout)(links, figures, message, expect)


def _http_load(target: Target, options: dict[str, Any], figures: Figures) -> Load:
    lines = [f"GET {target.path} HTTP/1.1", f"Host: {target.netloc}"]
    lines += [f"{name}: {value}" for name, value in target.fields]
    request = ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1", "replace")

    def connect() -> socket.socket:
        try:
            return socket.create_connection((target.host, target.port), CONNECT_S)
        except OSError as error:
            raise BenchError(f"cannot connect to {target.netloc}: {error}") from error

    links = open_all(options["connections"], connect)
    return Http(links, figures, request, (options["expect"] or "").encode())


def _client_cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _server_cpu_s(pid: int) -> float:
    """CPU seconds that a process has used; 0 where the system does not say."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text("latin-1").rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / _TICKS


def _memory(pid: int) -> int:
    """Resident bytes of a process; 0 where the system does not say."""
    try:
        text = Path(f"/proc/{pid}/status").read_text("latin-1")
    except OSError:
        return 0
    found = re.search(r"VmRSS:\s+([0-9]+) kB", text)
    return int(found[1]) * 1024 if found is not None else 0


# --- the report ----------------------------------------


def _show(report: dict[str, Any]) -> None:
    latency = report["latency_ms"]
    noun = {"echo": "answers", "fanout": "deliveries", "http": "answers", "connect": "openings"}
    rows = [
        ("target", f"{report['url']}, {report['mode']}, {report['connections']} connections"),
        (noun[report["mode"]], f"{report['count']} in {report['seconds']:.1f} s"),
        ("rate", f"{report['rate']:,.0f} per second, {report['bytes_per_second']:,} bytes/s"),
        (
            "latency",
            ", ".join(f"{name} {ms:.2f} ms" for name, ms in latency.items()),
        ),
    ]
    if report["server_cpu"] is not None:
        each = f", {report['server_us_each']} us each" if report["server_us_each"] else ""
        rows.append(("server CPU", f"{report['server_cpu']:.0%} of a core{each}"))
    if report["bytes_per_connection"] is not None:
        rows.append(("memory", f"{report['bytes_per_connection']:,} bytes per connection"))
    rows.append(("client CPU", f"{report['client_cpu']:.0%} of a core"))
    shown = [f"{count} x {what}" for what, count in report["errors"].items()]
    rows.append(("errors", ", ".join(shown) or "none"))
    for name, text in rows:
        click.echo(f"{name:11} {text}")
    if report["client_was_bottleneck"]:
        click.echo(
            "note: the client was the bottleneck: the server can do more than this", err=True
        )
