"""A running server's database is removed, moved or replaced, or its disk turns read-only.

Nothing is acknowledged that the next start would not find, and the log says which file it is.
"""

from __future__ import annotations

import errno
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from flinfast.store.check import integrity
from flinfast.store.sqlite import FILE_NAME
from tests.e2e.conftest import Client, Server, wait_until
from tests.e2e.marks import MARKS, PLAIN, QUIET, REFUSED, SAVED

MakeServer = Callable[..., Server]
FILES = {"app/plain.flin": PLAIN, "app/marks.flin": MARKS}
NOT_READY = (503, {"status": "database failed"})

# Python runs this before the server, whose database then lies on a disk that refuses writes while
# there is a certain file.
FAILING_DISK = """
import os
import apsw

BASE = apsw.vfs_names()[0]

class Disk(apsw.VFS):
    def __init__(self):
        super().__init__("failing", BASE, makedefault=True)

    def xOpen(self, name, flags):
        return File(name, flags)

    def xGetLastError(self):
        return ({number}, "") if os.path.exists({path!r}) else (0, "")

class File(apsw.VFSFile):
    def __init__(self, name, flags):
        super().__init__(BASE, name, flags)

    def excepthook(self, *args):
        return True

    def xWrite(self, data, offset):
        if os.path.exists({path!r}):
            raise apsw.exception_for(apsw.SQLITE_IOERR_WRITE)
        super().xWrite(data, offset)

disk = Disk()
"""


def save(client: Client, *numbers: int) -> None:
    for number in numbers:
        assert client.post("/marks", {"n": number}) == SAVED


@pytest.mark.parametrize("number", [errno.EROFS, errno.EDQUOT], ids=["read-only", "over-quota"])
def test_disk_that_refuses_writes(make_server: MakeServer, tmp_path: Path, number: int) -> None:
    """Reads go on, the log has the system's reason, and the next write that can be done is."""
    trigger, modules = tmp_path / "refuses", tmp_path / "modules"
    modules.mkdir()
    code = FAILING_DISK.format(path=str(trigger), number=number)
    (modules / "sitecustomize.py").write_text(code)
    server = make_server(files=FILES, arguments=QUIET, start=False)
    search = os.pathsep.join([str(modules), os.environ.get("PYTHONPATH", "")])
    server.environment["PYTHONPATH"] = search.rstrip(os.pathsep)
    server.start()
    client = server.client()
    save(client, 1)
    trigger.touch()
    for _ in range(3):
        assert client.post("/marks", {"n": 2}) == REFUSED
        assert client.get("/marks") == (200, [1])
    said = (
        f"reading or writing the database {server.root / '.flindb' / FILE_NAME} failed: "
        f"check its disk and mount ({os.strerror(number)}; "
    )
    wait_until(lambda: said in server.output)
    assert client.get("/_flin/ready")[0] == 200
    trigger.unlink()
    save(client, 3)
    server.stop(signal.SIGKILL)
    server.start()
    assert client.get("/marks") == (200, [1, 3])
    assert server.stop() == 0


def remove(folder: Path, other: Path) -> None:
    for path in folder.glob("flin.db*"):
        path.unlink()


def replace(folder: Path, other: Path) -> None:
    os.replace(other / FILE_NAME, folder / FILE_NAME)


def move_folder(folder: Path, other: Path) -> None:
    folder.rename(folder.with_name("moved"))


def remove_index(folder: Path, other: Path) -> None:
    (folder / f"{FILE_NAME}-shm").unlink()


def replace_log(folder: Path, other: Path) -> None:
    log = folder / f"{FILE_NAME}-wal"
    log.unlink()
    log.touch()


ACTIONS = [remove, replace, move_folder, remove_index, replace_log]


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("is_idle", [True, False], ids=["idle", "written"])
def test_files_that_are_not_there_any_more(
    make_server: MakeServer, tmp_path: Path, action: Callable[[Path, Path], None], is_idle: bool
) -> None:
    """It is noticed by the next write, and without one; what needs no database is served."""
    server = make_server(files=FILES, arguments=QUIET)
    client = server.client()
    save(client, 1, 2)
    folder, other = server.root / ".flindb", tmp_path / "other"
    other.mkdir()
    shutil.copy(folder / FILE_NAME, other)
    action(folder, other)
    if is_idle:
        wait_until(lambda: "while a server used it" in server.output)
    assert client.post("/marks", {"n": 3}) == REFUSED
    wait_until(lambda: f"{folder / FILE_NAME}" in server.output)
    said = "stop the server, put the right files there, start it again"
    wait_until(lambda: said in server.output)  # output comes in pieces
    assert client.get("/plain") == (200, "plain")
    assert client.get("/_flin/ready") == NOT_READY
    assert server.stop() != 0


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL], ids=["stopped", "killed"])
def test_a_log_that_was_removed_takes_nothing_with_it(make_server: MakeServer, end: int) -> None:
    """What was acknowledged is copied out of the open file before it is gone for good."""
    server = make_server(files=FILES, arguments=QUIET)
    client = server.client()
    save(client, *range(50))
    path = server.root / ".flindb" / FILE_NAME
    Path(f"{path}-wal").unlink()
    wait_until(lambda: f"{path}-wal of the database is gone" in server.output)
    server.stop(end)
    assert integrity(path) == []
    server.start()
    assert client.get("/marks") == (200, list(range(50)))
    save(client, 50)
    assert server.stop() == 0


def test_a_server_without_its_files_leaves_those_of_the_next_alone(make_server: MakeServer) -> None:
    """Its end neither copies its log into the new database nor removes that one's log."""
    first = make_server(files=FILES, arguments=QUIET)
    save(first.client(), 1)
    folder = first.root / ".flindb"
    remove(folder, folder)
    second = Server(first.root, {}, QUIET).start()
    try:
        client = second.client()
        save(client, 2, 3)
        assert first.client().post("/marks", {"n": 4}) == REFUSED
        assert first.stop() != 0
        assert Path(f"{folder / FILE_NAME}-wal").stat().st_size > 0
        save(client, 5)
        second.stop(signal.SIGKILL)
        assert integrity(folder / FILE_NAME) == []
        second.start()
        assert client.get("/marks") == (200, [2, 3, 5])
        assert second.stop() == 0
    finally:
        second.kill()
