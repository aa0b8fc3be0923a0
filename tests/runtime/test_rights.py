"""Whose rights changed, when, and which connections close because of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from flinfast.errors import StoreError
from flinfast.runtime import rights
from flinfast.runtime.app import App
from flinfast.runtime.context import WsContext
from flinfast.runtime.rights import RightsWatch
from flinfast.testing import TestClient
from tests.runtime.harness import Parts


@pytest.fixture
def parts(tmp_path: Path) -> Iterator[Parts]:
    made = Parts(tmp_path)
    yield made
    made.close()


@pytest.fixture
def watch(parts: Parts) -> RightsWatch:
    """Of a store that tells of its changes."""
    made = RightsWatch()
    made.entities.add("User")
    parts.store.on_change = made.note
    return made


def promote(parts: Parts, user: Any, role: str) -> None:
    user.flin_set("role", role)
    with parts.store.transaction():
        parts.store.save(user)


def test_a_new_role_counts(parts: Parts, watch: RightsWatch) -> None:
    """Each of them, also one that goes back; what is no role does not."""
    user, other = parts.user(), parts.user("Bob")
    assert watch.count == watch.last("User", user.id) == 0
    promote(parts, user, "guest")
    promote(parts, user, "admin")
    assert watch.count == watch.last("User", user.id) == 2
    promote(parts, user, "admin")
    user.flin_set("name", "Eve")
    promote(parts, user, "admin")
    assert watch.count == 2
    promote(parts, other, "admin")
    promote(parts, user, "guest")
    assert (watch.last("User", other.id), watch.last("User", user.id)) == (3, 4)


def test_a_change_counts_when_it_is_committed(parts: Parts, watch: RightsWatch) -> None:
    """Not when it is written, and never if its handler fails, whatever else the turn commits."""
    user, other = parts.user(), parts.user("Bob")
    parts.store.begin(writes=True)
    user.flin_set("role", "guest")
    parts.store.save(user)
    assert watch.count == 0
    parts.store.rollback()
    parts.store.begin(writes=True)
    other.flin_set("role", "guest")
    parts.store.save(other)
    parts.store.commit()
    assert watch.count == 0
    parts.store.begin(writes=True)
    parts.store.delete(user)
    parts.store.rollback()
    parts.store.flush()
    assert (watch.count, watch.last("User", other.id), watch.last("User", user.id)) == (1, 1, 0)


def test_a_turn_that_is_lost_changes_nothing(
    parts: Parts, watch: RightsWatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """COMMIT fails; what is committed in the next turn counts alone."""
    user, other = parts.user(), parts.user("Bob")
    database = parts.store.database
    execute = database.execute

    def refuse(sql: str, *args: Any) -> Any:
        if sql == "COMMIT":
            raise StoreError("the disk is full")
        return execute(sql, *args)

    with monkeypatch.context() as patch:
        patch.setattr(type(database), "execute", lambda _, sql, *args: refuse(sql, *args))
        with pytest.raises(StoreError, match="full"):
            promote(parts, user, "guest")
    assert watch.count == 0
    promote(parts, other, "guest")
    assert (watch.count, watch.last("User", user.id)) == (1, 0)


def test_a_statement_of_no_handler_counts_with_its_turn(parts: Parts, watch: RightsWatch) -> None:
    """The console runs such."""
    user = parts.user()
    user.flin_set("role", "guest")
    parts.store.save(user)
    assert watch.count == 0
    parts.store.flush()
    assert watch.count == 1


@pytest.mark.parametrize("way", ["delete", "destroy"])
def test_a_user_who_is_gone_counts(parts: Parts, watch: RightsWatch, way: str) -> None:
    """Deleted or destroyed."""
    user = parts.user()
    with parts.store.transaction():
        getattr(parts.store, way)(user)
    assert watch.last("User", user.id) == 1


def test_what_is_remembered_is_bounded(
    parts: Parts, watch: RightsWatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of users whose change is older than that, the newest of their changes is taken for theirs."""
    monkeypatch.setattr(rights, "CHANGED_MAX", 3)
    users = [parts.user(f"User{number}") for number in range(5)]
    for user in users[:3]:
        promote(parts, user, "guest")
    assert [watch.last("User", user.id) for user in users] == [1, 2, 3, 0, 0]
    promote(parts, users[0], "admin")
    promote(parts, users[3], "guest")
    assert [watch.last("User", user.id) for user in users] == [4, 2, 3, 5, 2]
    promote(parts, users[4], "guest")
    assert [watch.last("User", user.id) for user in users] == [4, 3, 3, 5, 6]
    assert watch.last("Other", 1) == 0


def test_other_entities_are_not_looked_at(parts: Parts) -> None:
    """No session has a user of theirs."""
    made = RightsWatch()
    parts.store.on_change = made.note
    promote(parts, parts.user(), "guest")
    assert made.count == 0


# --- connections ----------------------------------------


@pytest.fixture
def told(parts: Parts) -> Parts:
    """Its sessions are told of what the store changes."""
    parts.store.on_change = parts.sessions.record_changed
    return parts


def connect(parts: Parts, cookie: str) -> WsContext:
    """A connection whose guards have just begun; it opens later, or not."""
    session = parts.context(cookie=cookie).session
    connection = parts.connection(session.state)
    connection.rights = session.rights
    return connection


def opened(parts: Parts, connection: WsContext) -> bool:
    """What the program does when a connection opens."""
    state = connection.session_state
    assert state is not None
    if parts.sessions.is_over(state, connection.rights):
        return False
    parts.sessions.attach(state, connection)
    return True


def dropped(parts: Parts) -> list[Any]:
    """The connections that a sweep closes."""
    parts.dropped.clear()
    parts.sessions.sweep()
    assert all(code == 4401 for _, code, _ in parts.dropped)
    return [connection for connection, _, _ in parts.dropped]


def test_a_sweep_closes_what_was_let_in_before_a_change(told: Parts) -> None:
    """And not what was let in after it, until the next change; nobody else's, and each once."""
    user = told.user()
    cookie, other = told.log_in(user), told.log_in(told.user("Bob"))
    before, others = connect(told, cookie), connect(told, other)
    assert opened(told, before)
    assert opened(told, others)
    promote(told, user, "guest")
    after = connect(told, cookie)
    assert opened(told, after)
    assert dropped(told) == [before]
    told.sessions.detach(told.context(cookie=cookie).session.state, before)
    assert dropped(told) == []
    promote(told, user, "admin")
    assert dropped(told) == [after]


def test_a_connection_whose_guards_took_long_does_not_open(told: Parts) -> None:
    """However many sweeps have been since the change, and however the session came to be known."""
    user = told.user()
    cookie, other = told.log_in(user), told.log_in(told.user("Bob"))
    late, others = connect(told, cookie), connect(told, other)
    promote(told, user, "guest")
    for _ in range(100):
        assert dropped(told) == []
    assert not opened(told, late)
    assert opened(told, others)
    assert opened(told, connect(told, cookie))


def test_a_change_that_is_undone_costs_sweeps_nothing(
    told: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No record is looked for, whatever a handler has written."""
    user = told.user()
    connection = connect(told, told.log_in(user))
    assert opened(told, connection)
    told.store.begin(writes=True)
    user.flin_set("role", "guest")
    told.store.save(user)
    told.store.rollback()
    monkeypatch.setattr(told.sessions, "load_record", None)  # fails when it is called
    monkeypatch.setattr(told.sessions, "_last_change", None)
    assert dropped(told) == []


GUARDED = """
shared is_over = false
guard_definition slow() { while !is_over { sleep(1) } }

ws {
    guard auth
    guard slow
    on connect { log_info("connected") }
}
"""
ACCOUNTS = """
route POST { session.user = User.first ?? save User { name: "Ada", role: "member" }; 1 }

route PUT { user = User.first; user.role = body.role; save user; 1 }
"""


def test_a_guard_that_waits_while_the_role_changes_lets_nobody_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The socket closes before `on connect`; the next one meets the guards with the new role."""
    files = {
        "entities/user.flin": "entity User { name: text  role: text }\n",
        "app/account.flin": ACCOUNTS,
        "app/chat.flin": GUARDED + "\nroute PUT { is_over = true; 1 }\n",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    with TestClient(tmp_path) as client:
        client.post("/account")
        admin = client.another()
        upgrade = App.upgrade

        def begin(app: App, *args: Any) -> None:
            upgrade(app, *args)
            assert admin.put("/account", json={"role": "admin"}).status == 200
            app.services.sessions.sweep()  # it is not among the connections yet
            assert admin.put("/chat").status == 200

        with monkeypatch.context() as patch:
            patch.setattr(App, "upgrade", begin)
            socket = client.websocket("/chat")
        with socket:
            assert socket.receive_close().code == 4401
        assert client.log == []
        with client.websocket("/chat"):
            client.wait_until(lambda: bool(client.log))
        assert [line.text for line in client.log] == ["connected"]
