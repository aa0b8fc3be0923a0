"""Programs whose entities are in PostgreSQL: the same language, transactions and effects."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from flinfast.errors import ConfigError, StoreError
from flinfast.settings import Settings, StoreSettings
from flinfast.testing import TestClient
from tests.store.postgres_server import run_sql

BATCHES, BATCHES_MAX = 12, 1000  # of requests at once while connections are ended
PROGRAM = {
    "entities/counter.flin": "entity Counter { name: text @unique  n: int = 0 }\n"
    "entity User { name: text @required  role: text? }\n",
    "app/count/[name].flin": """
route GET {
    c = Counter.where(name == params.name).first
    { n: c.n, versions: c.history.len }
}
route POST {
    c = Counter.where(name == params.name).first
    c.n = c.n + 1
    save c
    { n: c.n }
}
""",
    "app/make.flin": """
route POST {
    save Counter { name: body.name }
    save Counter { name: body.twin }
    "made"
}
""",
    "app/room.flin": """
ws {
    on connect { ws_join("room") }
    on message(data) {
        broadcast("room", { before: data.name })
        save Counter { name: data.name }
        broadcast("room", { after: Counter.all.count })
    }
}
""",
    "app/login.flin": """
route POST {
    user = User { name: body.name }
    save user
    session.user = user
    { id: user.id }
}
route GET { { name: session.user.name } }
""",
}

Open = Callable[..., TestClient]


@pytest.fixture
def program(tmp_path: Path, postgres_url: str) -> Iterator[Open]:
    """Opens the program above on an empty database."""
    clients: list[TestClient] = []
    for name, text in PROGRAM.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def open_program(**store: Any) -> TestClient:
        chosen = replace(StoreSettings(database=postgres_url), **store)
        client = TestClient(tmp_path, settings=Settings(mode="test", store=chosen))
        clients.append(client)
        return client

    yield open_program
    for client in clients:
        client.close()


def test_a_request_reads_and_writes(program: Open) -> None:
    """Queries, saves, history and unique values, through handlers."""
    client = program()
    assert client.post("/make", json={"name": "a", "twin": "b"}).status == 200
    assert client.post("/count/a").json() == {"n": 1}
    assert client.post("/count/a").json() == {"n": 2}
    assert client.get("/count/a").json() == {"n": 2, "versions": 3}


def test_a_failing_handler_leaves_nothing(program: Open) -> None:
    """The second record is refused, so the first one is not there either."""
    client = program()
    answer = client.post("/make", json={"name": "x", "twin": "x"})
    assert answer.status == 409
    assert answer.json()["fields"] == {"name": "is already taken"}
    assert client.get("/count/x").status == 500  # none has no `n`: nothing was saved


def test_effects_leave_together_or_not_at_all(program: Open) -> None:
    """What is sent before and after a statement leaves in order, after COMMIT, or never."""
    client = program()
    with client.websocket("/room") as one, client.another().websocket("/room") as two:
        one.send_json({"name": "a"})
        for socket in (one, two):
            assert socket.receive_json() == {"before": "a"}
            assert socket.receive_json() == {"after": 1}
        one.send_json({"name": "a"})  # taken: nothing of this leaves
        one.send_json({"name": "b"})
        for socket in (one, two):
            assert socket.receive_json() == {"before": "b"}
            assert socket.receive_json() == {"after": 2}


def test_sessions_are_shared_by_programs(program: Open) -> None:
    """A login here is known there, because both keep sessions in the database."""
    here, there = program(), program()
    assert here.post("/login", json={"name": "Ann"}).status == 200
    assert here.get("/login").json() == {"name": "Ann"}
    there.cookies = here.cookies
    assert there.get("/login").json() == {"name": "Ann"}


def test_lost_connections_are_replaced(program: Open, postgres_url: str) -> None:
    """The server closed what the pool holds: the next request takes a new connection."""
    client = program()
    client.post("/make", json={"name": "a", "twin": "b"})
    run_sql(
        postgres_url,
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE application_name = 'flinfast'",
    )
    assert client.post("/count/a").json() == {"n": 1}


def test_settings_that_name_no_database(program: Open) -> None:
    """Errors say what is wrong and show no password."""
    with pytest.raises(ConfigError, match="expected a URL"):
        program(database="mysql://x")
    with pytest.raises(StoreError, match=r"the database 127.0.0.1/x cannot be reached") as caught:
        program(database="postgres://me:hush@127.0.0.1:1/x")
    assert "hush" not in str(caught.value)


def at_once(client: TestClient, count: int) -> list[int]:
    """Statuses of as many increments, all begun before any is answered."""
    answers: list[Any] = []
    for _ in range(count):
        request = client._make("POST", "/count/a", {}, b"", "127.0.0.1")
        match = client.app.match(request.path)
        assert match is not None
        client.app.handle(match, request, answers.append)
    client._program.run_until(lambda: len(answers) == count, 60.0, "the increments")
    return [answer.status for answer in answers]


def test_handlers_that_meet_a_conflict_run_again(program: Open) -> None:
    """Increments of one record at once: each that was acknowledged is there, most are."""
    client = program()
    client.post("/make", json={"name": "a", "twin": "b"})
    statuses = at_once(client, 12)
    assert set(statuses) <= {200, 409}
    done = statuses.count(200)
    assert done >= 6
    assert client.get("/count/a").json() == {"n": done, "versions": done + 1}


def test_more_handlers_than_connections(program: Open) -> None:
    """They wait for a connection; none is lost and all connections come back."""
    client = program(connections=2)
    client.post("/make", json={"name": "a", "twin": "b"})
    statuses = at_once(client, 20)
    assert set(statuses) <= {200, 409}
    assert client.get("/count/a").json()["n"] == statuses.count(200)
    pool = client.app.services.store.database._pool
    assert pool.get_idle_size() == pool.get_size()


def test_a_statement_beyond_the_handler_time_is_given_up(program: Open, postgres_url: str) -> None:
    """A lock that somebody else holds: 503 in time, and the program goes on."""
    import asyncio

    import asyncpg

    client = program()
    client.post("/make", json={"name": "a", "twin": "b"})
    pool = client.app._pool
    patient_s, pool._timeout_s = pool._timeout_s, 0.5
    with asyncio.Runner() as runner:
        other = runner.run(asyncpg.connect(postgres_url))
        runner.run(other.execute("BEGIN"))
        runner.run(other.execute('LOCK TABLE "Counter" IN ACCESS EXCLUSIVE MODE'))
        assert client.post("/count/a").status == 503
        runner.run(other.execute("ROLLBACK"))
        runner.run(other.close())
    pool._timeout_s = patient_s
    assert client.post("/count/a").json() == {"n": 1}


def test_connections_that_end_in_the_middle(program: Open, postgres_url: str) -> None:
    """Backends are ended at random moments: what was acknowledged is there, errors are 503."""
    client = program()
    client.post("/make", json={"name": "a", "twin": "b"})
    stop = threading.Event()
    ending = (
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE application_name = 'flinfast' AND random() < 0.5"
    )

    def end_some() -> None:
        while not stop.is_set():
            run_sql(postgres_url, ending)

    enemy = threading.Thread(target=end_some)
    enemy.start()
    statuses: list[int] = []
    try:
        while len(statuses) < BATCHES * 4 or (
            503 not in statuses and len(statuses) < BATCHES_MAX * 4
        ):
            statuses += at_once(client, 4)
    finally:
        stop.set()
        enemy.join()
    assert set(statuses) <= {200, 409, 503}
    acknowledged, unknown = statuses.count(200), statuses.count(503)
    n = client.get("/count/a").json()["n"]
    assert acknowledged <= n <= acknowledged + unknown
    assert unknown, "no connection was ended: the test proves nothing"
    assert client.post("/count/a").json() == {"n": n + 1}
