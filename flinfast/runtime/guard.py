"""Guards: who may get to a handler. All of them fail closed.

The built-in guards are here; `guard_definition`s of a program are closures with the same
outcome: None lets the request pass, a Reply refuses it. An exception in a guard or its arguments, a
missing field, or `false` from a definition refuses with 403.
"""

from __future__ import annotations

import hmac
import os
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct

from flinfast.errors import ConflictFault, RuntimeFault
from flinfast.late_pattern import late_pattern
from flinfast.runtime.context import RequestContext
from flinfast.runtime.error_page import standard_reply
from flinfast.runtime.fault import AbortFault, TimeLimitFault, place_text, to_fault
from flinfast.runtime.message_limit import MessageLimit, check_limit
from flinfast.runtime.origin import SAFE_METHODS
from flinfast.runtime.rate_limit import CALLS_MAX, WINDOW_S_MAX, RateLimiter, client_of
from flinfast.runtime.response import Reply, Stop

if TYPE_CHECKING:
    import ipaddress

Arguments = tuple[tuple[Any, ...], Mapping[str, Any]]
Verdict = Callable[[RequestContext], Reply | None]
Check = Callable[..., Reply | None]

API_KEYS_VARIABLE: Final = "FLIN_API_KEYS"  # comma-separated keys for `guard api_key` by itself
ADMIN: Final = "admin"
_VARIABLE: Final = late_pattern(r"[A-Z][A-Z0-9_]*")
_CLOCK: Final = late_pattern(r"([01][0-9]|2[0-3]):([0-5][0-9])|24:00")
_DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


class GuardUse(Struct, frozen=True):
    """One guard of one route.

    Attributes:
        name: As written.
        place: `app/api/chat.flin:1`.
        arguments: Evaluates its arguments for a request.
        scope: Identifies the route; what a rate limit counts per.
        limiter: Counts calls.
        closure: The definition, `(context, *arguments, **named)`; None for a built-in guard.
    """

    name: str
    place: str
    arguments: Callable[[RequestContext], Arguments]
    scope: str
    limiter: RateLimiter
    closure: Callable[..., Any] | None = None


def make_verdict(use: GuardUse) -> Verdict:
    """The function that decides for a request."""
    decide = _defined(use) if use.closure is not None else _built_in(use)

    def verdict(context: RequestContext) -> Reply | None:
        try:
            args, named = use.arguments(context)
            return decide(context, args, named)
        except Stop as stop:
            return stop.reply
        except (ConflictFault, TimeLimitFault):
            raise
        except Exception as error:  # noqa: BLE001 - whatever goes wrong, nobody gets past
            fault = to_fault(error)
            if isinstance(fault, AbortFault):
                raise fault from None  # not a failure of the guard: it says what to answer
            if fault.status in (400, 413) and not isinstance(fault, ConflictFault):
                raise fault from None  # the request itself cannot be read
            place = place_text(fault.path, fault.line) or use.place
            fields = {"guard": use.name, "code": fault.code}
            context.services.log("error", f"guard failed, request denied: {fault}", fields, place)
            return forbidden()

    return verdict


def forbidden(message: str = "") -> Reply:
    """403."""
    return standard_reply(403, message)


def unauthorized(message: str = "") -> Reply:
    """401, with the challenge that RFC 9110 section 11.6.1 asks for."""
    return standard_reply(401, message, headers={"WWW-Authenticate": "Bearer"})


def _defined(use: GuardUse) -> Check:
    closure = use.closure
    assert closure is not None

    def check(
        context: RequestContext, args: tuple[Any, ...], named: Mapping[str, Any]
    ) -> Reply | None:
        answer = closure(context, *args, **named)
        if isinstance(answer, Reply):
            return answer
        return forbidden() if answer is False else None

    return check


def _built_in(use: GuardUse) -> Check:
    guard = BUILTIN_GUARDS[use.name]

    def check(
        context: RequestContext, args: tuple[Any, ...], named: Mapping[str, Any]
    ) -> Reply | None:
        return guard(use, context, *args, **named)

    return check


# --- identity ----------------------------------------


def is_authenticated(context: RequestContext) -> bool:
    """Whether `session.user` is set, a bearer token is valid, or `request.user` was set."""
    return context.current_user() is not None


def user_id(context: RequestContext) -> str | None:
    """Id of who asks, as text."""
    user = context.current_user()
    identity = _member(user, "id")
    if identity is None and isinstance(user, dict):
        identity = user.get("sub")
    if identity is None and user is not None and user == context.session.flin_get("user"):
        identity = context.session.flin_get("userId")
    return _id_text(identity)


def user_roles(context: RequestContext) -> frozenset[str]:
    """Roles of who asks: of the user, else of the token, else of the session."""
    for role in (
        _member(context.current_user(), "role"),
        (context.claims() or {}).get("role"),
        context.session.flin_get("role"),
    ):
        if isinstance(role, str) and role:
            return frozenset({role})
        if isinstance(role, list) and role:
            return frozenset(item for item in role if isinstance(item, str))
    return frozenset()


def _member(value: Any, name: str) -> Any:
    """A member of a map or record, None for anything else and for unknown fields."""
    if isinstance(value, dict):
        return value.get(name)
    read = getattr(value, "flin_get", None)
    if read is None:
        return None
    try:
        return read(name)
    except RuntimeFault:
        return None


def _id_text(value: Any) -> str | None:
    """An id as text; what is not an id equals nothing."""
    if isinstance(value, str):
        return value or None
    return str(value) if type(value) is int else None


# --- built in ----------------------------------------


def _auth(use: GuardUse, context: RequestContext) -> Reply | None:
    return None if is_authenticated(context) else unauthorized()


def _role(use: GuardUse, context: RequestContext, *roles: Any) -> Reply | None:
    if not is_authenticated(context):
        return unauthorized()
    return None if not user_roles(context).isdisjoint(_texts(roles)) else forbidden()


def _owner(use: GuardUse, context: RequestContext, owner: Any) -> Reply | None:
    if not is_authenticated(context):
        return unauthorized()
    if ADMIN in user_roles(context):
        return None
    wanted, identity = _id_text(owner), user_id(context)
    return None if wanted is not None and wanted == identity else forbidden()


def _rate_limit(
    use: GuardUse, context: RequestContext, limit: Any, seconds: Any = 60
) -> Reply | None:
    return limited(
        use.limiter,
        f"{use.scope}\0{client_of(context.raw.peer)}",
        limit,
        seconds,
        context.services.clock_ms(),
    )


def limited(limiter: RateLimiter, key: str, limit: Any, seconds: Any, now_ms: int) -> Reply | None:
    """Count a call; the 429 answer when it is one too many.

    Raises:
        RuntimeFault: FL504: the limit or the window is not a number in range.
    """
    if type(limit) is not int or not 1 <= limit <= CALLS_MAX:
        raise RuntimeFault(f"expected a limit from 1 to {CALLS_MAX} calls", code="FL504")
    if type(seconds) not in (int, float) or not 0 < seconds <= WINDOW_S_MAX:
        raise RuntimeFault("expected a window in seconds, more than 0", code="FL504")
    wait_ms = limiter.take(key, limit, seconds)
    if not wait_ms:
        return None
    wait_s = -(-wait_ms // 1000)
    return standard_reply(
        429,
        f"Too many requests. Try again in {wait_s} seconds.",
        headers={
            "Retry-After": str(wait_s),
            "X-RateLimit-Limit": str(limit),
            "X-RateLimit-Remaining": "0",
            "X-RateLimit-Reset": str(-(-(now_ms + wait_ms) // 1000)),
        },
    )


def _ws_rate_limit(
    use: GuardUse, context: RequestContext, limit: Any, seconds: Any = 60
) -> Reply | None:
    """Never refuses: it says how fast the connection may send; requests have no messages."""
    wrong = check_limit(limit, seconds)
    if wrong:
        raise RuntimeFault(wrong, code="FL504")
    if context.is_upgrade:
        context.message_limit = MessageLimit(limit, seconds, context.services.clock_ms())
    return None


def _csrf(use: GuardUse, context: RequestContext) -> Reply | None:
    if context.raw.method in SAFE_METHODS:
        return None
    given: Any = context.raw.header("x-csrf-token")
    if not given and context.is_form and isinstance(context.body, dict):
        given = context.body.get("_csrf")
    if context.session.verify_csrf(given):
        return None
    return forbidden("CSRF token missing or wrong")


def _ip_whitelist(use: GuardUse, context: RequestContext, *networks: Any) -> Reply | None:
    import ipaddress

    address = _address(context.raw.peer)
    if address is None:
        return forbidden()
    for text in _texts(networks):
        network = ipaddress.ip_network(text, strict=False)
        if address.version == network.version and address in network:
            return None
    return forbidden()


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """An address; IPv4 inside IPv6 counts as IPv4."""
    import ipaddress

    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = getattr(address, "ipv4_mapped", None)
    return address if mapped is None else mapped


def _api_key(use: GuardUse, context: RequestContext, *keys: Any) -> Reply | None:
    given = context.raw.header("x-api-key").encode("latin-1")
    accepted = _api_keys(keys)
    valid = False
    for key in accepted:  # every key is compared, so the time says nothing
        valid |= hmac.compare_digest(key.encode(), given)
    return None if valid and given else unauthorized()


def _api_keys(keys: tuple[Any, ...]) -> list[str]:
    """Accepted keys: the texts given, where UPPER_CASE names an environment variable of keys."""
    found: list[str] = []
    for text in _texts(keys) if keys else (API_KEYS_VARIABLE,):
        if _VARIABLE.fullmatch(text):
            found += [key.strip() for key in os.environ.get(text, "").split(",")]
        else:
            found.append(text)
    return [key for key in found if key]


def _time_window(
    use: GuardUse, context: RequestContext, start: Any, end: Any, days: Any = None
) -> Reply | None:
    """Times are UTC; a window that ends before it starts spans midnight."""
    now = datetime.fromtimestamp(context.services.clock_ms() / 1000, UTC)
    minute = now.hour * 60 + now.minute
    first, last = _minutes(start), _minutes(end)
    weekday = now.weekday()
    if first <= last:
        is_open = first <= minute < last
    else:
        is_open = minute >= first or minute < last
        if minute < last:  # this is the window that yesterday opened
            weekday = (weekday - 1) % 7
    if days is not None:
        allowed = {str(day).lower()[:3] for day in (days if isinstance(days, list) else [days])}
        if not allowed <= set(_DAYS):
            raise RuntimeFault("expected days such as mon, tue", code="FL504")
        is_open = is_open and _DAYS[weekday] in allowed
    return None if is_open else forbidden()


def _minutes(value: Any) -> int:
    if not isinstance(value, str) or not _CLOCK.fullmatch(value):
        raise RuntimeFault("expected a time of day such as 09:00", code="FL504")
    hours, _, minutes = value.partition(":")
    return int(hours) * 60 + int(minutes)


def _method(use: GuardUse, context: RequestContext, *methods: Any) -> Reply | None:
    allowed = {text.upper() for text in _texts(methods)}
    if context.raw.method in allowed or (context.raw.method == "HEAD" and "GET" in allowed):
        return None
    return standard_reply(405, headers={"Allow": ", ".join(sorted(allowed))})


def _texts(values: tuple[Any, ...]) -> list[str]:
    """Texts given one by one or as one list.

    Raises:
        RuntimeFault: FL504: something else.
    """
    items = values[0] if len(values) == 1 and isinstance(values[0], list) else values
    if not all(isinstance(item, str) for item in items):
        raise RuntimeFault("expected texts as arguments of a guard", code="FL504")
    return list(items)


BUILTIN_GUARDS: Final[Mapping[str, Callable[..., Reply | None]]] = {
    "auth": _auth,
    "role": _role,
    "owner": _owner,
    "rate_limit": _rate_limit,
    "ws_rate_limit": _ws_rate_limit,
    "csrf": _csrf,
    "ip_whitelist": _ip_whitelist,
    "api_key": _api_key,
    "time_window": _time_window,
    "method": _method,
}
