"""Answers below `/_flin/`: health, readiness, metrics. Reserved: a program cannot route there."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import msgspec

from flinfast.late_pattern import late_pattern
from flinfast.runtime.request import Request
from flinfast.runtime.response import Response
from flinfast.server.response_head import JSON_TYPE

if TYPE_CHECKING:
    from flinfast.server.site import Site

PREFIX = "/_flin/"
NAMES: Final = ("health", "ready", "metrics")

_METRICS_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
_LOOPBACK: Final = late_pattern(r"(?:::ffff:)?127\.[0-9.]+|::1")
# What proxies add to a request; a bare one adds nothing, so `metrics = "off"` is for behind those.
_FORWARDING: Final = frozenset({"forwarded", "via", "x-real-ip", "cf-connecting-ip"})
# Names without a dot are nobody's to register.
_LOCAL_HOST: Final = late_pattern(
    r"(?:[a-z0-9_-]+|[a-z0-9_.-]+\.localhost|127\.[0-9.]+|\[::1\])(?::[0-9]+)?", re.IGNORECASE
)
# Counter of Hub.stats() -> name and help in the Prometheus text.
_HUB_COUNTERS: Final = {
    "opened": ("flin_ws_opened_total", "WebSocket connections opened"),
    "closed": ("flin_ws_closed_total", "WebSocket connections closed"),
    "messages_in": ('flin_ws_messages_total{dir="in"}', "WebSocket messages"),
    "messages_out": ('flin_ws_messages_total{dir="out"}', "WebSocket messages"),
    "bytes_in": ('flin_ws_bytes_total{dir="in"}', "WebSocket bytes"),
    "bytes_out": ('flin_ws_bytes_total{dir="out"}', "WebSocket bytes"),
    "deliveries": ("flin_ws_deliveries_total", "Messages handed to connections"),
    "dropped": ("flin_ws_dropped_total", "Messages dropped for slow readers"),
    "slow_closed": ("flin_ws_slow_closed_total", "Connections closed as slow readers"),
    "pings": ("flin_ws_pings_total", "Pings sent"),
    "timeouts": ("flin_ws_timeouts_total", "Connections found dead"),
    "protocol_errors": ("flin_ws_protocol_errors_total", "Connections that broke RFC 6455"),
}


class Probes:
    """What operators and load balancers ask for.

    Args:
        site: Whose state is shown.
    """

    def __init__(self, site: Site) -> None:
        self._site = site

    def respond(self, request: Request) -> Response:
        """The answer to a request below `/_flin/`."""
        name = request.path.removeprefix(PREFIX)
        if name not in NAMES or (name == "metrics" and not self._shows_metrics(request)):
            return self._site.error(404, "Not Found")
        if request.method not in ("GET", "HEAD"):
            return self._site.error(405, "Method Not Allowed", [("Allow", "GET, HEAD")])
        if name == "metrics":
            return self._text(self.metrics())
        if name == "ready" and self._site.is_draining:
            return self._json(503, {"status": "draining"})
        if name == "ready" and not self._site.app.can_store:
            return self._json(503, {"status": "database failed"})
        return self._json(200, {"status": "ok"})

    def _shows_metrics(self, request: Request) -> bool:
        """Counters tell about a business: only the same machine sees them, unless set otherwise.

        A request that came through a proxy is not local, whoever the proxy is; nor is one for
        another host's name, which is how a page elsewhere gets a browser to ask (DNS rebinding).
        """
        setting = self._site.settings.server.metrics
        if setting == "local":
            is_forwarded = any(
                name in _FORWARDING or name.startswith("x-forwarded-")
                for name, _ in request.headers
            )
            is_local = _LOOPBACK.fullmatch(request.peer) and _LOCAL_HOST.fullmatch(request.host)
            return not is_forwarded and is_local is not None
        return setting == "public"

    def metrics(self) -> str:
        """All counters in Prometheus' text format."""
        site, hub = self._site, self._site.hub
        lines: list[str] = []
        described: set[str] = set()

        def add(sample: str, kind: str, text: str, value: int) -> None:
            name = sample.partition("{")[0]
            if name not in described:
                described.add(name)
                lines.append(f"# HELP {name} {text}\n# TYPE {name} {kind}\n")
            lines.append(f"{sample} {value}\n")

        for status_class in range(1, 6):
            sample = f'flin_http_responses_total{{status="{status_class}xx"}}'
            add(sample, "counter", "HTTP responses by class", site.response_count(status_class))
        add("flin_http_connections", "gauge", "Open HTTP connections", len(site.connections))
        add("flin_ws_connections", "gauge", "Open WebSocket connections", hub.connection_count)
        add("flin_ws_rooms", "gauge", "Rooms with members", hub.room_count)
        stats = hub.stats()
        queued = stats.get("queued_bytes", 0)
        add("flin_ws_send_queue_bytes", "gauge", "Bytes queued for peers", queued)
        for key, (sample, text) in _HUB_COUNTERS.items():
            add(sample, "counter", text, stats.get(key, 0))
        return "".join(lines)

    def _json(self, status: int, value: dict[str, str]) -> Response:
        headers = [("Content-Type", JSON_TYPE), ("Cache-Control", "no-store")]
        return Response(status, headers, msgspec.json.encode(value))

    def _text(self, text: str) -> Response:
        headers = [("Content-Type", _METRICS_TYPE), ("Cache-Control", "no-store")]
        return Response(200, headers, text.encode())
