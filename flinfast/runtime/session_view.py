"""What handlers see as `session`: one view for requests, one for `ws` handlers.

`Session` is what one request sees; its changes become part of the handler's transaction.
`WsSession` is what a `ws` handler sees: the data as it was when the connection was opened, plus
what its own handlers wrote.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from flinfast.errors import RuntimeFault
from flinfast.runtime.session_value import (
    ID_BYTES,
    EntityRef,
    SessionChange,
    SessionState,
    freeze,
    kept_values,
    new_id,
    pack,
    thaw,
)

if TYPE_CHECKING:
    from flinfast.runtime.context import WsContext
    from flinfast.runtime.session import SessionManager

RIGHTS = ("user", "userId", "role")  # members whose change is a login, logout or change of rights
KEYS_MAX = 100  # members of one session
CSRF_KEY = "_csrf"

_MISSING = object()
_NOBODY = (None,) * len(RIGHTS)


class Session:
    """The `session` object of one request.

    Reading never creates a session; the first write does, when the handler succeeds.
    """

    __slots__ = (
        "_by_hand",
        "_changes",
        "_is_cleared",
        "_is_destroyed",
        "_manager",
        "_read",
        "is_secure",
        "is_touched",
        "rights",
        "state",
    )

    flin_kind = "session"

    def __init__(
        self, manager: SessionManager, state: SessionState | None, *, is_secure: bool
    ) -> None:
        self._manager = manager
        self.state = state
        self.is_secure = is_secure
        self.rights = manager.rights  # the last change of rights before anything is read
        self.is_touched = False  # whether anything was read, which may not be durable yet
        self._changes: dict[str, Any] = {}
        self._read: dict[str, tuple[Any, Any]] = {}  # name to (kept value, copy handed out)
        self._by_hand: set[str] = set()
        self._is_cleared = False
        self._is_destroyed = False

    def flin_get(self, name: str) -> Any:
        """A member, none when it is not set."""
        self.is_touched = True
        found = self._changes.get(name, _MISSING)
        if found is not _MISSING:
            return found
        read = self._read.get(name)
        if read is not None:
            return read[1]
        value = self._kept().get(name)
        if type(value) not in (EntityRef, list, dict):
            return value
        copy = thaw(value, self._manager.load_record)
        self._read[name] = (value, copy)
        return copy

    def flin_set(self, name: str, value: Any) -> None:
        """Set a member; none removes it. Setting `user` also sets `userId` and `userName`.

        Raises:
            RuntimeFault: FL562: a value that a session cannot hold.
        """
        freeze(value)
        self._changes[name] = value
        if name != "user":
            self._by_hand.add(name)
            return
        for derived, text in zip(("userId", "userName"), identity_of(value), strict=True):
            if derived not in self._by_hand:
                self._changes[derived] = text

    def flin_call(self, name: str, args: tuple[Any, ...], named: Mapping[str, Any]) -> Any:
        """`session.destroy()` ends it, `session.clear()` empties it; `get`, `has_key`."""
        if name in ("destroy", "clear") and not args and not named:
            self._changes.clear()
            self._read.clear()
            self._by_hand.clear()
            self._is_cleared = True
            self._is_destroyed = name == "destroy"
            return None
        return read_call(self, name, args, named)

    def csrf_token(self) -> str:
        """This session's token against forged requests; made on first use, anew at login."""
        token = self.flin_get(CSRF_KEY)
        is_old = CSRF_KEY not in self._changes and self._changes_rights()
        if is_old or not isinstance(token, str):
            token = secrets.token_urlsafe(ID_BYTES)
            self._changes[CSRF_KEY] = token
        return token

    def verify_csrf(self, given: Any) -> bool:
        """Whether a request's token is this session's, compared in constant time."""
        token = self.flin_get(CSRF_KEY)
        if not isinstance(token, str) or not isinstance(given, str):
            return False
        return hmac.compare_digest(token.encode(), given.encode("utf-8", "replace"))

    def to_map(self) -> dict[str, Any]:
        """All members as a map, for JSON, logs and loops; the token is left out."""
        names = dict.fromkeys(self._kept())
        names.update(dict.fromkeys(self._changes))
        items = {name: self.flin_get(name) for name in names if name != CSRF_KEY}
        return {name: value for name, value in items.items() if value is not None}

    @property
    def needs_durability(self) -> bool:
        """Whether the handler saw something that a crash could still take back."""
        return self.is_touched and self.state is not None and self.state.pending > 0

    def _changes_rights(self) -> bool:
        """Whether this handler has made the session stand for somebody else."""
        kept = self._kept()
        return any(
            name in self._changes and freeze(self._changes[name]) != kept.get(name)
            for name in RIGHTS
        )

    def _kept(self) -> Mapping[str, Any]:
        """Data this handler builds on: none after clear(), or once another handler ended it."""
        state = self.state
        return {} if self._is_cleared or state is None or state.is_ended else state.data

    def change(self) -> SessionChange | None:
        """What to store; None when nothing changed.

        Raises:
            RuntimeFault: FL562: a value, or the whole, cannot be kept.
        """
        state = None if self.state is None or self.state.is_ended else self.state
        before = {} if state is None else state.data
        after = dict(self._kept())
        for name, (kept, copy) in self._read.items():
            if type(kept) is not EntityRef and (value := freeze(copy)) != kept:
                after[name] = value
        for name, value in self._changes.items():
            if value is None:
                after.pop(name, None)
            else:
                after[name] = freeze(value)
        if len(after) > KEYS_MAX:
            raise RuntimeFault(f"a session has at most {KEYS_MAX} members", code="FL562")
        if not after and (state is None or self._is_destroyed):
            return None if state is None else self._end(state)
        if after == before and not self._is_destroyed:
            return None
        change = SessionChange(state)
        was, now = _rights_of(before), _rights_of(after)
        if was != now and CSRF_KEY not in self._changes:
            after.pop(CSRF_KEY, None)  # whoever planted the session before login knows it
        change.packed = pack(after)
        if state is None or was != now or self._is_destroyed:
            change.id = new_id()
            change.cookie = self._manager.cookie_of(change.id, is_secure=self.is_secure)
            change.closes = self._is_destroyed or (was != _NOBODY and was != now)
        else:
            change.id = state.id
        return change

    def _end(self, state: SessionState) -> SessionChange:
        change = SessionChange(state)
        change.is_end = change.closes = True
        change.cookie = self._manager.cookie_of("", is_secure=self.is_secure)
        return change


class WsSession:
    """The `session` object of a `ws` handler; writes stay on this connection."""

    __slots__ = ("_context",)

    flin_kind = "session"

    def __init__(self, context: WsContext) -> None:
        self._context = context

    def flin_get(self, name: str) -> Any:
        """A member as it was at the upgrade, or as this connection's handlers set it."""
        context = self._context
        local = context.session_local
        if local is not None:
            found = local.get(name, _MISSING)
            if found is not _MISSING:
                return found
        value = kept_values(context.session_packed).get(name)
        kind = type(value)
        if kind is EntityRef or kind is list or kind is dict:
            value = thaw(value, context.site.load_record)
            if kind is not EntityRef:
                self.flin_set(name, value)
        return value

    def flin_set(self, name: str, value: Any) -> None:
        """Set a member for this connection only."""
        context = self._context
        if context.session_local is None:
            context.session_local = {}
        elif name not in context.session_local and len(context.session_local) >= KEYS_MAX:
            raise RuntimeFault(f"a session has at most {KEYS_MAX} members", code="FL562")
        context.session_local[name] = value

    def flin_call(self, name: str, args: tuple[Any, ...], named: Mapping[str, Any]) -> Any:
        """`get` and `has_key`; a session is ended by a route."""
        if name in ("destroy", "clear"):
            raise RuntimeFault(
                f"`session.{name}()` works in routes only",
                code="FL507",
                hint="close this connection with ws_close(...), end the session in a route",
            )
        return read_call(self, name, args, named)

    def to_map(self) -> dict[str, Any]:
        """All members as a map."""
        names = dict.fromkeys(kept_values(self._context.session_packed))
        names.update(dict.fromkeys(self._context.session_local or ()))
        items = {name: self.flin_get(name) for name in names if name != CSRF_KEY}
        return {name: value for name, value in items.items() if value is not None}


def read_call(
    session: Session | WsSession, name: str, args: tuple[Any, ...], named: Mapping[str, Any]
) -> Any:
    """Methods that only read: `get(key, default?)`, `has_key(key)` and those of maps."""
    if named or not all(isinstance(arg, str) for arg in args[:1]):
        raise RuntimeFault(f"expected a name for `session.{name[:40]}`", code="FL504")
    if name == "get" and 1 <= len(args) <= 2:
        found = session.flin_get(args[0])
        return args[1] if found is None and len(args) == 2 else found
    if name in ("has_key", "has") and len(args) == 1:
        return session.flin_get(args[0]) is not None
    if name == "keys" and not args:
        return list(session.to_map())
    raise RuntimeFault(f"`session` has no method `{name[:40]}`", code="FL505")


def _rights_of(data: Mapping[str, Any]) -> tuple[Any, ...]:
    """Who a session stands for; another value needs another id."""
    return tuple(data.get(name) for name in RIGHTS)


def identity_of(user: Any) -> tuple[str | None, str | None]:
    """`userId` and `userName` of what was assigned to `session.user`: a record or a map."""
    if isinstance(user, dict):
        read: Callable[[str], Any] = user.get
    elif isinstance(getattr(user, "entity", None), str):
        fields = user.to_map(hidden=False)
        read = fields.get
    else:
        return None, None
    identity = read("id")
    names = (read(name) for name in ("name", "email", "username"))
    name = next((text for text in names if isinstance(text, str) and text), None)
    return None if identity is None else str(identity), name
