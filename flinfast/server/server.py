"""A server's life: load the program, listen, serve, drain, stop.

    load -> bind -> serve -> (signal) -> drain -> stop

Draining stops accepting, answers readiness with 503, closes WebSockets in batches with 1012,
finishes what runs, and after `server.drain_s` resets the rest. A second signal skips the waiting.
SIGHUP reads certificate and program again (`reload.py`); systemd is told of all this (`notify.py`).
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import select
import signal
import socket
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from flinfast.server.config import Config
from flinfast.server.http_protocol import HttpConnection
from flinfast.server.listen import address_text, open_listeners, tls_context
from flinfast.server.log import BridgeHandler, Log
from flinfast.server.loop import LoopScheduler, new_loop
from flinfast.server.notify import READY, STOPPING, notify, reloading
from flinfast.server.reload import reload_certificate, reload_program
from flinfast.server.site import Application, Site

if TYPE_CHECKING:
    import ssl

    from flinfast.native.hub import Hub

CLOSE_CODE_RESTART = 1012  # RFC 6455 registry: clients come back, spread over time
DRAIN_POLL_S = 0.02
# Loop turns in which what has come before the signal is accepted and read: one for each, and one
# for a loop that was between two polls.
ARRIVAL_TURNS = 3
ABORT_TURNS = 5  # loop turns in which resets reach their protocols
HAS_EPOLL = hasattr(select, "epoll")
DESCRIPTORS_MAX = 1 << 20  # some containers allow 2**30; nothing needs so many


class LoadProgram(Protocol):
    """Loads the program; raises CompileError, ConfigError or StoreError."""

    def __call__(self, scheduler: LoopScheduler, log: Log) -> tuple[Application, Hub]:
        """Called once, inside the running loop."""


class Server:
    """One process's server.

    Args:
        config: All settings.
        root: Project root.
        load: Loads the program.
        log: Where lines go.

    Attributes:
        addresses: URLs (or `unix:` paths) once it listens.
        site: What connections share, once it listens.
    """

    def __init__(self, config: Config, root: Path, load: LoadProgram, log: Log) -> None:
        self.addresses: tuple[str, ...] = ()
        self.site: Site | None = None
        self._settings = config.settings
        self._root = root
        self._load = load
        self._log = log
        self._context: ssl.SSLContext | None = None
        self._listeners: list[socket.socket] = []
        self._servers: list[asyncio.AbstractServer] = []
        self._stop = asyncio.Event()
        self._abort = asyncio.Event()
        self._is_reloading = False
        self._is_stale = False  # the source may have changed since the reload began

    async def serve(self, started: Callable[[Server, Application], None] | None = None) -> None:
        """Load, listen, serve until request_stop(), drain.

        Args:
            started: Called once connections are accepted.

        Raises:
            CompileError: The program has faults.
            ConfigError: It cannot listen as configured.
            StoreError: The database cannot be used.
        """
        loop = asyncio.get_running_loop()
        scheduler = LoopScheduler(loop)
        self._log.writer.attach(loop.call_later)
        app: Application | None = None
        try:
            context = self._context = tls_context(self._settings.server)
            app, hub = self._load(scheduler, self._log)
            self._listeners = open_listeners(self._settings.server)
            raise_descriptor_limit()
            site = self.site = Site(
                self._settings,
                app,
                hub,
                self._log,
                root=self._root,
                loop=loop,
                is_tls=context is not None,
            )
            hub.attach_loop(loop)
            # What was loaded lives as long as the process: the collector need not look at it.
            if gc.isenabled():  # else nothing has run before but the start, which makes no garbage
                gc.collect()
            gc.freeze()
            gc.enable()
            for listener in self._listeners:
                await self._listen(site, listener, context)
            self.addresses = tuple(
                address_text(listener, is_tls=context is not None) for listener in self._listeners
            )
            site.start_sweep()
            if started is not None:
                started(self, app)
            notify(READY)
            await self._stop.wait()
            await self._drain(site)
            hub.detach_loop()
        finally:
            gc.enable()
            self._close_listeners()
            if app is not None:
                app.close()
            scheduler.close()
            self._log.close()

    async def _listen(
        self, site: Site, listener: socket.socket, context: ssl.SSLContext | None
    ) -> None:
        """Accept in the hub's reactor where that is possible, else in the loop."""
        backlog = self._settings.server.backlog
        make_protocol = partial(HttpConnection, site)
        if context is None and self._settings.server.data_plane != "adapter" and HAS_EPOLL:
            listener.listen(backlog)
            site.hub.listen(
                listener.fileno(), make_protocol, site.report, site.repeated_upgrades.known
            )
            return
        server = await asyncio.get_running_loop().create_server(
            make_protocol, sock=listener, ssl=context, backlog=backlog
        )
        self._servers.append(server)

    def request_stop(self) -> None:
        """Begin to drain; when called again, stop waiting for peers."""
        if self._stop.is_set():
            self._abort.set()
        self._stop.set()
        notify(STOPPING)

    def reload(self) -> None:
        """Read certificate and program again; what cannot be used stays as it was.

        The program follows later. When it is asked for meanwhile, it is read once more after that.
        """
        if self.site is None or self._stop.is_set():
            return
        self._is_stale = self._is_reloading
        if self._is_reloading:
            return
        self._is_reloading = True
        notify(reloading())
        if self._context is not None:
            reload_certificate(self._context, self._settings.server, self._log)
        reload_program(self.site.app, self._log, self._reloaded)

    def _reloaded(self) -> None:
        self._is_reloading = False
        if self._stop.is_set():
            return
        notify(READY)
        if self._is_stale:
            self.reload()

    async def _drain(self, site: Site) -> None:
        """Answer what has come already, let connections end, then reset what is left."""
        loop = asyncio.get_running_loop()
        hub = site.hub
        for _ in range(ARRIVAL_TURNS):
            await asyncio.sleep(0)
        self._close_listeners()
        hub.close_accepted()
        site.begin_drain()
        hub.drain(CLOSE_CODE_RESTART)
        deadline = loop.time() + self._settings.server.drain_s
        while loop.time() < deadline and not self._abort.is_set():
            if not hub.connection_count and not any(c.is_handling for c in site.connections):
                break
            await asyncio.sleep(DRAIN_POLL_S)
        hub.abort_all()
        site.stop_sweep()
        site.compressor.close()
        site.abort_all()
        for _ in range(ABORT_TURNS):
            await asyncio.sleep(0)

    def _close_listeners(self) -> None:
        for server in self._servers:
            server.close()
        self._servers.clear()
        for listener in self._listeners:
            if self.site is not None:
                self.site.hub.unlisten(listener.fileno())
            listener.close()
        self._listeners.clear()
        uds = self._settings.server.uds
        if uds and self.addresses:
            Path(uds).unlink(missing_ok=True)
            self.addresses = ()


def run(
    config: Config,
    root: Path,
    load: LoadProgram,
    log: Log,
    started: Callable[[Server, Application], None],
) -> None:
    """Serve in this process until a signal ends it.

    Args:
        config: All settings.
        root: Project root.
        load: Loads the program.
        log: Where lines go.
        started: Called once connections are accepted.

    Raises:
        CompileError: The program has faults.
        ConfigError: It cannot listen as configured.
        StoreError: The database cannot be used.
    """
    loop = new_loop()
    try:
        asyncio.set_event_loop(loop)
        loop.set_exception_handler(partial(_report_loop_fault, log))
        _bridge_logging(log)
        loop.run_until_complete(_run(config, root, load, log, started))
    finally:
        asyncio.set_event_loop(None)
        loop.close()


async def _run(
    config: Config,
    root: Path,
    load: LoadProgram,
    log: Log,
    started: Callable[[Server, Application], None],
) -> None:
    server = Server(config, root, load, log)
    loop = asyncio.get_running_loop()
    if sys.platform != "win32":
        for name in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(name, server.request_stop)
        if os.isatty(0):
            loop.add_signal_handler(signal.SIGHUP, server.request_stop)  # its terminal was closed
        else:
            loop.add_signal_handler(signal.SIGHUP, server.reload)
    await server.serve(started)


def _report_loop_fault(log: Log, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """One callback's fault; the loop goes on."""
    error = context.get("exception")
    detail = f"{type(error).__name__}: {error}" if error is not None else ""
    log.error(str(context.get("message", "a callback failed")), exception=detail)


def _bridge_logging(log: Log) -> None:
    import logging

    logging.getLogger().addHandler(BridgeHandler(log))


def raise_descriptor_limit() -> None:
    """Let this process open as many descriptors as it may: each connection is one."""
    if sys.platform == "win32":
        return
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = DESCRIPTORS_MAX if hard == resource.RLIM_INFINITY else min(hard, DESCRIPTORS_MAX)
    if soft < wanted:
        with contextlib.suppress(OSError, ValueError):  # macOS has a lower limit of its own
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
