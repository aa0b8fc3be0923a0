"""What a session may hold, and how it is kept.

Stored values are plain data: a copy is made when a handler sets a value and again when one reads
a list or map, so no two handlers ever share one. A record is kept as its entity and id and read
again when it is looked at.

In memory a session is packed, as it is in the table: a third of what its values take, or less.
Those that were looked at last are kept unpacked besides.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

from flinfast.errors import RuntimeFault
from flinfast.values import Time

if TYPE_CHECKING:
    from flinfast.runtime.context import WsContext

ID_BYTES = 18  # 144 random bits
SESSION_BYTES_MAX = 64 << 10  # packed size; a session is who and what, not a store
SESSION_DEPTH_MAX = 32  # levels of lists and maps
# Sessions of which the values are kept as well: many small ones, whose unpacking takes 1 to 2 us,
# and a few large ones, so that handlers that read several members unpack them once. Empty lists
# grow most, from 1 byte to 64: either kind takes 17 MB at the very most.
UNPACKED_MAX = 256
UNPACKED_LARGE_MAX = 4
UNPACKED_BYTES_MAX = 1024  # packed size of a small one
_INT64_MAX = (1 << 63) - 1

NOTHING = b"\x80"  # an empty session, packed

Load = Callable[[str, Any], Any]


class EntityRef(Struct, frozen=True):
    """A record in a session."""

    entity: str
    id: int


class SessionState:
    """One session.

    Attributes:
        id: Random id; replaced when the user changes.
        packed: Kept values; replaced as a whole.
        created_ms: Unix time of the login or first write.
        seen_ms: Unix time of the last request.
        stored_ms: `seen_ms` as the table has it.
        pending: Commits of this session that are not durable yet.
        is_ended: Whether it was destroyed or has expired; nothing may build on it any more.
    """

    # Most sessions with an open connection have one: a list of it would cost 104 bytes.
    __slots__ = (
        "_connection",
        "_others",
        "created_ms",
        "id",
        "is_ended",
        "packed",
        "pending",
        "seen_ms",
        "stored_ms",
    )

    def __init__(self, id: str, packed: bytes, created_ms: int, seen_ms: int) -> None:
        self.id = id
        self.packed = packed
        self.created_ms = created_ms
        self.seen_ms = seen_ms
        self.stored_ms = seen_ms
        self.pending = 0
        self.is_ended = False
        self._connection: WsContext | None = None
        self._others: list[WsContext] | None = None  # never empty

    @property
    def data(self) -> dict[str, Any]:
        """Kept values, never to be changed."""
        return kept_values(self.packed)

    @property
    def connections(self) -> list[WsContext]:
        """Open connections, for closing them when the session ends; a list of the caller's own."""
        if self._connection is None:
            return []
        return [self._connection, *(self._others or ())]

    @property
    def connection_count(self) -> int:
        """How many connections are open."""
        return (self._connection is not None) + len(self._others or ())

    def attach(self, connection: WsContext) -> None:
        """Note an open connection, which is told its place."""
        connection.session_index = self.connection_count
        if self._connection is None:
            self._connection = connection
        elif self._others is None:
            self._others = [connection]
        else:
            self._others.append(connection)

    def detach(self, connection: WsContext) -> bool:
        """Forget a connection; False when it was not attached. The last one takes its place."""
        index, others = connection.session_index, self._others
        if not 0 <= index < self.connection_count:
            return False
        if connection is not (others[index - 1] if index and others else self._connection):
            return False
        last = self._connection if others is None else others.pop()
        if not others:
            self._others = None
        if last is connection:
            if index == 0:
                self._connection = None
        elif last is not None:
            last.session_index = index
            if index == 0:
                self._connection = last
            elif others is not None:
                others[index - 1] = last
        connection.session_index = -1
        return True


class SessionChange:
    """What a finished handler did to its session, ready to be stored and then applied.

    Attributes:
        state: The session it changes; None when it makes a new one.
        id: Id it has from now on; "" when it ends.
        packed: Kept values it has from now on.
        is_end: Whether it ends without a successor.
        closes: Whether its connections are to be closed: its user is another one now, or nobody.
        cookie: Set-Cookie value, "" when the browser's cookie stays.
        result: The session after apply(); None when it ended.
    """

    __slots__ = ("closes", "cookie", "id", "is_end", "packed", "result", "state")

    def __init__(self, state: SessionState | None) -> None:
        self.state = state
        self.id = ""
        self.packed = NOTHING
        self.is_end = False
        self.closes = False
        self.cookie = ""
        self.result: SessionState | None = None


def new_id() -> str:
    """A fresh session id."""
    return secrets.token_urlsafe(ID_BYTES)


def freeze(value: Any, depth: int = 0) -> Any:
    """A private copy of a value that a session can keep.

    Raises:
        RuntimeFault: FL562: a function, file, query or unsaved record, or too deep.
    """
    kind = type(value)
    if value is None or kind in (str, int, float, bool, bytes, Time, EntityRef):
        return value
    if depth >= SESSION_DEPTH_MAX:
        raise RuntimeFault("a session value is nested too deeply", code="FL562")
    if kind is list:
        return [freeze(item, depth + 1) for item in value]
    if isinstance(value, dict):
        return {str(name): freeze(item, depth + 1) for name, item in value.items()}
    entity, identity = getattr(value, "entity", None), getattr(value, "id", None)
    if isinstance(entity, str):
        if type(identity) is not int:
            raise RuntimeFault(
                f"a session cannot hold an unsaved {entity}", code="FL562", hint="save it first"
            )
        return EntityRef(entity, identity)
    raise RuntimeFault(
        "a session cannot hold this value",
        code="FL562",
        hint="it can hold text, numbers, bools, times, bytes, lists, maps and saved records",
    )


def thaw(value: Any, load: Load) -> Any:
    """A copy of a kept value for one handler; records are read with `load(entity, id)`."""
    kind = type(value)
    if kind is EntityRef:
        return load(value.entity, value.id)
    if kind is list:
        return [thaw(item, load) for item in value]
    if kind is dict:
        return {name: thaw(item, load) for name, item in value.items()}
    return value


def pack(data: dict[str, Any]) -> bytes:
    """Kept values as bytes.

    Raises:
        RuntimeFault: FL562: more than SESSION_BYTES_MAX.
    """
    raw = msgspec.msgpack.encode(_tagged(data))
    if len(raw) > SESSION_BYTES_MAX:
        raise RuntimeFault(
            f"a session holds at most {SESSION_BYTES_MAX >> 10} KB",
            code="FL562",
            hint="keep large data in an entity and its id in the session",
        )
    return raw


def unpack(raw: bytes) -> dict[str, Any]:
    """Kept values from bytes that pack() made.

    Raises:
        ValueError: The bytes are something else.
    """
    try:
        data = _untagged(msgspec.msgpack.decode(raw))
    except (msgspec.DecodeError, LookupError, TypeError) as error:
        raise ValueError("expected a packed session") from error
    if type(data) is not dict:
        raise ValueError("expected a packed session")
    return data


_unpack_small = lru_cache(maxsize=UNPACKED_MAX)(unpack)
_unpack_large = lru_cache(maxsize=UNPACKED_LARGE_MAX)(unpack)


def kept_values(packed: bytes) -> dict[str, Any]:
    """unpack(), which shares what it gives with others: never to be changed."""
    return (_unpack_small if len(packed) <= UNPACKED_BYTES_MAX else _unpack_large)(packed)


class _Row(Struct):
    data: msgspec.Raw
    created: int
    seen: int


_rows = msgspec.msgpack.Decoder(_Row)


def pack_row(packed: bytes, created_ms: int, seen_ms: int) -> bytes:
    """A session as its table has it."""
    return msgspec.msgpack.encode(_Row(msgspec.Raw(packed), created_ms, seen_ms))


def unpack_row(raw: bytes) -> tuple[bytes, int, int]:
    """Packed values, `created_ms` and `seen_ms`; raises ValueError when the bytes are others."""
    try:
        row = _rows.decode(raw)
    except msgspec.DecodeError as error:
        raise ValueError("expected a session") from error
    packed = bytes(row.data)
    kept_values(packed)
    # One number for both, as a rule: the session has been used by nobody since it was made.
    created_ms = row.seen if row.created == row.seen else row.created
    return packed, created_ms, row.seen


def _tagged(value: Any) -> Any:
    """MessagePack has no time, reference or big integer: those become a map with one `$` key."""
    kind = type(value)
    if kind is Time:
        return {"$t": value.ms}
    if kind is EntityRef:
        return {"$e": [value.entity, value.id]}
    if kind is int and not -_INT64_MAX <= value <= _INT64_MAX:
        return {"$i": format(value, "x")}
    if kind is list:
        return [_tagged(item) for item in value]
    if kind is dict:
        plain = {name: _tagged(item) for name, item in value.items()}
        return {"$m": plain} if any(name.startswith("$") for name in plain) else plain
    return value


def _untagged(value: Any) -> Any:
    if type(value) is list:
        return [_untagged(item) for item in value]
    if type(value) is not dict:
        return value
    if len(value) == 1:
        ((tag, item),) = value.items()
        if tag == "$t":
            return Time(item)
        if tag == "$e":
            return EntityRef(str(item[0]), int(item[1]))
        if tag == "$i":
            return int(item, 16)
        if tag == "$m":
            value = item
    return {name: _untagged(item) for name, item in value.items()}
