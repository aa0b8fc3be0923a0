"""Guards decide, and fail closed."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flinfast.errors import ConflictFault, RuntimeFault
from flinfast.runtime.fault import HttpFault
from flinfast.runtime.guard import BUILTIN_GUARDS, GuardUse, make_verdict
from flinfast.runtime.rate_limit import KEYS_MAX, RateLimiter
from flinfast.runtime.response import Reply, Stop, error_reply
from flinfast.runtime.secret import Secrets
from flinfast.runtime.token import sign_token
from tests.runtime.harness import NOW_MS, Parts


@pytest.fixture
def parts(tmp_path: Path) -> Iterator[Parts]:
    parts = Parts(tmp_path)
    yield parts
    parts.close()


def decide(parts: Parts, context: Any, name: str, *args: Any, **named: Any) -> int | None:
    """Status of the refusal, None when the request passes."""
    reply = refusal(parts, context, name, *args, **named)
    return None if reply is None else reply.status


def refusal(parts: Parts, context: Any, name: str, *args: Any, **named: Any) -> Reply | None:
    use = GuardUse(
        name, "app/a.flin:1", lambda _: (args, named), "app/a.flin GET", parts.services.limiter
    )
    return make_verdict(use)(context)


def token(parts: Parts, **claims: Any) -> dict[str, str]:
    body = {"sub": "7", "iss": "flin", "exp": NOW_MS // 1000 + 60, **claims}
    return {"Authorization": "Bearer " + sign_token(body, parts.secrets)}


def test_the_nine_of_the_series_and_one_of_ours() -> None:
    """Names that programs rely on."""
    names = "auth role owner rate_limit csrf ip_whitelist api_key time_window method ws_rate_limit"
    assert set(BUILTIN_GUARDS) == set(names.split())


# --- auth ----------------------------------------


def test_auth_needs_an_identity(parts: Parts) -> None:
    """401 with a challenge without one; a session, token or middleware's user passes."""
    reply = refusal(parts, parts.context(), "auth")
    assert reply is not None
    assert (reply.status, reply.headers.get("WWW-Authenticate")) == (401, "Bearer")
    assert reply.body == {"error": "Unauthorized", "status": 401}
    cookie = parts.log_in(parts.user())
    assert decide(parts, parts.context(cookie=cookie), "auth") is None
    assert decide(parts, parts.context(headers=token(parts)), "auth") is None
    context = parts.context()
    context.set_user({"id": 1})
    assert decide(parts, context, "auth") is None


def test_auth_sets_request_user(parts: Parts) -> None:
    """The record of the session, or the claims of the token."""
    cookie = parts.log_in(parts.user("Ada"))
    request = parts.context(cookie=cookie).request
    assert request.flin_get("user").flin_get("name") == "Ada"
    request = parts.context(headers=token(parts, name="Eve")).request
    assert request.flin_get("user")["name"] == "Eve"


def test_deleted_user_is_nobody(parts: Parts) -> None:
    """A session whose record is gone has no identity."""
    user = parts.user()
    cookie = parts.log_in(user)
    with parts.store.transaction():
        parts.store.delete(user)
    assert decide(parts, parts.context(cookie=cookie), "auth") == 401


@pytest.mark.parametrize(
    "claims",
    [
        {"exp": NOW_MS // 1000 - 6},
        {"exp": None},
        {"exp": "x"},
        {"exp": True},
        {"sub": None},
        {"iss": "other"},
        {"nbf": NOW_MS // 1000 + 60},
        {"exp": float("nan")},
    ],
)
def test_token_that_is_not_current_is_refused(parts: Parts, claims: dict[str, Any]) -> None:
    """Expired, endless, early, foreign or anonymous tokens."""
    given = {key: value for key, value in claims.items() if value is not None}
    body = {"sub": "7", "iss": "flin", "exp": NOW_MS // 1000 + 60, **given}
    for key, value in claims.items():
        if value is None:
            del body[key]
    try:
        headers = {"Authorization": "Bearer " + sign_token(body, parts.secrets)}
    except (TypeError, ValueError):
        return
    assert decide(parts, parts.context(headers=headers), "auth") == 401


def test_forged_tokens_are_refused(parts: Parts) -> None:
    """Another key, no algorithm, another algorithm, and every cut of a good one."""
    import jwt

    body = {"sub": "7", "iss": "flin", "exp": NOW_MS // 1000 + 60}
    key = parts.secrets.keys("token")[0]
    good = sign_token(body, parts.secrets)
    bad = [
        sign_token(body, Secrets(b"x" * 32)),
        jwt.encode(body, "", algorithm="none"),
        jwt.encode(body, key * 2, algorithm="HS512"),
        *(good[:cut] for cut in range(0, len(good), 7)),
        "x" * 9000,
        "é",
    ]
    for text in bad:
        headers = {"Authorization": f"Bearer {text}"}
        assert decide(parts, parts.context(headers=headers), "auth") == 401, text[:20]
    assert (
        decide(parts, parts.context(headers={"Authorization": f"bearer  {good}"}), "auth") is None
    )
    assert decide(parts, parts.context(headers={"Authorization": f"Basic {good}"}), "auth") == 401


# --- role, owner ----------------------------------------


def test_role_reads_user_then_token_then_session(parts: Parts) -> None:
    """401 without identity, 403 without the right."""
    assert decide(parts, parts.context(), "role", "admin") == 401
    admin = parts.log_in(parts.user("Ada", "admin"))
    assert decide(parts, parts.context(cookie=admin), "role", "admin") is None
    assert decide(parts, parts.context(cookie=admin), "role", "x", "admin") is None
    assert decide(parts, parts.context(cookie=admin), "role", ["x", "admin"]) is None
    assert decide(parts, parts.context(cookie=admin), "role", "editor") == 403
    assert decide(parts, parts.context(cookie=admin), "role") == 403
    headers = token(parts, role="editor")
    assert decide(parts, parts.context(headers=headers), "role", "editor") is None
    headers = token(parts, role=["a", "editor", 7])
    assert decide(parts, parts.context(headers=headers), "role", "editor") is None
    by_map = parts.log_in({"id": 1, "name": "x"}, role="staff")
    assert decide(parts, parts.context(cookie=by_map), "role", "staff") is None
    assert decide(parts, parts.context(cookie=by_map), "role", 7) == 403


def test_owner_compares_ids_as_text(parts: Parts) -> None:
    """The own id passes as int or text, an admin always, everything odd is denied."""
    user = parts.user("Ada")
    cookie = parts.log_in(user)

    def owner(*args: Any) -> int | None:
        return decide(parts, parts.context(cookie=cookie), "owner", *args)

    assert owner(user.id) is None
    assert owner(str(user.id)) is None
    for other in (user.id + 1, "", None, "none", True, 1.0, [user.id], {"id": user.id}):
        assert owner(other) == 403
    assert owner() == 403
    assert decide(parts, parts.context(), "owner", 1) == 401
    admin = parts.log_in(parts.user("Eve", "admin"))
    assert decide(parts, parts.context(cookie=admin), "owner", 12345) is None
    assert decide(parts, parts.context(headers=token(parts)), "owner", "7") is None
    assert decide(parts, parts.context(headers=token(parts)), "owner", "8") == 403


def test_owner_of_nobody_is_denied(parts: Parts) -> None:
    """A user without an id owns nothing, not even what belongs to nobody."""
    cookie = parts.log_in({"name": "x"})
    for owner in (None, "", "None", "none"):
        assert decide(parts, parts.context(cookie=cookie), "owner", owner) == 403


# --- csrf ----------------------------------------


def test_csrf_lets_safe_methods_pass(parts: Parts) -> None:
    """GET, HEAD and OPTIONS change nothing."""
    for method in ("GET", "HEAD", "OPTIONS"):
        assert decide(parts, parts.context(method), "csrf") is None
    assert decide(parts, parts.context("POST"), "csrf") == 403


def test_csrf_compares_with_the_session(parts: Parts) -> None:
    """Header or form field, only this session's token."""
    context = parts.context()
    csrf = context.session.csrf_token()
    cookie = parts.finish(context)
    form = {"Content-Type": "application/x-www-form-urlencoded"}

    def post(body: bytes = b"", **headers: str) -> int | None:
        fields = {name.replace("_", "-"): value for name, value in headers.items()}
        context = parts.context("POST", cookie=cookie, body=body, headers={**form, **fields})
        return decide(parts, context, "csrf")

    assert post(X_CSRF_Token=csrf) is None
    assert post(f"a=1&_csrf={csrf}".encode()) is None
    for wrong in (b"", b"_csrf=", b"_csrf=x", b"_csrf[]=" + csrf.encode()):
        assert post(wrong) == 403
    assert post(X_CSRF_Token=csrf[:-1]) == 403
    json = parts.context("POST", cookie=cookie, json={"_csrf": csrf})
    assert decide(parts, json, "csrf") == 403


# --- addresses, keys, times, methods ----------------------------------------


@pytest.mark.parametrize(
    ("peer", "networks", "passes"),
    [
        ("192.0.2.1", ("192.0.2.1",), True),
        ("192.0.2.1", ("192.0.2.0/24",), True),
        ("192.0.2.1", ("192.0.3.0/24", "2001:db8::/32"), False),
        ("::ffff:192.0.2.1", ("192.0.2.1",), True),
        ("2001:db8::1", (["2001:db8::/32"],), True),
        ("fe80::1%eth0", ("fe80::/10",), True),
        ("192.0.2.1", (), False),
        ("192.0.2.1", ("nonsense",), False),
        ("192.0.2.1", (7,), False),
        ("", ("0.0.0.0/0",), False),
        ("unix", ("0.0.0.0/0",), False),
    ],
)
def test_ip_whitelist(parts: Parts, peer: str, networks: tuple[Any, ...], passes: bool) -> None:
    """Addresses and networks of both families; what cannot be read denies."""
    status = decide(parts, parts.context(peer=peer), "ip_whitelist", *networks)
    assert status == (None if passes else 403)


def test_api_key(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys in the source, in a named variable, or in FLIN_API_KEYS; none configured denies."""

    def key(text: str, *args: Any) -> int | None:
        return decide(parts, parts.context(headers={"X-API-Key": text}), "api_key", *args)

    assert key("a-key", "a-key") is None
    assert key("b-key", "a-key", "b-key") is None
    assert key("b-key", ["a-key", "b-key"]) is None
    assert key("A-key", "a-key") == 401
    assert key("", "") == 401
    assert key("é", "a-key") == 401
    assert decide(parts, parts.context(), "api_key", "a-key") == 401
    assert key("x") == 401
    assert key("", "PARTNER_KEYS") == 401
    monkeypatch.setenv("PARTNER_KEYS", "one, two,")
    assert key("two", "PARTNER_KEYS") is None
    assert key("", "PARTNER_KEYS") == 401
    assert key("PARTNER_KEYS", "PARTNER_KEYS") == 401
    monkeypatch.setenv("FLIN_API_KEYS", "main")
    assert key("main") is None


@pytest.mark.parametrize(
    ("start", "end", "days", "passes"),
    [
        ("08:00", "18:00", None, True),
        ("08:01", "18:00", None, False),
        ("07:00", "08:00", None, False),
        ("22:00", "08:01", None, True),
        ("22:00", "08:00", None, False),
        ("00:00", "24:00", ["fri"], True),
        ("00:00", "24:00", ["Friday", "mon"], True),
        ("00:00", "24:00", ["thu"], False),
        ("22:00", "09:00", ["thu"], True),
        ("22:00", "09:00", ["fri"], False),
        ("00:00", "24:00", [], False),
        ("8:00", "18:00", None, False),
        ("00:00", "24:00", ["someday"], False),
        (None, "24:00", None, False),
    ],
)
def test_time_window(parts: Parts, start: Any, end: Any, days: Any, passes: bool) -> None:
    """It is Friday 08:00 UTC; a window over midnight belongs to the day it opened on."""
    args = (start, end) if days is None else (start, end, days)
    assert decide(parts, parts.context(), "time_window", *args) == (None if passes else 403)


def test_method(parts: Parts) -> None:
    """405 with Allow; GET includes HEAD."""
    assert decide(parts, parts.context("GET"), "method", "get", "POST") is None
    assert decide(parts, parts.context("HEAD"), "method", "GET") is None
    reply = refusal(parts, parts.context("PUT"), "method", "POST", "GET")
    assert reply is not None
    assert (reply.status, reply.headers.get("Allow")) == (405, "GET, POST")


# --- rate limit ----------------------------------------


def test_rate_limit_answers_429_with_its_headers(parts: Parts) -> None:
    """n calls per window and address, then the time to wait."""
    for _ in range(3):
        assert decide(parts, parts.context(), "rate_limit", 3, 60) is None
        parts.loop.now_ms += 500
    reply = refusal(parts, parts.context(), "rate_limit", 3, 60)
    assert reply is not None
    assert reply.status == 429
    assert reply.body["error"] == "Too many requests. Try again in 59 seconds."
    assert dict(reply.headers) == {
        "Retry-After": "59",
        "X-RateLimit-Limit": "3",
        "X-RateLimit-Remaining": "0",
        "X-RateLimit-Reset": str(NOW_MS // 1000 + 60),
    }
    assert decide(parts, parts.context(peer="192.0.2.9"), "rate_limit", 3, 60) is None
    parts.loop.now_ms = NOW_MS + 60_000
    assert decide(parts, parts.context(), "rate_limit", 3, 60) is None
    assert decide(parts, parts.context(), "rate_limit", 3, 60) == 429


def test_what_a_client_says_of_its_address_is_not_believed(parts: Parts) -> None:
    """Fields of proxies are the server's to judge; guards go by the address it found."""

    def status(number: int, name: str, *args: Any) -> int | None:
        claimed = f"10.0.0.{number}"
        headers = {"X-Forwarded-For": claimed, "X-Real-IP": claimed, "Forwarded": f"for={claimed}"}
        return decide(parts, parts.context(peer="192.0.2.9", headers=headers), name, *args)

    assert status(1, "ip_whitelist", "10.0.0.0/8") == 403
    assert [status(number, "rate_limit", 2, 60) for number in range(4)] == [None, None, 429, 429]


@pytest.mark.parametrize("args", [(0, 60), ("3", 60), (3, 0), (3, -1), (True, 60), (), (3, "m")])
def test_rate_limit_with_bad_arguments_denies(parts: Parts, args: tuple[Any, ...]) -> None:
    """A limit that cannot be read is no limit to pass."""
    assert decide(parts, parts.context(), "rate_limit", *args) == 403


@given(
    st.lists(st.integers(0, 400), min_size=1, max_size=60),
    st.integers(1, 5),
    st.integers(1, 20),
)
def test_no_window_ever_holds_more_than_the_limit(gaps: list[int], limit: int, window: int) -> None:
    """Exact sliding window: allowed calls in any `window` are at most `limit`, and none is lost."""
    now = [0]
    limiter = RateLimiter(lambda: now[0])
    allowed: list[int] = []
    for gap in gaps:
        now[0] += gap
        recent = [t for t in allowed if t > now[0] - window * 100]
        wait = limiter.take("k", limit, window / 10)
        assert (wait == 0) == (len(recent) < limit)
        if wait:
            assert wait == recent[-limit] + window * 100 - now[0]
        else:
            allowed.append(now[0])


def test_rate_limiter_keeps_a_bounded_number_of_keys() -> None:
    """The least recently used key is forgotten first."""
    limiter = RateLimiter(lambda: 0)
    for index in range(KEYS_MAX + 10):
        limiter.take(str(index), 1, 1)
    assert len(limiter) == KEYS_MAX
    assert limiter.take(str(KEYS_MAX + 9), 1, 1) > 0
    assert limiter.take("0", 1, 1) == 0


# --- definitions and failures ----------------------------------------


def defined(parts: Parts, closure: Any, *args: Any) -> Reply | None:
    use = GuardUse(
        "mine", "app/a.flin:1", lambda _: (args, {}), "s", parts.services.limiter, closure
    )
    return make_verdict(use)(parts.context())


def test_definition_answers_or_lets_pass(parts: Parts) -> None:
    """A reply is the answer, false denies, anything else passes."""
    answer = error_reply(418, "no")
    assert defined(parts, lambda c, n: answer, 1) is answer
    for value in (None, True, 0, "", "text", 7):
        assert defined(parts, lambda c, value=value: value) is None
    reply = defined(parts, lambda c: False)
    assert reply is not None
    assert reply.status == 403

    def stops(context: Any) -> None:
        raise Stop(answer)

    assert defined(parts, stops) is answer


@pytest.mark.parametrize(
    "error",
    [RuntimeFault("x"), ZeroDivisionError(), KeyError("k"), TypeError("a"), RecursionError()],
)
def test_failing_guard_denies_and_is_logged(parts: Parts, error: Exception) -> None:
    """Whatever a guard raises, nobody gets past it."""

    def fails(context: Any) -> None:
        raise error

    reply = defined(parts, fails)
    assert reply is not None
    assert reply.status == 403
    assert parts.log.texts("error")


def test_guard_passes_on_what_is_not_its_decision(parts: Parts) -> None:
    """A conflict repeats the run; a request that cannot be read answers 400."""

    def raises(error: Exception) -> Any:
        def closure(context: Any) -> None:
            raise error

        return closure

    with pytest.raises(ConflictFault):
        defined(parts, raises(ConflictFault("x")))
    with pytest.raises(HttpFault):
        defined(parts, raises(HttpFault(400, "Invalid JSON")))


def test_failing_arguments_deny(parts: Parts) -> None:
    """`guard owner(body.x.y)` on a body without x."""

    def arguments(context: Any) -> Any:
        raise RuntimeFault("cannot read `.y` of none", code="FL502")

    use = GuardUse("owner", "app/a.flin:1", arguments, "s", parts.services.limiter)
    reply = make_verdict(use)(parts.context())
    assert reply is not None
    assert reply.status == 403


@given(
    st.sampled_from(sorted(BUILTIN_GUARDS)),
    st.lists(
        st.none()
        | st.booleans()
        | st.integers(-2, 2)
        | st.text(max_size=5)
        | st.lists(st.text(max_size=3), max_size=2),
        max_size=3,
    ),
)
def test_no_arguments_open_a_guard_to_nobody(
    tmp_path_factory: pytest.TempPathFactory, name: str, args: list[Any]
) -> None:
    """A request without identity, key or token passes only guards that ask for none of them."""
    parts = _shared_parts(tmp_path_factory)
    status = decide(parts, parts.context("POST"), name, *args)
    if name in ("auth", "role", "owner", "csrf", "api_key"):
        assert status in (401, 403)
    else:
        assert status in (None, 403, 405, 429)


_PARTS: list[Parts] = []


def _shared_parts(factory: pytest.TempPathFactory) -> Parts:
    if not _PARTS:
        _PARTS.append(Parts(factory.mktemp("guards")))
    return _PARTS[0]
