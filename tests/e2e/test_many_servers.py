"""Clients of 1, 2 and 4 servers that edit one document at once: no update is lost.

Two ways of read, modify, save. A handler does all three: one that met a conflict is run again
before anybody hears of it. Or the client reads, and says with its edit which version it read: then
the handler answers 409 when there is a newer one, and the client reads again.
"""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import Server
from tests.store.postgres_server import emptied, running_server

pytestmark = pytest.mark.timeout(600)  # up to four starts before each test

# Several on one file, and two on PostgreSQL, where handlers run beside each other.
PLACES = [("sqlite", 1), ("sqlite", 2), ("sqlite", 4), ("postgres", 2)]
CLIENTS = 8  # in all
EDITS = 20  # of each
RUNS_MAX = 6  # a handler that met a conflict is run again up to 5 times
CONFLICT = {"error": "Conflict", "status": 409}
ANSWER_S = 100.0
FILES = {
    "entities/document.flin": "entity Document { name: text @unique  edits: int = 0  text: text }",
    "app/document.flin": """
route GET {
    d = Document.where(name == "one").first
    { edits: d.edits, text: d.text, version: d.version, history: d.history.len }
}
route POST {
    save Document { name: "one", text: "" }
    "made"
}
""",
    "app/edit.flin": """
route POST {
    log_info("run {body.mark}")
    d = Document.where(name == "one").first
    d.edits = d.edits + 1
    d.text = d.text + body.mark + " "
    save d
    { version: d.version, edits: d.edits }
}
""",
    "app/replace.flin": """
route POST {
    d = Document.where(name == "one").first
    if d.version != body.version { return error(409, "there is a newer version") }
    d.edits = d.edits + 1
    d.text = body.text
    save d
    { version: d.version, edits: d.edits }
}
""",
}


class Editor(threading.Thread):
    """Edits over one connection, one edit after the other.

    Attributes:
        saved: Marks of the edits that were acknowledged, and the versions they made.
        conflicts: Bodies of 409 answers, with the marks of their edits.
        others: Any other answer: there must be none.
    """

    def __init__(self, server: Server, label: str, edit: Callable[[Editor, str], None]) -> None:
        super().__init__(daemon=True)
        self.saved: dict[str, int] = {}
        self.conflicts: list[tuple[str, dict[str, Any]]] = []
        self.others: list[object] = []
        self._server = server
        self._label = label
        self._edit = edit

    def run(self) -> None:
        self._connection = HTTPConnection("127.0.0.1", self._server.port, timeout=ANSWER_S)
        try:
            for number in range(EDITS):
                self._edit(self, f"{self._label}-{number}")
        except Exception as error:  # noqa: BLE001 - the test looks at it
            self.others.append(error)
        finally:
            self._connection.close()

    def ask(self, method: str, path: str, value: Any = None) -> tuple[int, Any]:
        """Status and decoded body."""
        self._connection.request(
            method, path, json.dumps(value), {"Content-Type": "application/json"}
        )
        answer = self._connection.getresponse()
        return answer.status, json.loads(answer.read())

    def post(self, path: str, mark: str, value: dict[str, Any]) -> bool:
        """Send an edit; whether it was acknowledged."""
        status, body = self.ask("POST", path, value)
        if status == 200:
            self.saved[mark] = body["version"]
        elif status == 409:
            self.conflicts.append((mark, body))
        else:
            self.others.append((status, body))
        return status == 200


def let_the_handler_edit(editor: Editor, mark: str) -> None:
    editor.post("/edit", mark, {"mark": mark})


def replace_what_was_read(editor: Editor, mark: str) -> None:
    """Until it succeeds; the others may be quicker each time."""
    while not editor.others:
        _, seen = editor.ask("GET", "/document")
        value = {"version": seen["version"], "text": f"{seen['text']}{mark} "}
        if editor.post("/replace", mark, value):
            return


@pytest.fixture(scope="module")
def postgres() -> Iterator[str]:
    """URL of a PostgreSQL server of the tests' own."""
    with running_server() as url:
        yield url


@pytest.fixture
def servers(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[list[Server]]:
    """Servers of one program on one database, in which there is the document."""
    engine, count = request.param
    environment = {"FLIN_LOG_ACCESS": "off"}
    if engine == "postgres":
        environment["FLIN_STORE_DATABASE"] = emptied(request.getfixturevalue("postgres"))
    for name, text in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    servers = [Server(tmp_path, environment, ()) for _ in range(count)]
    try:
        for server in servers:
            server.start()
        assert servers[0].client().post("/document", {}) == (200, "made")
        yield servers
        for server in servers:
            assert server.stop() == 0, server.output
    finally:
        for server in servers:
            server.kill()


def edited(servers: list[Server], edit: Callable[[Editor, str], None]) -> list[Editor]:
    """Let everybody edit, and look whether each edit that was acknowledged is there, once."""
    editors = [Editor(servers[n % len(servers)], f"e{n}", edit) for n in range(CLIENTS)]
    for editor in editors:
        editor.start()
    for editor in editors:
        editor.join(ANSWER_S)
        assert not editor.is_alive()
        assert editor.others == [], "".join(server.output for server in servers)
    saved = {mark: version for editor in editors for mark, version in editor.saved.items()}
    # Making it was version 1; each edit made the next one, whoever's it was.
    assert sorted(saved.values()) == list(range(2, len(saved) + 2))
    for server in servers:
        status, document = server.client().get("/document")
        assert status == 200, document
        assert document["edits"] == len(saved)
        assert document["version"] == document["history"] == len(saved) + 1
        assert document["text"].split() == sorted(saved, key=saved.__getitem__)
    return editors


@pytest.mark.slow
@pytest.mark.parametrize(
    "servers", PLACES, indirect=True, ids=lambda place: f"{place[0]}-{place[1]}"
)
def test_a_handler_that_edits_loses_nothing_and_is_repeated_in_silence(
    servers: list[Server],
) -> None:
    """On one file nobody meets a conflict; on PostgreSQL 409 says so, after six runs."""
    editors = edited(servers, let_the_handler_edit)
    for server in servers:
        assert server.stop() == 0  # its log is whole
    runs = Counter(
        json.loads(line)["text"].removeprefix("run ")
        for server in servers
        for line in server.output.splitlines()
        if '"text":"run ' in line
    )
    conflicts = [conflict for editor in editors for conflict in editor.conflicts]
    saved = {mark for editor in editors for mark in editor.saved}
    assert len(saved) + len(conflicts) == CLIENTS * EDITS == len(runs)
    if "FLIN_STORE_DATABASE" not in servers[0].environment:
        assert conflicts == []
        assert set(runs.values()) == {1}
        return
    assert max(runs.values()) > 1, "no handler met another: the test proves nothing"
    assert max(runs[mark] for mark in saved) <= RUNS_MAX
    assert {runs[mark] for mark, _ in conflicts} <= {RUNS_MAX}
    assert all(body == CONFLICT for _, body in conflicts)


@pytest.mark.slow
@pytest.mark.parametrize(
    "servers", PLACES, indirect=True, ids=lambda place: f"{place[0]}-{place[1]}"
)
def test_clients_that_edit_what_they_read_lose_nothing(servers: list[Server]) -> None:
    """Whoever read an older version gets the program's own 409 and succeeds in the end."""
    editors = edited(servers, replace_what_was_read)
    assert sum(len(editor.saved) for editor in editors) == CLIENTS * EDITS
    conflicts = [body for editor in editors for _, body in editor.conflicts]
    assert conflicts, "nobody read an older version: the test proves nothing"
    assert {body["status"] for body in conflicts} == {409}
    own = [body for body in conflicts if body["error"] == "there is a newer version"]
    assert own
    others = [body for body in conflicts if body not in own]
    is_shared = "FLIN_STORE_DATABASE" in servers[0].environment
    assert others == [CONFLICT] * len(others) if is_shared else others == []
