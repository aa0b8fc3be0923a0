"""Runs of handlers: repeated on conflicts, never answered twice, nothing escapes."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flinfast.errors import ConflictFault, StoreError
from flinfast.runtime.handler import RETRIES_MAX
from flinfast.testing import TestClient, UpgradeRefused
from tests.runtime.harness import make_request
from tests.runtime.programs import LOGIN, app_of, client_of, logged

SAVER = {
    "entities/n.flin": "entity N { x: int = 0 }",
    "app/n.flin": """
        route POST { save N { } N.count }
        route GET { N.count }
        route PUT { sleep(1) save N { } 1 }
        ws { on message(data) { save N { } ws_send(ws.connection_id, N.count) } }
    """,
}


@pytest.fixture
def client(tmp_path: Path) -> Iterator[TestClient]:
    with client_of(tmp_path, SAVER) as client:
        yield client


def conflict(client: TestClient, monkeypatch: pytest.MonkeyPatch, times: int) -> list[int]:
    """Let the first `times` saves meet a conflict, after the row was written."""
    entity = client.app.services.store.handle("N")
    entity._queue.can_wait = False  # each row is inserted at once, by the method that is replaced
    real, runs = type(entity)._insert, [0]

    def insert(self: Any, record: Any, tail: Any) -> Any:
        runs[0] += 1
        result = real(self, record, tail)
        if runs[0] <= times:
            raise ConflictFault("changed by someone else")
        return result

    monkeypatch.setattr(type(entity), "_insert", insert)
    return runs


def test_conflict_repeats_the_handler(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """Up to RETRIES_MAX times; what the failed runs wrote is gone."""
    runs = conflict(client, monkeypatch, RETRIES_MAX)
    assert client.post("/n").json() == 1
    assert runs == [RETRIES_MAX + 1]


def test_conflict_that_stays_answers_409(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the last repetition; nothing was written."""
    runs = conflict(client, monkeypatch, RETRIES_MAX + 1)
    assert client.post("/n").json() == {"error": "Conflict", "status": 409}
    assert runs == [RETRIES_MAX + 1]
    assert client.get("/n").json() == 0


def test_conflict_after_a_wait_is_not_repeated(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The part before the wait has happened."""
    runs = conflict(client, monkeypatch, 1)
    assert client.put("/n").status == 409
    assert runs == [1]


def test_conflict_in_a_message_is_repeated_and_then_logged(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connection stays open; nothing is sent by failed runs."""
    conflict(client, monkeypatch, 2)
    with client.websocket("/n") as socket:
        socket.send_text("x")
        assert socket.receive_json() == 1
        monkeypatch.undo()
        conflict(client, monkeypatch, RETRIES_MAX + 1)
        socket.send_text("x")
        socket.send_text("x")
        assert socket.receive_json() == 2
    assert len(logged(client, "error")) == 1


def test_store_that_cannot_begin_answers_503(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A locked database is not a fault of the program; the log says what it is."""

    def begin(*, writes: bool) -> None:
        raise StoreError("locked by another")

    monkeypatch.setattr(client.app.services.store, "begin", begin)
    assert client.post("/n").status == 503
    assert "POST /n failed: locked by another" in str(logged(client, "error"))
    assert not client.app.hub.in_handler


def test_answer_that_cannot_be_handed_over_harms_nobody(client: TestClient) -> None:
    """What the server's callback raises is logged and does not answer again."""
    calls: list[Any] = []

    def respond(response: Any) -> None:
        calls.append(response)
        raise ConnectionResetError("gone")

    match = client.app.match("/n")
    assert match is not None
    for method in ("GET", "POST"):
        client.app.handle(match, make_request(method, "/n"), respond)
    client.wait_until(lambda: len(calls) == 2)
    assert client.get("/n").json() == 1
    assert len(calls) == 2
    assert logged(client, "error") == ["an answer could not be handed over"] * 2


def test_slow_handler_is_named(tmp_path: Path) -> None:
    """A handler that holds the loop for more than 50 ms is worth a warning."""
    code = "route GET { n = 0 while n < 3000000 { n = n + 1 } n }"
    with client_of(tmp_path, {"app/index.flin": code}) as client:
        client.get("/")
        assert "held the loop" in logged(client, "warn")[0]


def test_requests_never_leave_a_log_open(tmp_path: Path) -> None:
    """Whatever a handler does, the next one can begin."""
    code = """
        fn deep(n) { deep(n + 1) + 1 }
        route GET {
            if query.how == "fault" { none.x }
            if query.how == "deep" { deep(0) }
            if query.how == "json" { return { f: deep } }
            if query.how == "session" { session.f = deep }
            if query.how == "csrf" { csrf_token() }
            if query.how == "write" { session.n = 1 }
            1
        }
    """
    app, loop = app_of(tmp_path, {"app/index.flin": code})
    match = app.match("/")
    assert match is not None
    for how in ("fault", "deep", "json", "session", "csrf", "write", ""):
        answers: list[Any] = []
        app.handle(match, make_request("GET", f"/?how={how}"), answers.append)
        loop.run_threads()
        assert len(answers) == 1
        assert not app.hub.in_handler
        assert app.services.store.pending is False
    app.close()


# --- guards come first ----------------------------------------

GUARDED = [
    "auth",
    'role("admin")',
    "owner(query.id)",
    "api_key",
    "never()",
    "broken(query.a.b)",
    "owner(query.a.b)",
]
OPEN = ['method("GET", "POST", "PUT")', "rate_limit(1000000, 1)", "always()"]
DEFINITIONS = """
guard_definition never() { error(418, "no") }
guard_definition always() { x = 1 }
guard_definition broken(x) { none.y }
"""


@settings(
    max_examples=60,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    st.lists(st.sampled_from(OPEN), max_size=2),
    st.sampled_from(GUARDED),
    st.lists(st.sampled_from(GUARDED + OPEN), max_size=2),
    st.booleans(),
    st.booleans(),
)
def test_no_handler_statement_runs_when_a_guard_denies(
    tmp_path_factory: pytest.TempPathFactory,
    before: list[str],
    deny: str,
    after: list[str],
    in_block: bool,
    with_middleware: bool,
) -> None:
    """For random lists of guards, in the file or the block, requests and upgrades alike."""
    lines = "\n".join(f"guard {text}" for text in (*before, deny, *after))
    file, block = ("", lines) if in_block else (lines, "")
    files = {
        **LOGIN,
        "guards/all.flin": DEFINITIONS,
        "app/a.flin": f"""{file}
            route GET {{ {block}
                log_info("ran") save User {{ name: "x" }} session.n = 1 "in" }}
            route POST {{ {block}
                validate {{ name: text @required }} log_info("ran") "in" }}
            ws {{ {block}
                on connect {{ log_info("ran") }} on close {{ log_info("ran") }} }}
        """,
    }
    if with_middleware:
        files["app/_middleware.flin"] = "middleware { next() }"
    with client_of(tmp_path_factory.mktemp("guarded"), files) as client:
        for method in ("GET", "HEAD", "POST"):
            response = client.request(method, "/a")
            assert response.status in (401, 403, 418)
            assert client.cookies == {}
        with pytest.raises(UpgradeRefused) as caught:
            client.websocket("/a")
        assert caught.value.response.status in (401, 403, 418)
        assert logged(client, "info") == []
        assert client.app.services.store.handle("User").flin_get("count") == 0
