"""`flinfast serve`: the production server."""

from __future__ import annotations

import asyncio
import gc
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import click

from flinfast import __version__
from flinfast.cli.listing import route_lines
from flinfast.cli.report import show_diagnostics
from flinfast.cli.usage import example
from flinfast.errors import ConfigError
from flinfast.server import config as settings
from flinfast.settings import PUBLIC_FOLDER

if TYPE_CHECKING:
    from flinfast.native.hub import Hub
    from flinfast.runtime.app import App
    from flinfast.server.log import Log
    from flinfast.server.loop import LoopScheduler
    from flinfast.server.server import Server
    from flinfast.server.site import Application

# Option's parameter name -> the setting it overrides.
FLAGS = {
    "host": "server.host",
    "port": "server.port",
    "uds": "server.uds",
    "fd": "server.fd",
    "workers": "server.workers",
    "ssl_keyfile": "server.ssl_keyfile",
    "ssl_certfile": "server.ssl_certfile",
    "proxy_headers": "server.proxy_headers",
    "forwarded_allow_ips": "server.forwarded_allow_ips",
    "root_path": "server.root_path",
    "log_level": "log.level",
    "access_log": "log.access",
}


@click.command(
    "serve",
    epilog=example(
        "flinfast serve chat",
        "flinfast serve chat --host 0.0.0.0 --port 8000",
        "flinfast serve chat --uds /run/chat.sock --proxy-headers",
    ),
)
@click.argument("path", type=click.Path(path_type=Path), default=".")
@click.option("--host", metavar="ADDRESS", help="Address to listen on.  [default: 127.0.0.1]")
@click.option("--port", type=int, help="Port to listen on; 0 takes a free one.  [default: 3000]")
@click.option("--uds", metavar="PATH", help="Listen on a Unix socket instead.")
@click.option("--fd", type=int, help="Listen on an inherited socket instead.")
@click.option("--workers", type=int, help="Number of processes; only 1 for now.")
@click.option("--ssl-keyfile", metavar="FILE", help="Private key for TLS, PEM.")
@click.option("--ssl-certfile", metavar="FILE", help="Certificate chain for TLS, PEM.")
@click.option(
    "--proxy-headers/--no-proxy-headers",
    default=None,
    help="Believe X-Forwarded-For and X-Forwarded-Proto of trusted proxies.",
)
@click.option(
    "--forwarded-allow-ips", metavar="LIST", help="Trusted proxies.  [default: 127.0.0.1,::1]"
)
@click.option("--root-path", metavar="PREFIX", help="Path prefix under which a proxy serves us.")
@click.option(
    "--log-level", type=click.Choice(["debug", "info", "warn", "error"]), help="Least level logged."
)
@click.option("--access-log/--no-access-log", default=None, help="A log line per request.")
def command(path: Path, **options: Any) -> None:
    """Serve the project at PATH: its root, its `app` folder, or one .flin file.

    Settings come from flinfast.toml, FLIN_* variables and these options, later ones first.
    SIGTERM and SIGINT drain and stop; a second one stops at once.
    """
    began = time.perf_counter()
    from flinfast.runtime.project import find_root

    root, _ = find_root(path)
    flags = {
        FLAGS[name]: settings.Flag("--" + name.replace("_", "-"), value)
        for name, value in options.items()
        if value is not None
    }
    config = settings.load(root, environ=os.environ, flags=flags)
    serve_project(path, root, config, began)


def _check_workers(config: settings.Config) -> None:
    workers = config.settings.server.workers
    if workers != 1:
        raise ConfigError(
            f"expected 1 worker, got {workers}",
            path="server.workers",
            hint="one process serves a project for now; it uses one core for handlers",
        )


def serve_project(
    path: Path,
    root: Path,
    config: settings.Config,
    began: float,
    *,
    following: Callable[[Server, Application], None] | None = None,
) -> None:
    """Serve until a signal ends it.

    Args:
        path: As given on the command line.
        root: Project root.
        config: All settings.
        began: `time.perf_counter()` when the command began.
        following: Called when it listens and the banner stands; follows the source.

    Raises:
        CompileError: The program has faults.
        ConfigError: It cannot listen as configured.
        StoreError: The database cannot be used.
    """
    _check_workers(config)
    gc.disable()  # a start makes no garbage; the server looks for it once it serves
    from flinfast.runtime.app import App
    from flinfast.server.log import Log
    from flinfast.server.server import run

    log = Log(config.settings.log)

    def load(scheduler: LoopScheduler, log: Log) -> tuple[Application, Hub]:
        app = App.load(path, config.settings, scheduler=scheduler, log=log)
        return app, app.hub

    def started(server: Server, app: Application) -> None:
        assert isinstance(app, App)
        if app.warnings:
            show_diagnostics(app.warnings)
        for note in config.notes:
            log.warn(note, code="FL906")
        took_s = time.perf_counter() - began
        _show_banner(server, app, root, config, took_s, is_following=following is not None)
        if following is not None:
            following(server, app)

    run(config, root, load, log, started)
    log.info("stopped")
    log.close()


def _show_banner(
    server: Server,
    app: App,
    root: Path,
    config: settings.Config,
    took_s: float,
    *,
    is_following: bool,
) -> None:
    """What a person wants to know at a glance, on standard output."""
    dot = "·" if (sys.stdout.encoding or "").lower().startswith("utf") else "-"
    loop = type(asyncio.get_running_loop()).__module__.partition(".")[0]
    data = f"SQLite {Path(config.settings.store.path, 'flin.db')}"
    if config.settings.store.database:
        data = f"PostgreSQL {urlsplit(config.settings.store.database).hostname or 'local'}"
    lines = [
        f"flinfast {__version__} {dot} {loop} {dot} {data} {dot} "
        f"{config.settings.mode} {dot} ready in {took_s * 1000:.0f} ms",
        "",
    ]
    lines += [f"App      {address}" for address in server.addresses]
    lines.append(f"{'Watching' if is_following else 'Project '} {root}")
    public = root / PUBLIC_FOLDER
    if public.is_dir():
        lines.append(f"Static   {public}")
    lines += ["", *route_lines(app.routes)]
    if is_following:
        lines += ["", "What you save is live; Ctrl-C stops."]
    click.echo("\n".join(f"  {line}".rstrip() for line in lines))
    click.echo()
    sys.stdout.flush()
