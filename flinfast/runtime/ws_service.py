"""The `ws` block of a path: what the hub calls, and what survives a reload."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from flinfast.lang.program import Effects
from flinfast.native.hub import Endpoint
from flinfast.runtime.context import WsSite

if TYPE_CHECKING:
    from flinfast.runtime.app import App
    from flinfast.runtime.loading import Route, WsEntry

EVENTS: Final = ("connect", "message", "close")

NO_EFFECTS: Final = Effects()


class WsService:
    """The `ws` block of one path while the program runs; it outlives reloads.

    Attributes:
        endpoint: What the hub knows of it.
        site: What its connections share.
    """

    __slots__ = ("_app", "_effects", "_is_retired", "endpoint", "site")

    def __init__(self, app: App, route: Route, entry: WsEntry) -> None:
        self._app = app
        self._effects = entry.effects
        self._is_retired = False
        self.site = WsSite(str(route.pattern), route.pattern.names, entry.keeps, app.find_record)
        limits = app.settings.ws
        self.endpoint = Endpoint(
            path=str(route.pattern),
            **self._handlers(entry),
            runner=self._run,
            report=app.runner.report,
            implicit_room=entry.is_implicit,
            message_bytes_max=limits.max_message,
            queue_bytes_soft=limits.queue_soft,
            queue_bytes_hard=limits.queue_hard,
            stall_s=limits.stall_s,
            deflate=limits.compression,
            deflate_threshold=limits.compression_threshold,
        )

    def swap(self, route: Route, entry: WsEntry) -> None:
        """Use the handlers of a reloaded program from the next event on."""
        self._effects = entry.effects
        self._is_retired = False
        self.site.keeps = entry.keeps
        self.site.names = route.pattern.names
        self.endpoint.swap(**self._handlers(entry), implicit_room=entry.is_implicit)

    def retire(self) -> None:
        """The block is gone: its connections stay open and nothing handles their messages."""
        if self._is_retired:
            return
        self._is_retired = True
        if count := self.endpoint.connection_count:
            text = "a `ws` block is gone: its sockets stay open, nothing handles their messages"
            self._app.services.log("warn", text, {"path": self.endpoint.path, "sockets": count}, "")
        self._effects = {}
        self.endpoint.swap(
            on_connect=None,
            on_message=None,
            on_close=partial(self._app.closed, None),
            direct=("close",),
            implicit_room=False,
            session_only=("close",),
        )

    def _handlers(self, entry: WsEntry) -> dict[str, Any]:
        direct = [
            event for event in EVENTS if not _needs_runner(entry.effects.get(event, NO_EFFECTS))
        ]
        code = {"connect": entry.connect, "close": entry.close}
        return {
            "on_connect": partial(self._app.opened, entry.connect),
            "on_message": entry.message,
            "on_close": partial(self._app.closed, entry.close),
            "direct": direct,
            "session_only": [event for event in ("connect", "close") if not code[event]],
        }

    def _run(self, event: str, closure: Callable[..., object], args: tuple[object, ...]) -> bool:
        effects = self._effects.get(event, NO_EFFECTS)
        return self._app.runner.event(event, closure, args, effects)


def _needs_runner(effects: Effects) -> bool:
    """Whether the hub may not call a handler by itself."""
    return effects.writes or effects.waits or effects.reads
