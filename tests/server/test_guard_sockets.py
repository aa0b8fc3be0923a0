"""Guards over sockets: nothing that is remembered of a request goes past one.

Random programs and requests in process are in tests/runtime/test_guard_property.py. Here requests
come in every form a socket allows: equal ones again and again (which are recognised without being
read), pipelined, upgrades, spelled differently; while what a guard decides by changes in between.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from tests.server.program import Program
from tests.server.running import Client

ROUNDS = 60  # changes of what the guard goes by, for each seed
EACH = 6  # requests between two of them
# Of one path: guards see it decoded once, so each spelling meets the same ones or is no path.
SPELLINGS = ("/shut", "/%73hut", "/shut/", "/shut?a=1", "http://test/shut")
NO_PATH = ("//shut", "/./shut", "/open/../shut", "/%2573hut", "/shut%2f", "/SHUT", "/shut;a")
METHODS = ("GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE")

FILES = {
    "guards/gate.flin": """
        guard_definition gate() { if !Gate.first.is_open { return error(403, "shut") } }
    """,
    "entities/gate.flin": "entity Gate { is_open: bool }",
    "app/gate.flin": """
        route PUT {
            gate = Gate.first ?? Gate { is_open: false }
            gate.is_open = body.is_open
            save gate
        }
    """,
    "app/open.flin": 'route GET { "open" }',
    "app/shut.flin": """
        guard gate

        route GET { log_error("RAN") "inside" }
        route POST { log_error("RAN") "inside" }
        route PUT { log_error("RAN") "inside" }
        route PATCH { log_error("RAN") "inside" }
        route DELETE { log_error("RAN") "inside" }
        ws { on connect { log_error("RAN") ws_send(ws.connection_id, "inside") } }
    """,
}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    with Program(tmp_path_factory.mktemp("guards"), FILES, log_access="off") as program:
        yield program


def head(method: str, target: str) -> bytes:
    return f"{method} {target} HTTP/1.1\r\nHost: test\r\n\r\n".encode()


def runs(site: Program) -> int:
    """How often a handler behind the guard ran."""
    return site.log_text().count("RAN")


def set_gate(site: Program, *, is_open: bool) -> None:
    assert site.client().request("PUT", "/gate", {"is_open": is_open}).status in (200, 204)


def ask(site: Program, client: Client, rng: random.Random, *, is_open: bool) -> None:
    """Some requests to the guarded file, each answered as the gate stands."""
    expected = 200 if is_open else 403
    kind = rng.choice(("equal", "pipelined", "method", "spelling", "no path", "upgrade"))
    if kind == "upgrade":
        answer, socket = site.client().upgrade("/shut")
        with socket:
            assert answer.status == (101 if is_open else 403)
            assert not is_open or socket.receive() == "inside"
    elif kind == "pipelined":
        client.send(head("GET", "/shut") * EACH)
        assert [client.read_response().status for _ in range(EACH)] == [expected] * EACH
    elif kind == "method":
        method = rng.choice(METHODS)
        client.send(head(method, "/shut"))
        status = client.read_response(head_only=method == "HEAD").status
        # Which methods there are is no secret, and browsers ask before they send what guards need.
        assert status == (204 if method == "OPTIONS" else expected), method
    elif kind == "no path":
        target = rng.choice(NO_PATH)
        with site.connect() as other:  # some of them end their connection
            other.send(head("GET", target))
            assert other.read_response().status in (400, 404), target
    else:
        target = "/shut" if kind == "equal" else rng.choice(SPELLINGS)
        for _ in range(EACH):
            client.send(head("GET", target))
            assert client.read_response().status == expected, target


@pytest.mark.parametrize("seed", range(4))
def test_what_is_remembered_never_passes_a_guard(site: Program, seed: int) -> None:
    """Whatever was let in before: as soon as the gate is shut, nothing behind it runs."""
    rng = random.Random(seed)
    ran = 0
    with site.connect() as client:
        for _ in range(ROUNDS):
            is_open = rng.random() < 0.5
            set_gate(site, is_open=is_open)
            before = runs(site)
            ask(site, client, rng, is_open=is_open)
            ran += runs(site) - before
            assert is_open or runs(site) == before
    assert ran > 0
