"""What all HTTP connections of a server share, and which part of it answers a request.

Order of resolution: `/_flin/` (ours), cross-origin preflight, routes of the program, files of
`public/`, 404. A WebSocket upgrade asks the routes only.
"""

from __future__ import annotations

import asyncio
import secrets
import sys
import time
from collections.abc import Callable, Iterable
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

import msgspec

from flinfast.late_pattern import late_pattern
from flinfast.native.hub import Answers
from flinfast.runtime.request import Request
from flinfast.runtime.response import Response
from flinfast.runtime.router import BadPath
from flinfast.server.allowed_hosts import AllowedHosts
from flinfast.server.compress import compress, is_fresh, not_modified, vary
from flinfast.server.compressor import LOOP_BYTES_MAX, Compressor
from flinfast.server.head import METHODS, Head
from flinfast.server.head_reader import HeadReader
from flinfast.server.http_protocol import HttpConnection
from flinfast.server.log import Log
from flinfast.server.outflow import Outflow
from flinfast.server.probes import NAMES, PREFIX, Probes
from flinfast.server.repeated_upgrade import RepeatedUpgrades
from flinfast.server.response_head import JSON_TYPE, ResponseHeads
from flinfast.server.static import OpenFile, StaticFiles
from flinfast.settings import PUBLIC_FOLDER, Settings

if TYPE_CHECKING:
    from ipaddress import IPv4Network, IPv6Network

    from flinfast.native.hub import Hub
    from flinfast.runtime.app import Upgrade
    from flinfast.runtime.context import WsContext
    from flinfast.runtime.runner import Straight
    from flinfast.server.live import LivePages

SCRIPT_PATH: Final = "/_flin/live.js"
SOCKET_PATH: Final = "/_flin/live"
SWEEP_INTERVAL_S = 1.0  # resolution of all HTTP deadlines; shorter ones sharpen it
SWEEP_INTERVAL_MIN_S = 0.02
LATE_SWEEPS_MAX = 30  # in a row that expire nothing
ALL_METHODS: Final = ", ".join(sorted(METHODS))

_REQUEST_ID: Final = late_pattern(r"[A-Za-z0-9._-]{1,64}")


class Respond(Protocol):
    """Takes the response to one request, now or later; only the first call counts."""

    def __call__(self, response: Response, file: OpenFile | None = None) -> None:
        """Send it."""


class Application(Protocol):
    """What the server asks of a program; `runtime.app.App` is one.

    Attributes:
        epoch: Changes when the program does.
        when_closed: Set by the server: told of each connection that is gone.
    """

    epoch: int

    when_closed: Callable[[WsContext], None] | None

    @property
    def can_store(self) -> bool:
        """Whether what handlers write can still become durable."""

    def match(self, path: str) -> Any | None:
        """The route of a percent-encoded path; raises BadPath."""

    def handle(self, match: Any, request: Request, respond: Callable[[Response], None]) -> None:
        """Answer a request, now or later."""

    def straight(self, request: Request, make_id: Callable[[], str]) -> Straight | None:
        """The way to answer requests equal to one while the epoch lasts, None without one."""

    def upgrade(
        self,
        match: Any,
        request: Request,
        accept: Callable[[Upgrade], None],
        reject: Callable[[Response], None],
    ) -> None:
        """Decide about an upgrade, now or later."""

    def not_found(self, request: Request) -> Response:
        """The answer when nothing has this path."""

    def error_response(self, status: int, message: str, request: Request) -> Response:
        """An error in the form the request accepts."""

    def reload_apart(self, done: Callable[[BaseException | None], None]) -> None:
        """Read the program again while it serves; `done` is told why not, if it went on."""

    def close(self) -> None:
        """Write everything out; nothing is called after this."""


class Site:
    """A program and everything its connections need.

    Args:
        settings: All settings.
        app: The program.
        hub: Owner of open WebSockets.
        log: Where lines go.
        root: Project root; `root/public` holds static files.
        loop: The running loop.
        is_tls: Whether connections are TLS.

    Attributes:
        connections: Every HTTP connection that is open.
        now: Coarse monotonic time, seconds; moved on by sweep().
        live: Pages that follow the source; only under `flinfast dev`.
        answers: What the known requests of all connections share.
        outflow: Long bodies on their way.
        compressor: Compresses what would hold the loop up.
        is_draining: Whether responses close their connection and readiness is gone.
    """

    def __init__(
        self,
        settings: Settings,
        app: Application,
        hub: Hub,
        log: Log,
        *,
        root: Path,
        loop: asyncio.AbstractEventLoop,
        is_tls: bool = False,
    ) -> None:
        self.settings = settings
        self.app = app
        self.hub = hub
        self.log = log
        self.connections: set[HttpConnection] = set()
        self.is_draining = False
        self.live: LivePages | None = None
        self.heads = ResponseHeads(settings.security, is_tls=is_tls)
        self.head_reader = HeadReader(
            header_count_max=settings.server.header_count_max, hosts=_hosts(settings)
        )
        self.call_soon = loop.call_soon
        self.call_later = loop.call_later
        self.probes = Probes(self)
        self._statuses = [0] * 6
        self.repeated_upgrades = RepeatedUpgrades(self)
        self.now = loop.time()
        self._loop = loop
        self._sweep_handle: asyncio.TimerHandle | None = None
        self._sweep_interval_s = _sweep_interval_s(settings)
        self._late_sweep_count = 0
        self._files = StaticFiles(
            root / PUBLIC_FOLDER,
            caches_hashed=settings.mode == "production",
            root_path=settings.server.root_path,
            sends_stored=settings.server.compression,
        )
        self._root_path = settings.server.root_path
        self._request_count = 0
        self._request_prefix = secrets.token_hex(4)
        self.reads_proxy_headers = settings.server.proxy_headers
        self._proxies = _Proxies(settings.server.forwarded_allow_ips)
        server = settings.server
        self._compression_threshold = (
            server.compression_threshold if server.compression else sys.maxsize
        )
        self.outflow = Outflow(loop.call_soon)
        self.compressor = Compressor(loop, self._compression_threshold)
        self._error_bodies: dict[tuple[int, str], bytes] = {}
        self.answers = Answers(
            self.heads.json_start,
            unchanged_max=self._compression_threshold - 1,
            is_told=log.has_access_lines,
        )
        if log.has_access_lines:
            app.when_closed = self._log_closed

    # --- requests ----------------------------------------

    def dispatch(self, head: Head, request: Request, respond: Respond) -> None:
        """Answer one request."""
        path = request.path
        live = self.live
        if path.startswith(PREFIX):
            is_script = live is not None and path == SCRIPT_PATH and head.method == "GET"
            respond(live.script() if live and is_script else self.probes.respond(request))
            return
        if head.method == "OPTIONS":
            if path == "*":
                respond(Response(204, [("Allow", ALL_METHODS)]))
                return
            preflight = self.heads.preflight(head)
            if preflight is not None:
                respond(preflight)
                return
        app = self.app
        try:
            match = app.match(path)
        except BadPath as fault:
            respond(app.error_response(fault.status, str(fault), request))
            return
        if match is not None:
            app.handle(match, request, respond)
            return
        found = self._files.serve(head, path)
        if found is not None:
            respond(*(found if live is None else live.with_script_in_file(*found)))
        else:
            respond(app.not_found(request))

    def dispatch_upgrade(
        self,
        head: Head,
        request: Request,
        accept: Callable[[Upgrade], None],
        reject: Callable[[Response], None],
    ) -> None:
        """Ask the program about one upgrade."""
        app = self.app
        if self.is_draining:
            reject(app.error_response(503, "Service Unavailable", request))
            return
        if self.live is not None and request.path == SOCKET_PATH:
            self.live.upgrade(request, accept, reject)
            return
        try:
            match = app.match(request.path)
        except BadPath as fault:
            reject(app.error_response(fault.status, str(fault), request))
            return
        if match is None:
            reject(app.not_found(request))
        else:
            app.upgrade(match, request, accept, reject)

    def path_below_root(self, path: str) -> str:
        """The path as the program sees it: without `server.root_path`, if it starts with it."""
        prefix = self._root_path
        if prefix and path.startswith(prefix):
            rest = path[len(prefix) :]
            if not rest:
                return "/"
            if rest[0] == "/":
                return rest
        return path

    def next_request_id(self) -> str:
        """A fresh id, unique over restarts as well."""
        self._request_count += 1
        return f"{self._request_prefix}-{self._request_count:x}"

    def forwarded(self, head: Head, peer: str, scheme: str) -> tuple[str, str]:
        """Address and scheme of the client behind a trusted proxy.

        X-Forwarded-For is read from its end: the last address that no trusted proxy has is the
        client's. Whatever stands before it may be invented.
        """
        if not self._proxies.trusts(peer):
            return peer, scheme
        proto = head.joined("x-forwarded-proto").rpartition(",")[2].strip(" \t").lower()
        if proto in ("http", "https"):
            scheme = proto
        for part in reversed(head.joined("x-forwarded-for").split(",")):
            address = part.strip(" \t")
            if not is_address(address):
                break
            peer = address
            if not self._proxies.trusts(address):
                break
        return peer, scheme

    # --- responses ----------------------------------------

    def compresses(self, size: int) -> bool:
        """Whether a body of so many bytes may be compressed."""
        return size >= self._compression_threshold

    def compresses_apart(self, head: Head, response: Response) -> bool:
        """Whether a response goes through the compressor before it is sent."""
        return self.live is None and self.compressor.takes(head, response)

    def error(self, status: int, message: str, headers: Iterable[tuple[str, str]] = ()) -> Response:
        """A JSON error for a request that never reached the program."""
        key = (status, message)
        body = self._error_bodies.get(key)
        if body is None:
            body = msgspec.json.encode({"error": message, "status": status})
            self._error_bodies[key] = body  # messages are constants of this package: a few dozen
        return Response(status, [("Content-Type", JSON_TYPE), *headers], body)

    def fitted(self, head: Head, response: Response) -> Response:
        """A program's response in the form that this client wants: not modified, or compressed."""
        if self.live is not None:
            response = self.live.with_script(response)
        if "if-none-match" in head.fields and is_fresh(head, response):
            return not_modified(response, threshold=self._compression_threshold)
        size = len(response.body)
        if size > LOOP_BYTES_MAX:
            vary(response, threshold=self._compression_threshold)
        elif self.compresses(size):
            compress(head, response, threshold=self._compression_threshold)
        return response

    def report(self, text: str, error: BaseException) -> None:
        """Log a fault of ours."""
        self.log.error(text, exception=f"{type(error).__name__}: {error}")

    def _log_closed(self, connection: WsContext) -> None:
        duration_s = max(0.0, time.time() - connection.opened_ms / 1000)
        self.log.connection_closed(
            connection.path,
            connection.close_code,
            duration_s,
            messages_in=connection.messages_in,
            messages_out=connection.messages_out,
        )

    def count_response(self, status: int) -> None:
        """Count for the metrics, by class of status."""
        self._statuses[status // 100] += 1

    def response_count(self, status_class: int) -> int:
        """Responses so far whose status has this first digit."""
        known = {1: self.repeated_upgrades.known.count, 2: self.answers.count}
        return self._statuses[status_class] + known.get(status_class, 0)

    # --- time and end ----------------------------------------

    def start_sweep(self) -> None:
        """Check all deadlines from now on."""
        self.now = self._loop.time()
        self.answers.deadline = self.now + self.settings.server.keep_alive_s
        self._sweep_handle = self._loop.call_later(self._sweep_interval_s, self._scheduled_sweep)

    def stop_sweep(self) -> None:
        """Check no deadline any more."""
        if self._sweep_handle is not None:
            self._sweep_handle.cancel()
            self._sweep_handle = None

    def _scheduled_sweep(self) -> None:
        """Sweep, unless we are late ourselves: what peers sent meanwhile has to be read first."""
        interval_s, now = self._sweep_interval_s, self._loop.time()
        is_late = now - self.now > 2 * interval_s
        self._sweep_handle = self._loop.call_later(interval_s, self._scheduled_sweep)
        if is_late and self._late_sweep_count < LATE_SWEEPS_MAX:
            self._late_sweep_count += 1
            self.now = now
            self.answers.deadline = now + self.settings.server.keep_alive_s
        else:
            self._late_sweep_count = 0
            self.sweep()

    def sweep(self) -> None:
        """Expire every connection whose deadline has passed."""
        now = self.now = self._loop.time()
        self.answers.deadline = now + self.settings.server.keep_alive_s
        self.hub.sweep_accepted(self.settings.server.head_timeout_s)
        for connection in [c for c in self.connections if c.deadline <= now]:
            connection.expire(now)

    def begin_drain(self) -> None:
        """Close what is idle; what is busy closes after its response."""
        self.is_draining = True
        self.answers.is_open = self.repeated_upgrades.known.is_open = False
        for connection in list(self.connections):
            connection.close_when_done()

    def abort_all(self) -> None:
        """Reset every connection."""
        for connection in list(self.connections):
            connection.transport.abort()


class _Proxies:
    """Addresses whose forwarding fields are believed.

    Args:
        allowed: Addresses, networks such as 10.0.0.0/8, or `*` for everyone.
    """

    def __init__(self, allowed: tuple[str, ...]) -> None:
        self._allows_all = "*" in allowed
        self._addresses = frozenset(allowed)
        self._networks: tuple[IPv4Network | IPv6Network, ...] | None = None

    def trusts(self, peer: str) -> bool:
        """Whether a peer is a trusted proxy; a Unix socket's peer ("") always is."""
        if self._allows_all or not peer or peer in self._addresses:
            return True
        import ipaddress

        if self._networks is None:
            # An IPv6 address may be written in several ways.
            ranges = [a for a in self._addresses if "/" in a or (":" in a and a != "::1")]
            self._networks = tuple(map(ipaddress.ip_network, ranges))
        if not self._networks or not is_address(peer):
            return False
        address = ipaddress.ip_address(peer)
        return any(address in network for network in self._networks)


@lru_cache(maxsize=1024)
def is_address(text: str) -> bool:
    """Whether text is an IPv4 or IPv6 address."""
    import ipaddress

    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _hosts(settings: Settings) -> AllowedHosts:
    """The names of a site; balancers ask for its health by address."""
    server = settings.server
    probes = [f"{PREFIX}{name}" for name in NAMES]
    return AllowedHosts(
        server.allowed_hosts,
        allows_local=settings.mode == "dev",
        open_paths=(*probes, *(f"{server.root_path}{path}" for path in probes)),
    )


def _sweep_interval_s(settings: Settings) -> float:
    server = settings.server
    shortest = min(
        server.head_timeout_s,
        server.body_timeout_s,
        server.keep_alive_s,
        server.handler_timeout_s,
    )
    return max(SWEEP_INTERVAL_MIN_S, min(SWEEP_INTERVAL_S, shortest / 4))
