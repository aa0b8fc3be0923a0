"""A server that is killed in the middle of a handler leaves a hidden file; the next one removes it.

But never that of a server that runs: each of two is in the middle of a handler when one is killed.
"""

from __future__ import annotations

import http.client
import json
import signal
import threading
from collections.abc import Callable
from pathlib import Path

from tests.e2e.conftest import RECEIVE_S, Client, Server, wait_until

MakeServer = Callable[..., Server]
FILES = {
    "entities/kept.flin": "entity Kept { path: text }",
    "app/kept.flin": """
route GET { Kept.all.map(k => k.path) }
route POST {
    path = save_binary(body.text.encode_utf8(), "uploads/" ++ body.folder)
    save Kept { path: path }
    path
}
route PUT {
    path = save_binary(body.text.encode_utf8(), "uploads/" ++ body.folder)
    while !file_exists("gates/" ++ body.folder) { }
    path
}
""",
}
QUIET = ("--no-access-log",)


class Begun:
    """A request that saves a file in a folder of its own and ends when its gate is there."""

    def __init__(self, server: Server, folder: str) -> None:
        self.folder = server.root / "uploads" / folder
        self._gate = server.root / "gates" / folder
        self.answer: tuple[int, object] | None = None
        value = {"text": "half", "folder": folder}
        self._thread = threading.Thread(target=self._post, args=(server.client(), value))
        self._thread.start()
        wait_until(lambda: self.names, what=f"a file in {self.folder}")

    def _post(self, client: Client, value: dict[str, str]) -> None:
        try:
            headers = {"Content-Type": "application/json"}
            self.answer = client.request("PUT", "/kept", json.dumps(value).encode(), headers)
        except (OSError, http.client.HTTPException, json.JSONDecodeError):
            self.answer = (0, None)  # the server is gone

    @property
    def names(self) -> list[str]:
        return sorted(p.name for p in self.folder.iterdir()) if self.folder.exists() else []

    def finish(self) -> tuple[int, object]:
        """Let the handler end; its answer."""
        self._gate.parent.mkdir(exist_ok=True)
        self._gate.touch()
        return self.join()

    def join(self) -> tuple[int, object]:
        self._thread.join(2 * RECEIVE_S)
        assert self.answer is not None
        return self.answer


def lists(root: Path) -> int:
    folder = root / ".flindb" / ".unfinished"
    return len(list(folder.iterdir())) if folder.exists() else 0


def test_the_next_start_removes_what_a_killed_server_left(make_server: MakeServer) -> None:
    """It says how many; what was acknowledged stays."""
    server = make_server(files=FILES, arguments=QUIET)
    status, path = server.client().post("/kept", {"text": "whole", "folder": "whole"})
    assert status == 200
    begun = Begun(server, "half")
    assert [name[-5:] for name in begun.names] == [".part"]
    server.stop(signal.SIGKILL)
    assert begun.join() == (0, None)
    assert len(begun.names) == 1
    server.start()
    assert begun.names == []
    said = '"removed unfinished files of a process that was killed","fields":{"count":1}'
    wait_until(lambda: said in server.output)
    assert (server.root / str(path)).read_text() == "whole"
    assert server.client().get("/kept") == (200, [path])
    assert server.stop() == 0
    assert lists(server.root) == 0
    server.start()
    assert server.stop() == 0
    assert server.output.count("unfinished") == 1


def test_the_files_of_a_server_that_runs_are_never_removed(make_server: MakeServer) -> None:
    """One is killed and starts again while the other is in the middle of its handler."""
    patience = {"FLIN_SERVER_HANDLER_TIMEOUT": "1h"}  # a start takes long on a busy machine
    killed = make_server(files=FILES, arguments=QUIET)
    other = Server(killed.root, patience, QUIET).start()
    try:
        lost = Begun(killed, "lost")
        alive = Begun(other, "alive")
        names = alive.names
        killed.stop(signal.SIGKILL)
        lost.join()
        killed.start()
        assert (lost.names, alive.names) == ([], names)
        wait_until(lambda: "removed unfinished files of a process" in killed.output)
        status, path = alive.finish()
        assert status == 200
        assert (killed.root / str(path)).read_text() == "half"
        assert lists(killed.root) == 1  # of the server that saved and still runs
        assert other.stop() == 0
        assert killed.stop() == 0
        assert lists(killed.root) == 0
    finally:
        other.kill()
