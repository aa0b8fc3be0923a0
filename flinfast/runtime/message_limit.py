"""`guard ws_rate_limit(n, seconds)`: how fast one connection may send messages.

Each connection has a bucket of `n` messages that refills evenly over `seconds`. A message that
finds it empty is dropped before its handler runs; the first of a row is answered with a warning,
and after as many drops as the bucket holds the connection is closed with 1008. The count of drops
begins anew when the bucket has filled up again, so that somebody who calms down is forgiven.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from flinfast.runtime.rate_limit import CALLS_MAX

if TYPE_CHECKING:
    from flinfast.native.hub import Message
    from flinfast.runtime.context import WsContext
    from flinfast.runtime.services import Services

SECONDS_MAX: Final = 86_400
CLOSE_POLICY: Final = 1008  # RFC 6455 section 7.4.1: policy violation
CLOSE_REASON: Final = "too many messages"
WARNING: Final = "Too many messages"

Handler = Callable[["WsContext", "Message"], Any]

ACCEPT, WARN, DROP, CLOSE = range(4)


class MessageLimit:
    """The bucket of one connection.

    Args:
        count: Messages it holds, 1 to CALLS_MAX.
        seconds: Time in which an empty one fills up.
        now_ms: Clock, ms.
    """

    __slots__ = ("_count", "_dropped", "_per_ms", "_seen_ms", "_tokens")

    def __init__(self, count: int, seconds: float, now_ms: int) -> None:
        self._count = count
        self._per_ms = count / (seconds * 1000)
        self._tokens = float(count)
        self._dropped = 0
        self._seen_ms = now_ms

    def take(self, now_ms: int) -> int:
        """What is to be done with a message: ACCEPT, WARN (and drop), DROP or CLOSE."""
        passed_ms = max(0, now_ms - self._seen_ms)
        self._seen_ms = now_ms
        tokens = self._tokens + passed_ms * self._per_ms
        if tokens >= self._count:
            tokens = float(self._count)
            self._dropped = 0
        if tokens >= 1.0:
            self._tokens = tokens - 1.0
            return ACCEPT
        self._tokens = tokens
        self._dropped += 1
        if self._dropped > self._count:
            return CLOSE
        return WARN if self._dropped == 1 else DROP

    @property
    def wait_ms(self) -> int:
        """Time until a message would be accepted."""
        return max(0, int((1.0 - self._tokens) / self._per_ms) + 1)


def check_limit(count: Any, seconds: Any) -> str:
    """What is wrong with the arguments of the guard, "" when they can be used."""
    if type(count) is not int or not 1 <= count <= CALLS_MAX:
        return f"expected a limit from 1 to {CALLS_MAX} messages"
    if type(seconds) not in (int, float) or not 0 < seconds <= SECONDS_MAX:
        return f"expected seconds, more than 0 and at most {SECONDS_MAX}"
    return ""


def limited(handler: Handler, services: Services) -> Handler:
    """`on message` behind the limit of its connection.

    Args:
        handler: The program's closure.
        services: Clock, hub and log.
    """
    clock_ms, hub, log = services.clock_ms, services.hub, services.log

    def on_message(connection: WsContext, message: Message) -> Any:
        limit: MessageLimit | None = getattr(connection, "limit", None)
        verdict = ACCEPT if limit is None else limit.take(clock_ms())
        if verdict == ACCEPT:
            return handler(connection, message)
        assert limit is not None
        if verdict == WARN:
            fields = {"path": connection.path, "connection": connection.connection_id}
            log("warn", "a connection sends too many messages", fields, "")
            hub.send_to(
                connection,
                {"error": WARNING, "status": 429, "retry_after_ms": limit.wait_ms},
            )
        elif verdict == CLOSE:
            hub.close(connection, CLOSE_POLICY, CLOSE_REASON)
        return None

    return on_message
