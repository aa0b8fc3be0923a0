"""Sessions: cookies, life, what they hold, and the connections that belong to them."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from flinfast.errors import ConfigError, RuntimeFault
from flinfast.runtime.secret import SECRET_BYTES_MIN, Secrets, load_secrets
from flinfast.runtime.session import SessionManager
from flinfast.runtime.session_value import (
    SESSION_BYTES_MAX,
    SESSION_DEPTH_MAX,
    UNPACKED_BYTES_MAX,
    UNPACKED_LARGE_MAX,
    EntityRef,
    freeze,
    kept_values,
    pack,
    pack_row,
    unpack,
    unpack_row,
)
from flinfast.runtime.session_view import KEYS_MAX
from flinfast.settings import SessionSettings, Settings
from flinfast.values import TIME_MS_MAX, TIME_MS_MIN, Time
from tests.runtime.harness import NOW_MS, Parts

RANDOM = "0123456789abcdef" * 4  # long enough for a secret, and no sample


@pytest.fixture
def parts(tmp_path: Path) -> Iterator[Parts]:
    parts = Parts(tmp_path)
    yield parts
    parts.close()


def cookies(header: str) -> dict[str, str]:
    name, _, value = header.partition("=")
    return {name: value}


# --- cookies ----------------------------------------


def test_reading_never_makes_a_session(parts: Parts) -> None:
    """A handler that only reads its session sets no cookie."""
    context = parts.context()
    assert context.session.flin_get("user") is None
    assert context.session.to_map() == {}
    assert context.session.change() is None


def test_first_write_makes_a_signed_cookie(parts: Parts) -> None:
    """HttpOnly, Lax, one path, and an id of at least 128 random bits."""
    context = parts.context()
    context.session.flin_set("n", 1)
    change = context.session.change()
    assert change is not None
    name, _, rest = change.cookie.partition("=")
    value, *attributes = rest.split("; ")
    assert name == "flin_session"
    assert attributes == ["Max-Age=31536000", "Path=/", "HttpOnly", "SameSite=Lax"]
    id, _, signature = value.partition(".")
    assert len(id) >= 22
    assert len(signature) == 43
    assert parts.sessions.verify(value) == id


def test_cookie_over_tls_is_bound_to_the_host(parts: Parts) -> None:
    """`__Host-` and Secure; the plain name is not looked at over TLS."""
    plain = parts.log_in(parts.user())
    context = parts.context(scheme="https", cookie=plain)
    assert context.session.state is None
    context.session.flin_set("n", 1)
    change = context.session.change()
    assert change is not None
    assert change.cookie.startswith("__Host-flin_session=")
    assert "; Secure" in change.cookie


def test_every_flipped_bit_of_a_cookie_is_refused(parts: Parts) -> None:
    """No changed cookie finds a session, and none raises."""
    header = parts.log_in(parts.user())
    value = header.partition("=")[2]
    assert parts.sessions.verify(value)
    for index in range(len(value)):
        for bit in range(8):
            changed = value[:index] + chr(ord(value[index]) ^ 1 << bit) + value[index + 1 :]
            assert parts.sessions.verify(changed) == ""


class EmptyTable:
    def get(self, id: str) -> bytes | None:
        raise AssertionError(f"asked for {id}, whose signature cannot be right")

    def put(self, id: str, data: bytes, expires_ms: int) -> None: ...
    def delete(self, id: str) -> None: ...
    def purge(self, now_ms: int) -> None: ...


MANAGER = SessionManager(
    table=EmptyTable(),
    settings=SessionSettings(),
    keys=Secrets(b"k" * 32),
    clock_ms=lambda: NOW_MS,
    find_record=lambda entity, id: None,
    drop=lambda connection, code, reason: None,
)


@given(st.text(max_size=80))
def test_any_text_is_a_cookie_without_a_session(value: str) -> None:
    """Foreign cookies are worth nothing and raise nothing."""
    assert MANAGER.verify(value) == ""
    assert MANAGER.open({"flin_session": value}, "http").state is None


def test_earlier_secret_is_accepted_and_no_longer_signs(parts: Parts) -> None:
    """A list of keys lets a secret be replaced without logging everybody out."""
    header = parts.log_in(parts.user())
    value = header.partition("=")[2]
    parts.secrets = Secrets(b"n" * 32, (b"k" * 32,))
    rotated = parts.make_sessions()
    assert rotated.verify(value)
    assert not rotated.cookie_of(value[:24], is_secure=False).startswith(header)
    parts.secrets = Secrets(b"n" * 32)
    assert not parts.make_sessions().verify(value)


# --- data ----------------------------------------


def test_login_derives_id_and_name(parts: Parts) -> None:
    """`session.user = record` sets userId as text and userName, readable at once."""
    user = parts.user("Ada")
    context = parts.context()
    context.session.flin_set("user", user)
    assert context.session.flin_get("userId") == str(user.id)
    cookie = parts.finish(context)
    session = parts.context(cookie=cookie).session
    assert session.flin_get("userId") == str(user.id)
    assert session.flin_get("userName") == "Ada"
    assert session.flin_get("user").id == user.id


@pytest.mark.parametrize(
    ("user", "derived"),
    [
        ({"id": 7, "name": "N"}, ("7", "N")),
        ({"id": "x", "email": "e@x"}, ("x", "e@x")),
        ({"username": "u", "name": ""}, (None, "u")),
        ("text", (None, None)),
    ],
)
def test_login_with_other_values(parts: Parts, user: Any, derived: tuple[Any, Any]) -> None:
    """Maps count like records: name, else email, else username."""
    session = parts.context().session
    session.flin_set("user", user)
    assert (session.flin_get("userId"), session.flin_get("userName")) == derived


def test_id_set_by_hand_wins_in_its_handler_only(parts: Parts) -> None:
    """A hand-made userId survives the assignment of user, but not the next login."""
    context = parts.context()
    context.session.flin_set("userId", "mine")
    context.session.flin_set("user", parts.user("Ada"))
    cookie = parts.finish(context)
    assert parts.context(cookie=cookie).session.flin_get("userId") == "mine"
    other = parts.user("Bob")
    context = parts.context(cookie=cookie)
    context.session.flin_set("user", other)
    assert context.session.flin_get("userId") == str(other.id)


def test_record_is_read_again_each_time(parts: Parts) -> None:
    """A role that changes, or a user that is deleted, shows in the next request."""
    user = parts.user()
    cookie = parts.log_in(user)
    with parts.store.transaction():
        user.flin_set("role", "admin")
        parts.store.save(user)
    assert parts.context(cookie=cookie).session.flin_get("user").flin_get("role") == "admin"
    with parts.store.transaction():
        parts.store.delete(user)
    session = parts.context(cookie=cookie).session
    assert session.flin_get("user") is None
    assert session.change() is None


def test_nested_values_are_private_and_stored_when_changed(parts: Parts) -> None:
    """Pushing to a list of the session is a write; handlers share no list."""
    context = parts.context()
    cart = [{"n": 1}]
    context.session.flin_set("cart", cart)
    cookie = parts.finish(context)
    cart.append({"n": 99})
    first = parts.context(cookie=cookie)
    first.session.flin_get("cart").append({"n": 2})
    assert parts.context(cookie=cookie).session.flin_get("cart") == [{"n": 1}]
    parts.finish(first)
    untouched = parts.context(cookie=cookie)
    assert untouched.session.flin_get("cart") == [{"n": 1}, {"n": 2}]
    assert untouched.session.change() is None


def test_two_handlers_change_different_members(parts: Parts) -> None:
    """A handler that waited overwrites only what it changed itself."""
    cookie = parts.log_in(parts.user(), a=1, cart=[1])
    slow, quick = parts.context(cookie=cookie), parts.context(cookie=cookie)
    assert slow.session.flin_get("cart") == [1]
    slow.session.flin_set("b", 2)
    quick.session.flin_set("a", 5)
    quick.session.flin_get("cart").append(2)
    parts.finish(quick)
    parts.finish(slow)
    session = parts.context(cookie=cookie).session
    assert (session.flin_get("a"), session.flin_get("b")) == (5, 2)
    assert session.flin_get("cart") == [1, 2]


def test_setting_none_removes_a_member(parts: Parts) -> None:
    """none and absent are the same."""
    cookie = parts.log_in(parts.user(), a=1)
    context = parts.context(cookie=cookie)
    context.session.flin_set("a", None)
    parts.finish(context)
    assert "a" not in parts.context(cookie=cookie).session.to_map()


@pytest.mark.parametrize("bad", [object(), lambda: 1, {"a": [print]}])
def test_value_that_cannot_be_kept_is_a_fault(parts: Parts, bad: Any) -> None:
    """Functions and foreign objects are refused where they are set."""
    with pytest.raises(RuntimeFault) as caught:
        parts.context().session.flin_set("x", bad)
    assert caught.value.code == "FL562"


def test_unsaved_record_is_a_fault(parts: Parts) -> None:
    """A reference needs an id."""
    draft = parts.store.handle("User").construct({"name": "x"})
    with pytest.raises(RuntimeFault, match="unsaved User"):
        parts.context().session.flin_set("user", draft)


def test_session_size_is_limited(parts: Parts) -> None:
    """Members, bytes and nesting at their limits pass, one above is a fault."""
    context = parts.context()
    for index in range(KEYS_MAX):
        context.session.flin_set(f"k{index}", 1)
    assert context.session.change() is not None
    context.session.flin_set("one_more", 1)
    with pytest.raises(RuntimeFault, match="members"):
        context.session.change()
    overhead = len(pack({"a": "x" * 60000})) - 60000
    assert pack({"a": "x" * (SESSION_BYTES_MAX - overhead)})
    with pytest.raises(RuntimeFault, match="64 KB"):
        pack({"a": "x" * (SESSION_BYTES_MAX - overhead + 1)})
    nested: Any = 1
    for _ in range(SESSION_DEPTH_MAX):
        nested = [nested]
    assert freeze(nested) == nested
    with pytest.raises(RuntimeFault, match="deeply"):
        freeze([nested])


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary()
    | st.builds(Time, st.integers(TIME_MS_MIN, TIME_MS_MAX))
    | st.builds(EntityRef, st.text(min_size=1), st.integers(1, 2**62)),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(max_size=3) | st.sampled_from(["$t", "$e", "$m", "$i"]), inner)
    ),
    max_leaves=20,
)


@given(st.dictionaries(st.text(max_size=4) | st.sampled_from(["$t", "$m"]), VALUES, max_size=5))
def test_kept_values_survive_packing(data: dict[str, Any]) -> None:
    """unpack(pack(x)) is x, tags in user data included."""
    assert unpack(pack(data)) == data


@given(st.binary(max_size=200))
def test_unpacking_anything_gives_a_map_or_value_error(raw: bytes) -> None:
    """A damaged row never raises anything unexpected."""
    with contextlib.suppress(ValueError):
        assert isinstance(unpack(raw), dict)


# --- life ----------------------------------------


def test_session_outlives_the_process(parts: Parts) -> None:
    """Another manager over the same table finds it."""
    cookie = parts.log_in(parts.user("Ada"), when=Time(5), big=1 << 80)
    other = parts.make_sessions()
    session = other.open(cookies(cookie), "http")
    assert session.flin_get("userName") == "Ada"
    assert session.flin_get("when") == Time(5)
    assert session.flin_get("big") == 1 << 80


def test_id_changes_with_the_user(parts: Parts) -> None:
    """Login over a known session gives a new id; the old one is dead (fixation)."""
    context = parts.context()
    context.session.flin_set("cart", [1])
    before = parts.finish(context)
    context = parts.context(cookie=before)
    context.session.flin_set("user", parts.user())
    after = parts.finish(context)
    assert after
    assert after != before
    assert parts.context(cookie=before).session.state is None
    assert parts.make_sessions().open(cookies(before), "http").state is None
    assert parts.context(cookie=after).session.flin_get("cart") == [1]


def test_other_writes_keep_the_id(parts: Parts) -> None:
    """No new cookie for an ordinary write."""
    cookie = parts.log_in(parts.user())
    context = parts.context(cookie=cookie)
    context.session.flin_set("n", 1)
    assert parts.finish(context) == ""


def test_id_changes_with_the_role(parts: Parts) -> None:
    """A change of rights gives a new id and closes the connections opened with the old ones."""
    cookie = parts.log_in(parts.user(), role="member")
    state = parts.context(cookie=cookie).session.state
    assert state is not None
    parts.sessions.attach(state, parts.connection(state))
    context = parts.context(cookie=cookie)
    context.session.flin_set("role", "admin")
    after = parts.finish(context)
    assert after not in ("", cookie)
    assert [code for _, code, _ in parts.dropped] == [4401]


@pytest.mark.parametrize("how", ["destroy", "clear", "user", "change"])
def test_logout_kills_the_id_and_closes_connections(parts: Parts, how: str) -> None:
    """destroy(), clear(), `user = none` and another user end the old session and its sockets."""
    cookie = parts.log_in(parts.user("Ada"), n=1)
    state = parts.context(cookie=cookie).session.state
    assert state is not None
    connections = [parts.connection(state) for _ in range(3)]
    for connection in connections:
        parts.sessions.attach(state, connection)
    context = parts.context(cookie=cookie)
    if how in ("destroy", "clear"):
        context.session.flin_call(how, (), {})
    else:
        context.session.flin_set("user", parts.user("Bob") if how == "change" else None)
    after = parts.finish(context)
    assert [(code, c) for c, code, _ in parts.dropped] == [(4401, c) for c in connections]
    assert parts.context(cookie=cookie).session.state is None
    if how == "destroy":
        assert after == "flin_session="
    else:
        assert parts.context(cookie=after).session.state is not None
    for connection in connections:
        parts.sessions.detach(state, connection)
    assert state.connections == []


def test_login_keeps_the_anonymous_connections(parts: Parts) -> None:
    """Connections opened before the login stay, and close with the logout."""
    context = parts.context()
    context.session.flin_set("cart", [1])
    cookie = parts.finish(context)
    state = parts.context(cookie=cookie).session.state
    assert state is not None
    connection = parts.connection(state)
    parts.sessions.attach(state, connection)
    context = parts.context(cookie=cookie)
    context.session.flin_set("user", parts.user())
    cookie = parts.finish(context)
    assert parts.dropped == []
    context = parts.context(cookie=cookie)
    context.session.flin_call("destroy", (), {})
    parts.finish(context)
    assert [c for c, _, _ in parts.dropped] == [connection]


def test_handler_that_waited_does_not_revive_a_session(parts: Parts) -> None:
    """What was destroyed meanwhile stays destroyed; a later write starts an empty one."""
    cookie = parts.log_in(parts.user("Ada"), secret="s")
    slow, quick = parts.context(cookie=cookie), parts.context(cookie=cookie)
    assert slow.session.flin_get("userName") == "Ada"
    quick.session.flin_call("destroy", (), {})
    parts.finish(quick)
    slow.session.flin_set("n", 1)
    after = parts.finish(slow)
    session = parts.context(cookie=after).session
    assert session.to_map() == {"n": 1}


def test_write_that_was_lost_is_forgotten(parts: Parts) -> None:
    """After a failed sync the cache does not pretend."""
    context = parts.context()
    context.session.flin_set("n", 1)
    change = context.session.change()
    assert change is not None
    durable = parts.sessions.apply(change)
    cookie = change.cookie.partition(";")[0]
    assert parts.context(cookie=cookie).session.flin_get("n") == 1
    durable(OSError("disk"))
    assert parts.context(cookie=cookie).session.state is None


def test_what_is_not_durable_is_known(parts: Parts) -> None:
    """A reader of a fresh session must wait for the disk, a handler that ignores it must not."""
    context = parts.context()
    context.session.flin_set("n", 1)
    change = context.session.change()
    assert change is not None
    durable = parts.sessions.apply(change)
    cookie = change.cookie.partition(";")[0]
    session = parts.context(cookie=cookie).session
    assert not session.needs_durability
    session.flin_get("n")
    assert session.needs_durability
    durable(None)
    assert not session.needs_durability


def settings_with(**values: Any) -> Settings:
    return replace(Settings(), session=SessionSettings(**values))


@pytest.mark.parametrize(
    ("values", "lives_s"),
    [({"idle_s": 60.0, "max_age_s": 3600.0}, 60), ({"idle_s": 600.0, "max_age_s": 90.0}, 90)],
)
def test_session_expires(tmp_path: Path, values: dict[str, float], lives_s: int) -> None:
    """Idle or absolute age, whichever is first: cookie dead, sockets closed, row purged."""
    parts = Parts(tmp_path, settings_with(**values))
    cookie = parts.log_in(parts.user())
    state = parts.context(cookie=cookie).session.state
    assert state is not None
    parts.sessions.attach(state, parts.connection(state))
    parts.loop.now_ms = NOW_MS + lives_s * 1000 - 1
    parts.sessions.sweep()
    assert parts.dropped == []
    parts.loop.now_ms += 1
    parts.sessions.sweep()
    assert [code for _, code, _ in parts.dropped] == [4401]
    assert parts.context(cookie=cookie).session.state is None
    assert parts.make_sessions().open(cookies(cookie), "http").state is None
    parts.close()


def test_use_prolongs_an_idle_session(tmp_path: Path) -> None:
    """A request moves the idle limit, also for another process once stored."""
    parts = Parts(tmp_path, settings_with(idle_s=100.0))
    cookie = parts.log_in(parts.user())
    for _ in range(5):
        parts.loop.now_ms += 60_000
        assert parts.context(cookie=cookie).session.state is not None
        assert parts.sessions.housekeeping()
        parts.store.begin(writes=True)
        parts.sessions.store_touched()
        parts.store.commit()
        parts.loop.run_threads()
    parts.loop.now_ms += 60_000
    assert parts.make_sessions().open(cookies(cookie), "http").state is not None
    parts.close()


def test_shared_table_is_read_each_time(parts: Parts) -> None:
    """With several processes a logout in one counts in all."""
    cookie = parts.log_in(parts.user())
    worker = parts.make_sessions(is_shared=True)
    assert worker.open(cookies(cookie), "http").state is not None
    context = parts.context(cookie=cookie)
    context.session.flin_call("destroy", (), {})
    parts.finish(context)
    assert worker.open(cookies(cookie), "http").state is None


def test_logout_in_another_process_closes_connections_here(parts: Parts) -> None:
    """The sweep of a shared table looks at sessions with connections."""
    cookie = parts.log_in(parts.user())
    worker = parts.make_sessions(is_shared=True)
    state = worker.open(cookies(cookie), "http").state
    assert state is not None
    worker.attach(state, parts.connection(state))
    worker.sweep()
    assert parts.dropped == []
    context = parts.context(cookie=cookie)
    context.session.flin_call("destroy", (), {})
    parts.finish(context)
    worker.sweep()
    assert [code for _, code, _ in parts.dropped] == [4401]


# --- ws ----------------------------------------


def test_ws_session_is_the_copy_of_the_upgrade(parts: Parts) -> None:
    """Later changes in routes do not show; own writes stay on the connection."""
    cookie = parts.log_in(parts.user("Ada"), cart=[1])
    state = parts.context(cookie=cookie).session.state
    assert state is not None
    one, two = parts.connection(state), parts.connection(state)
    context = parts.context(cookie=cookie)
    context.session.flin_set("cart", [9])
    context.session.flin_set("n", 1)
    parts.finish(context)
    assert one.session.flin_get("cart") == [1]
    assert one.session.flin_get("n") is None
    one.session.flin_get("cart").append(2)
    one.session.flin_set("x", 1)
    assert one.session.flin_get("cart") == [1, 2]
    assert two.session.flin_get("cart") == [1]
    assert two.session.flin_get("x") is None
    assert one.session.flin_get("userName") == "Ada"
    assert one.session.flin_get("user").flin_get("name") == "Ada"
    assert set(one.session.to_map()) == {"user", "userId", "userName", "cart", "x"}


def test_ws_without_session_has_an_empty_one(parts: Parts) -> None:
    """Connections without a session share nothing by accident."""
    one, two = parts.connection(), parts.connection()
    one.session.flin_set("a", 1)
    assert two.session.flin_get("a") is None
    with pytest.raises(RuntimeFault, match="routes only"):
        one.session.flin_call("destroy", (), {})


def test_session_methods(parts: Parts) -> None:
    """get, has_key and keys read; anything else is unknown."""
    session = parts.context().session
    session.flin_set("a", 1)
    assert session.flin_call("get", ("a",), {}) == 1
    assert session.flin_call("get", ("b", 7), {}) == 7
    assert session.flin_call("has_key", ("a",), {}) is True
    assert session.flin_call("keys", (), {}) == ["a"]
    for name, args in (("nope", ()), ("get", (1,)), ("destroy", (1,))):
        with pytest.raises(RuntimeFault):
            session.flin_call(name, args, {})


def test_csrf_token_belongs_to_its_session(parts: Parts) -> None:
    """Made once, kept, compared; never listed."""
    context = parts.context()
    token = context.session.csrf_token()
    assert context.session.csrf_token() == token
    cookie = parts.finish(context)
    session = parts.context(cookie=cookie).session
    assert session.csrf_token() == token
    assert session.verify_csrf(token)
    for wrong in ("", None, 7, token[:-1], token + "x", "é"):
        assert not session.verify_csrf(wrong)
    assert session.to_map() == {}
    assert not parts.context().session.verify_csrf("")


@pytest.mark.parametrize("right", ["user", "userId", "role"])
def test_csrf_token_is_another_after_login(parts: Parts, right: str) -> None:
    """Whoever planted the session knows the old one; the handler that logs in gives the new one."""
    context = parts.context()
    planted = context.session.csrf_token()
    context.session.flin_set("basket", [1])
    cookie = parts.finish(context)
    login = parts.context(cookie=cookie)
    login.session.flin_set(right, "7")
    cookie = parts.finish(login)
    session = parts.context(cookie=cookie).session
    assert session.flin_get("basket") == [1]
    assert not session.verify_csrf(planted)

    form = parts.context(cookie=cookie)
    first = form.session.csrf_token()
    parts.finish(form)
    again = parts.context(cookie=cookie)
    assert again.session.csrf_token() == first
    again.session.flin_set(right, "8")
    given = again.session.csrf_token()
    assert given == again.session.csrf_token()
    assert given not in (first, planted)
    after = parts.context(cookie=parts.finish(again)).session
    assert after.verify_csrf(given)
    assert not after.verify_csrf(first)


def test_csrf_token_stays_with_other_writes(parts: Parts) -> None:
    """Forms that are open in another tab go on working."""
    context = parts.context()
    token = context.session.csrf_token()
    context.session.flin_set("role", "member")
    cookie = parts.finish(context)
    other = parts.context(cookie=cookie)
    other.session.flin_set("role", "member")
    other.session.flin_set("n", 1)
    parts.finish(other)
    assert parts.context(cookie=cookie).session.verify_csrf(token)


# --- secret ----------------------------------------


def test_secret_file_is_made_once_and_private(tmp_path: Path) -> None:
    """Mode 0600 in a 0700 folder, the same for the next start."""
    folder = tmp_path / ".flindb"
    first = load_secrets("", (), folder).keys("session")
    assert load_secrets("", (), folder).keys("session") == first
    assert (folder / "secret").stat().st_mode & 0o777 == 0o600
    assert folder.stat().st_mode & 0o777 == 0o700
    assert [p.name for p in folder.iterdir()] == ["secret"]


@pytest.mark.parametrize(
    "weak",
    ["short", "changeme" * 8, "your-secret-key" * 3, "a" * 64, RANDOM[: SECRET_BYTES_MIN - 1]],
)
def test_weak_secret_is_refused(tmp_path: Path, weak: str) -> None:
    """Short, sample and repeated values stop the program."""
    load_secrets(RANDOM[:SECRET_BYTES_MIN], (), tmp_path)
    for current, previous in ((weak, ()), (RANDOM, (weak,))):
        with pytest.raises(ConfigError):
            load_secrets(current, previous, tmp_path)


def test_damaged_secret_file_is_refused(tmp_path: Path) -> None:
    """An empty file would sign with nothing."""
    (tmp_path / "secret").write_text("")
    with pytest.raises(ConfigError):
        load_secrets("", (), tmp_path)


def test_keys_of_two_purposes_differ() -> None:
    """A token cannot be used as a session signature."""
    secrets = Secrets(b"k" * 32, (b"o" * 32,))
    assert len({*secrets.keys("session"), *secrets.keys("token")}) == 4
    assert "k" not in repr(secrets)[8:]


class Talker:
    """A connection, as far as the idle time of its session is concerned."""

    session_index = -1

    def __init__(self) -> None:
        self.silent_ms = -1


def test_messages_keep_a_session_from_being_idle(tmp_path: Path) -> None:
    """A message counts as use; a connection that says nothing does not; age ends it anyway."""
    parts = Parts(tmp_path, settings_with(idle_s=100.0, max_age_s=300.0))
    cookie = parts.log_in(parts.user())
    state = parts.context(cookie=cookie).session.state
    assert state is not None
    talker, silent = Talker(), Talker()
    parts.sessions.attach(state, talker)  # type: ignore[arg-type]
    parts.sessions.attach(state, silent)  # type: ignore[arg-type]
    for _ in range(2):
        parts.loop.now_ms += 100_000
        talker.silent_ms = 5_000
        parts.sessions.sweep()
        assert parts.dropped == []
        assert not state.is_ended
    assert parts.sessions.housekeeping()  # the use is to be stored
    parts.loop.now_ms += 94_999
    talker.silent_ms = 99_999
    parts.sessions.sweep()
    assert parts.dropped == []
    parts.loop.now_ms += 5_001
    talker.silent_ms = 0  # but now it is too old
    parts.sessions.sweep()
    assert [code for _, code, _ in parts.dropped] == [4401, 4401]
    parts.close()


def test_silent_connections_do_not_prolong_a_session(tmp_path: Path) -> None:
    """An open page that nobody uses does not stay logged in."""
    parts = Parts(tmp_path, settings_with(idle_s=100.0))
    state = parts.context(cookie=parts.log_in(parts.user())).session.state
    assert state is not None
    parts.sessions.attach(state, Talker())  # type: ignore[arg-type]
    parts.loop.now_ms += 100_000
    parts.sessions.sweep()
    assert [code for _, code, _ in parts.dropped] == [4401]
    parts.close()


@pytest.mark.parametrize("created_ms", [5, 7])
def test_a_row_of_the_table_is_read_as_it_was_written(created_ms: int) -> None:
    """Also one that holds the same as a plain map, which earlier versions wrote."""
    data = {"userId": "7", "at": Time(5), "user": EntityRef("User", 7), "$": [1 << 70]}
    packed = pack(data)
    raw = pack_row(packed, created_ms, 7)
    assert raw == pack({"data": data, "created": created_ms, "seen": 7})
    assert unpack_row(raw) == (packed, created_ms, 7)
    assert kept_values(packed) == data


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\x80",
        pack({"data": {}, "created": 1}),
        pack({"data": [1], "created": 1, "seen": 1}),
        msgspec.msgpack.encode({"data": {"a": {"$e": 1}}, "created": 1, "seen": 1}),
        pack({"data": {}, "created": "1", "seen": 1}),
        pack({"data": {}, "created": 1, "seen": 1})[:-1],
    ],
)
def test_a_row_that_is_no_session_is_a_value_error(raw: bytes) -> None:
    """When it is read, not when a handler looks at a member."""
    with pytest.raises(ValueError, match="expected a"):
        unpack_row(raw)


def packed_of(size: int, filler: str = "x") -> bytes:
    overhead = len(pack({"a": filler * 500})) - 500
    packed = pack({"a": filler * (size - overhead)})
    assert len(packed) == size
    return packed


@pytest.mark.parametrize("extra", [0, 1])
def test_values_are_kept_while_there_is_room(extra: int) -> None:
    """Few large ones, so that those that are kept take no more than some megabytes."""
    size = UNPACKED_BYTES_MAX + extra
    packed = packed_of(size)
    values = kept_values(packed)
    assert values == unpack(packed)
    assert kept_values(packed) is values
    for filler in "abcd"[:UNPACKED_LARGE_MAX]:
        kept_values(packed_of(size, filler))
    assert (kept_values(packed) is values) == (extra == 0)
    assert kept_values(packed) == values
