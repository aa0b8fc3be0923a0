"""What one handler run can see: `RequestContext` for routes, `WsContext` for `ws` handlers.

Parts of a request are built when they are first looked at. A `WsContext` lives as long as its
connection, so it keeps only what its handlers can name: everything shared by the connections of one
endpoint is in its `WsSite`, everything shared by the connections of a user in their session.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Self

from flinfast.errors import RuntimeFault
from flinfast.native.hub import Connection, Message
from flinfast.runtime.body import parse_body
from flinfast.runtime.cookie import parse_cookies, printable
from flinfast.runtime.fault import HttpFault
from flinfast.runtime.request import Request, decode_component, parse_pairs
from flinfast.runtime.response import ResponseState
from flinfast.runtime.session_value import NOTHING, SessionState
from flinfast.runtime.session_view import Session, WsSession
from flinfast.runtime.token import bearer_token, verify_token
from flinfast.values import Time

if TYPE_CHECKING:
    from flinfast.runtime.message_limit import MessageLimit
    from flinfast.runtime.response import Reply
    from flinfast.runtime.services import Services

_UNSET = object()


class Headers(dict[str, str]):
    """Request headers: names compare case-insensitively, repeated ones are joined with `, `.

    Member access reads `_` as `-`: `headers.user_agent`.
    """

    __slots__ = ()

    flin_kind = "map"

    def __init__(self, fields: Iterable[tuple[str, str]]) -> None:
        super().__init__()
        for name, value in fields:
            earlier = dict.get(self, name)
            if earlier is None:
                dict.__setitem__(self, name, value)
            else:
                joint = "; " if name == "cookie" else ", "
                dict.__setitem__(self, name, f"{earlier}{joint}{value}")

    def get(self, name: Any, default: Any = None) -> Any:
        """Value of a header, `default` without it."""
        if type(name) is not str:
            return default
        found = dict.get(self, name)
        if found is None:
            lowered = name.lower()
            found = dict.get(self, lowered)
            if found is None:
                found = dict.get(self, lowered.replace("_", "-"), default)
        return found

    def __getitem__(self, name: str) -> str:
        found = self.get(name)
        if found is None:
            raise KeyError(name)
        return str(found)

    def __contains__(self, name: object) -> bool:
        return self.get(name) is not None

    def flin_get(self, name: str) -> Any:
        """Value of a header, or None."""
        return self.get(name)

    def __setitem__(self, name: str, value: str) -> None:
        raise TypeError("request headers are read-only")

    def __reduce__(self) -> tuple[Any, ...]:
        return Headers, (list(self.items()),)  # copies are made of the fields, not item by item

    def flin_set(self, name: str, value: Any) -> None:
        """Request headers are read-only."""
        raise _read_only("headers")

    def flin_call(self, name: str, args: tuple[Any, ...], named: Mapping[str, Any]) -> Any:
        """`headers.get(name, default?)`; other methods are those of maps."""
        if name == "get" and 1 <= len(args) <= 2 and not named:
            return self.get(*args)
        if name in ("has_key", "has") and len(args) == 1 and not named:
            return args[0] in self
        raise RuntimeFault(f"`headers` has no method `{printable(name)}`", code="FL505")


class QueryMap(dict[str, str]):
    """Query parameters: the first value of each name; `query.all(name)` gives every one."""

    __slots__ = ("_pairs",)

    flin_kind = "map"

    def __init__(self, pairs: list[tuple[str, str]]) -> None:
        super().__init__()
        for name, value in pairs:
            self.setdefault(name, value)
        self._pairs = pairs

    def flin_get(self, name: str) -> Any:
        """First value of a parameter, or None."""
        return dict.get(self, name)

    def __setitem__(self, name: str, value: str) -> None:
        raise TypeError("the query is read-only")

    def __reduce__(self) -> tuple[Any, ...]:
        return QueryMap, (self._pairs,)  # copies are made of the pairs, not item by item

    def flin_set(self, name: str, value: Any) -> None:
        """The query is read-only."""
        raise _read_only("query")

    def flin_call(self, name: str, args: tuple[Any, ...], named: Mapping[str, Any]) -> Any:
        """`query.all(name)`, `query.get(name, default?)`; other methods are those of maps."""
        if name == "all" and len(args) == 1 and not named:
            return [value for key, value in self._pairs if key == args[0]]
        if name == "get" and 1 <= len(args) <= 2 and not named:
            return dict.get(self, *args)
        if name in ("has_key", "has") and len(args) == 1 and not named:
            return args[0] in self
        raise RuntimeFault(f"`query` has no method `{printable(name)}`", code="FL505")


class RequestView:
    """The `request` object."""

    __slots__ = ("_context", "_raw")

    flin_kind = "request"

    def __init__(self, context: RequestContext | WsContext, raw: Request) -> None:
        self._context = context
        self._raw = raw

    def flin_get(self, name: str) -> Any:
        """`method path ip user url host scheme id headers query body_raw`; none for others."""
        maker = _REQUEST_PARTS.get(name)
        return None if maker is None else maker(self._context, self._raw)

    def flin_set(self, name: str, value: Any) -> None:
        """Only `user` can be set."""
        if name != "user":
            raise _read_only(f"request.{printable(name)}")
        self._context.set_user(value)

    def flin_call(self, name: str, args: tuple[Any, ...], named: Mapping[str, Any]) -> Any:
        """No methods."""
        raise RuntimeFault(f"`request` has no method `{printable(name)}`", code="FL505")

    def to_map(self) -> dict[str, Any]:
        """What is short and not secret, for logs."""
        return {name: self.flin_get(name) for name in ("method", "path", "ip", "id")}


class RequestContext:
    """The hidden first argument of route handlers, guards and middleware.

    Attributes:
        services: What the program is bound to.
        raw: The request as received.
        params: Path parameters.
        is_upgrade: Whether a WebSocket handshake is being decided.
        message_limit: How fast the connection may send, once a guard has said so.
        next_reply: Runs the rest of the chain and gives its reply; set while a middleware runs.
        opened_session: The session, once somebody looked at it.
        opened_response: `response`, once somebody looked at it.
        failure: The fault of the inside of a middleware, if there was one.
        failure_cause: The exception it came from.
    """

    __slots__ = (
        "_body",
        "_claims",
        "_user",
        "body",
        "cookies",
        "failure",
        "failure_cause",
        "headers",
        "is_form",
        "is_upgrade",
        "message_limit",
        "next_reply",
        "opened_response",
        "opened_session",
        "params",
        "query",
        "raw",
        "request",
        "response",
        "services",
        "session",
    )

    params: dict[str, str]
    query: QueryMap
    headers: Headers
    cookies: dict[str, str]
    session: Session
    request: RequestView
    response: ResponseState
    body: Any
    is_form: bool
    message_limit: MessageLimit | None
    next_reply: Callable[[], Reply] | None
    failure: RuntimeFault | None
    failure_cause: BaseException | None
    _user: Any
    _claims: Any

    def __init__(
        self,
        services: Services,
        raw: Request,
        params: dict[str, str],
        *,
        is_upgrade: bool = False,
    ) -> None:
        self.services = services
        self.raw = raw
        self.params = params
        self.is_upgrade = is_upgrade
        self.opened_session: Session | None = None
        self.opened_response: ResponseState | None = None

    def __getattr__(self, name: str) -> Any:
        # Reached only while a slot is empty: build the part and keep it there.
        maker = _REQUEST_CONTEXT_PARTS.get(name)
        if maker is None:
            raise AttributeError(name)
        value = maker(self)
        setattr(self, name, value)
        return value

    @property
    def is_secure(self) -> bool:
        """Whether cookies of this request are Secure."""
        return self.services.sessions.is_secure(self.raw.scheme)

    def set_user(self, value: Any) -> None:
        """`request.user = value`, by middleware or a guard."""
        self._user = value

    def current_user(self) -> Any:
        """What was set as `request.user`, else `session.user`, else claims of a bearer token."""
        if self._user is not _UNSET:
            return self._user
        user = self.session.flin_get("user")
        return self.claims() if user is None else user

    def upgrade_user(self) -> Any:
        """What `request.user` is on the connection when it is not `session.user`."""
        if self._user is not _UNSET:
            return self._user
        return None if self._claims is _UNSET else self._claims

    def claims(self) -> dict[str, Any] | None:
        """Claims of the bearer token, None without a valid one."""
        if self._claims is _UNSET:
            token = bearer_token(self.raw.header("authorization"))
            now_s = self.services.clock_ms() / 1000
            self._claims = verify_token(token, self.services.secrets, now_s) if token else None
        return self._claims  # type: ignore[no-any-return]


class WsSite:
    """What the connections of one `ws` block share.

    Attributes:
        path: Route path, such as `/api/chat`.
        names: Parameter names.
        keeps: Names of context parts that its handlers mention, among "headers", "cookies",
            "query" and "request"; the rest of the upgrade request is not kept.
        load_record: Reads a record by entity and id.
    """

    __slots__ = ("keeps", "load_record", "names", "path")

    def __init__(
        self,
        path: str,
        names: tuple[str, ...],
        keeps: frozenset[str],
        load_record: Callable[[str, Any], Any],
    ) -> None:
        self.path = path
        self.names = names
        self.keeps = keeps
        self.load_record = load_record

    def shared_path(self, path: str) -> str:
        """The path of a request; connections of a path without parameters share one text."""
        return self.path if path == self.path else path


class WsContext(Connection):
    """The hidden first argument of `ws` handlers, and the connection itself.

    Attributes:
        site: What is the same for all connections of the endpoint.
        session_state: The session it belongs to, None without one.
        session_packed: That session's values at the upgrade, packed.
        session_local: What this connection's handlers wrote to `session`, None before.
        limit: How fast it may send messages; not set without `guard ws_rate_limit`.
        session_index: Its place in `session_state.connections`, -1 when in none.
        rights: The last change of rights that its guards have seen.
    """

    __slots__ = (
        "_ip",
        "_kept",
        "_path",
        "_state",
        "_user",
        "_values",
        "limit",
        "rights",
        "session_index",
        "session_local",
        "session_packed",
        "session_state",
        "site",
    )

    limit: MessageLimit

    def __init__(
        self,
        site: WsSite,
        path: str,
        ip: str,
        values: tuple[str, ...] = (),
        kept: Request | None = None,
        state: SessionState | None = None,
        user: Any = None,
    ) -> None:
        self.site = site
        self.session_state = state
        self.session_packed = NOTHING if state is None else state.packed
        self.session_local: dict[str, Any] | None = None
        self.session_index = -1
        self.rights = 0
        self._values = values
        self._ip = ip
        self._path = path
        self._kept = kept
        self._state: dict[str, Any] | None = None
        self._user = user

    @classmethod
    def of(
        cls,
        site: WsSite,
        raw: Request,
        values: tuple[str, ...],
        state: SessionState | None,
        user: Any = None,
    ) -> Self:
        """The connection that an upgrade request asks for.

        Args:
            site: Its endpoint's.
            raw: The request; what handlers cannot name of it is not kept.
            values: Path parameters.
            state: Its session, None without one.
            user: `request.user`, None when that is `session.user`.
        """
        kept = _keep(raw, site.keeps) if site.keeps else None
        return cls(site, site.shared_path(raw.path), raw.peer, values, kept, state, user)

    # --- context names ----------------------------------------

    @property
    def params(self) -> dict[str, str]:
        """Path parameters."""
        values = self._values
        if len(values) == 1:
            return {self.site.names[0]: values[0]}
        return dict(zip(self.site.names, values, strict=True)) if values else {}

    @property
    def session(self) -> WsSession:
        """The session as it was at the upgrade."""
        return WsSession(self)

    @property
    def ws(self) -> WsContext:
        """The `ws` object."""
        return self

    @property
    def request(self) -> RequestView:
        """The upgrade request."""
        return RequestView(self, self._request())

    @property
    def headers(self) -> Headers:
        """Headers of the upgrade request."""
        return Headers(self._request().headers)

    @property
    def cookies(self) -> dict[str, str]:
        """Cookies of the upgrade request."""
        return parse_cookies(self._request().header_joined("cookie", "; "))

    @property
    def query(self) -> QueryMap:
        """Query of the upgrade request."""
        return QueryMap(parse_pairs(self._request().query_string))

    def _request(self) -> Request:
        if self._kept is not None:
            return self._kept
        return Request("GET", self._path, self._path, peer=self._ip)

    def set_user(self, value: Any) -> None:
        """`request.user` cannot be set once the connection is open."""
        raise _read_only("request.user")

    def current_user(self) -> Any:
        """`request.user` as guards and middleware left it, else `session.user`."""
        return self.session.flin_get("user") if self._user is None else self._user

    # --- the `ws` object ----------------------------------------

    flin_kind = "ws"

    def flin_get(self, name: str) -> Any:
        """Members: connection_id rooms path ip connected_at protocol close_* payload state.

        `payload` is the message as it was received: text, or bytes when it came as binary.
        """
        if name == "connection_id":
            return self.connection_id
        if name == "state":
            if self._state is None:
                self._state = {}
            return self._state
        maker = _WS_PARTS.get(name)
        return None if maker is None else maker(self)

    def flin_set(self, name: str, value: Any) -> None:
        """Only `ws.state` can be replaced, by a map."""
        if name != "state":
            raise _read_only(f"ws.{printable(name)}")
        if not isinstance(value, dict):
            raise RuntimeFault("expected `ws.state` to be a map", code="FL501")
        self._state = value

    def flin_call(self, name: str, args: tuple[Any, ...], named: Mapping[str, Any]) -> Any:
        """No methods: `ws_send`, `ws_join` and `ws_close` are functions."""
        raise RuntimeFault(
            f"`ws` has no method `{printable(name)}`",
            code="FL505",
            hint="the functions are ws_send, ws_join, ws_leave and ws_close",
        )

    def to_map(self) -> dict[str, Any]:
        """Identity of the connection, for logs."""
        return {"connection_id": self.connection_id, "path": self._path, "ip": self._ip}

    @property
    def path(self) -> str:
        """Request path, percent-encoded."""
        return self._path

    @property
    def ip(self) -> str:
        """Address of the client."""
        return self._ip


def _keep(raw: Request, parts: frozenset[str]) -> Request:
    """The parts of an upgrade request that handlers can look at."""
    if not parts.isdisjoint(("headers", "request")):
        fields = raw.headers
    elif "cookies" in parts:
        fields = [(name, value) for name, value in raw.headers if name == "cookie"]
    else:
        fields = []
    keeps_query = not parts.isdisjoint(("query", "request"))
    return Request(
        raw.method,
        raw.target if "request" in parts else raw.path,
        raw.path,
        raw.query_string if keeps_query else "",
        raw.http_version,
        list(fields),
        b"",
        raw.peer,
        raw.scheme,
        raw.id,
    )


def _read_only(what: str) -> RuntimeFault:
    return RuntimeFault(f"`{what}` is read-only", code="FL507")


def _make_query(context: RequestContext) -> QueryMap:
    try:
        return QueryMap(parse_pairs(context.raw.query_string))
    except ValueError as error:
        raise HttpFault(400, f"Invalid query: {error}") from None


def _make_session(context: RequestContext) -> Session:
    session = context.services.sessions.open(context.cookies, context.raw.scheme)
    context.opened_session = session
    return session


def _make_response_state(context: RequestContext) -> ResponseState:
    state = context.opened_response = ResponseState(is_secure=context.is_secure)
    return state


def _make_body(context: RequestContext) -> Any:
    body = parse_body(context.raw)
    context.is_form = body.is_form
    return body.value


def _make_is_form(context: RequestContext) -> bool:
    return parse_body(context.raw).is_form


_REQUEST_CONTEXT_PARTS: dict[str, Callable[[RequestContext], Any]] = {
    "query": _make_query,
    "headers": lambda c: Headers(c.raw.headers),
    "cookies": lambda c: parse_cookies(c.raw.header_joined("cookie", "; ")),
    "session": _make_session,
    "request": lambda c: RequestView(c, c.raw),
    "response": _make_response_state,
    "body": _make_body,
    "is_form": _make_is_form,
    "message_limit": lambda _: None,
    "next_reply": lambda _: None,
    "failure": lambda _: None,
    "failure_cause": lambda _: None,
    "_user": lambda _: _UNSET,
    "_claims": lambda _: _UNSET,
}

_REQUEST_PARTS: dict[str, Callable[[RequestContext | WsContext, Request], Any]] = {
    "method": lambda _, raw: raw.method,
    "path": lambda _, raw: decode_component(raw.path.replace("+", "%2B")),
    "ip": lambda _, raw: raw.peer,
    "user": lambda context, _: context.current_user(),
    "url": lambda _, raw: f"{raw.scheme}://{raw.host}{raw.target}" if raw.host else raw.target,
    "host": lambda _, raw: raw.host,
    "scheme": lambda _, raw: raw.scheme,
    "id": lambda _, raw: raw.id,
    "headers": lambda context, _: context.headers,
    "query": lambda context, _: context.query,
    "body_raw": lambda _, raw: raw.body or None,
}


def _payload(message: Message | None) -> str | bytes | None:
    if message is None:
        return None
    return message.payload.decode() if message.is_text else message.payload


_WS_PARTS: dict[str, Callable[[WsContext], Any]] = {
    "rooms": lambda c: c.rooms,
    "path": lambda c: c.path,
    "ip": lambda c: c.ip,
    "connected_at": lambda c: Time(c.opened_ms),
    "protocol": lambda c: c.protocol or None,
    "close_code": lambda c: c.close_code or None,
    "close_reason": lambda c: c.close_reason,
    "payload": lambda c: _payload(c.received),
}
