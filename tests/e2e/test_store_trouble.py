"""A full disk, a lock, a read-only folder, a damaged file: reads go on where they can.

Each with a real server: the fault is told with the file and what to do, no acknowledged write is
lost, and the server works again when the trouble is over.
"""

from __future__ import annotations

import contextlib
import os
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from flinfast.store.check import integrity
from flinfast.store.sqlite import FILE_NAME, Database
from tests.e2e.conftest import Client, Server, wait_until
from tests.e2e.marks import MARKS, PLAIN, QUIET, REFUSED, SAVED

MakeServer = Callable[..., Server]
FILES = {
    "entities/note.flin": "entity Note { text: text }",
    "app/notes.flin": """
route GET { Note.all.map(n => n.text.slice(0, 8)) }
route POST {
    save Note { text: body.text }
    "saved"
}
""",
    "app/plain.flin": PLAIN,
    "app/marks.flin": MARKS,
}
LARGE = "x" * 100_000
DISK_MIB = 4
FILE_BYTES_MAX = 2_000_000

needs_limits = pytest.mark.skipif(
    not hasattr(resource, "prlimit") or shutil.which("prlimit") is None, reason="needs prlimit"
)


class Disk:
    """A small file system that only processes started with `prefix` see.

    Attributes:
        prefix: Command that runs another in its namespace.
        folder: Where it is mounted for them.
        view: The same for us.
    """

    def __init__(self, folder: Path) -> None:
        mount = f'mount -t tmpfs -o size={DISK_MIB}m flin "$0" && echo ready && exec cat'
        command = ["unshare", "--map-root-user", "--mount", "sh", "-c", mount, str(folder)]
        self._holder = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        assert self._holder.stdout is not None
        if self._holder.stdout.readline() != b"ready\n":
            assert self._holder.stderr is not None
            reason = self._holder.stderr.read().decode().strip()
            self.close()
            pytest.skip(f"cannot mount in a namespace of its own: {reason}")
        target = ("--target", str(self._holder.pid))
        self.prefix = ("nsenter", *target, "--user", "--mount", "--preserve-credentials", "--")
        self.folder = folder
        self.view = Path(f"/proc/{self._holder.pid}/root{folder}")

    def fill(self) -> None:
        """Leave no room."""
        with contextlib.suppress(OSError), (self.view / "filler").open("wb", buffering=0) as filler:
            for size in (1 << 16, 1 << 12):
                with contextlib.suppress(OSError):
                    while True:
                        filler.write(b"\0" * size)

    def free(self) -> None:
        """Make room again."""
        (self.view / "filler").unlink()

    def close(self) -> None:
        """Unmount it: the namespace ends with its last process."""
        assert self._holder.stdin is not None
        self._holder.stdin.close()
        self._holder.wait(60)
        for stream in (self._holder.stdout, self._holder.stderr):
            assert stream is not None
            stream.close()


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    """A small disk, where the system lets a test mount one."""
    if shutil.which("unshare") is None or shutil.which("nsenter") is None:
        pytest.skip("needs unshare and nsenter")
    folder = tmp_path / "disk"
    folder.mkdir()
    one = Disk(folder)
    yield one
    one.close()


def save_until_refused(client: Client, saved: list[int]) -> None:
    """Save large notes, numbered on from those in `saved`, until one is refused."""
    for number in range(len(saved), len(saved) + 200):
        answer = client.post("/notes", {"text": f"{number:<8}{LARGE}"})
        if answer != SAVED:
            assert answer == REFUSED
            return
        saved.append(number)
    raise AssertionError("nothing was refused")


def stored(client: Client) -> list[int]:
    """Numbers of the notes that are there."""
    status, texts = client.get("/notes")
    assert status == 200, texts
    return [int(text) for text in texts]


def test_full_disk(make_server: MakeServer, disk: Disk, tmp_path: Path) -> None:
    """Reads are served, writes refused; also after kill -9; room makes it work again."""
    server = make_server(files=FILES, arguments=QUIET, start=False)
    server.environment["FLIN_STORE_PATH"] = str(disk.folder / "data")
    server.start(prefix=disk.prefix)
    client = server.client()
    assert client.post("/marks", {"n": 1}) == SAVED
    saved: list[int] = []
    disk.fill()
    save_until_refused(client, saved)
    wait_until(lambda: "POST /notes failed: the disk of the database " in server.output)
    wait_until(lambda: f"{FILE_NAME} is full" in server.output)
    assert stored(client) == saved
    assert client.get("/marks") == (200, [1])
    server.stop(signal.SIGKILL)
    # The log of the killed process lies there, whole, on a full disk.
    server.start(prefix=disk.prefix)
    assert stored(client) == saved
    save_until_refused(client, saved)
    assert stored(client) == saved
    disk.free()
    assert client.post("/marks", {"n": 2}) == SAVED
    assert client.get("/marks") == (200, [1, 2])
    assert server.stop() == 0
    shutil.copy(disk.view / "data" / FILE_NAME, tmp_path)
    assert integrity(tmp_path / FILE_NAME) == []
    server.start(prefix=disk.prefix)
    assert stored(client) == saved
    server.stop()


def test_backup_to_a_full_disk(disk: Disk, tmp_path: Path) -> None:
    """What is full is the disk of the copy, not that of the database; nothing is left of it."""
    source, copy = tmp_path / "source.db", disk.folder / "copy.db"
    database = Database(source)
    database.execute("CREATE TABLE page (words TEXT)")
    database.close()
    code = "import sys; from pathlib import Path; from flinfast.store.backup import backup\n"
    code += "backup(*map(Path, sys.argv[1:]))"
    command = [*disk.prefix, sys.executable, "-c", code, str(source), str(copy)]
    disk.fill()
    refused = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert f"StoreError: {copy} cannot be written: its disk is full\n" in refused.stderr
    assert [path.name for path in disk.view.iterdir()] == ["filler"]
    disk.free()
    subprocess.run(command, timeout=60, check=True)
    assert (disk.view / copy.name).stat().st_size == source.stat().st_size


@needs_limits
def test_file_that_may_not_grow(make_server: MakeServer) -> None:
    """The same with a limit of the process: an input/output error instead of a full disk."""
    limit = ("prlimit", f"--fsize={FILE_BYTES_MAX}:unlimited")
    server = make_server(files=FILES, arguments=QUIET, start=False).start(prefix=limit)
    client = server.client()
    saved: list[int] = []
    save_until_refused(client, saved)
    assert saved
    said = "POST /notes failed: reading or writing the database "
    wait_until(lambda: said in server.output)
    assert stored(client) == saved
    unlimited = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
    resource.prlimit(server.pid, resource.RLIMIT_FSIZE, unlimited)
    number = len(saved)
    assert client.post("/notes", {"text": f"{number:<8}{LARGE}"}) == SAVED
    server.stop(signal.SIGKILL)
    server.start()
    assert stored(client) == [*saved, number]
    assert integrity(server.root / ".flindb" / FILE_NAME) == []


def test_lock_that_another_process_holds(make_server: MakeServer) -> None:
    """Writes are refused, reads served; a second server says why it cannot start."""
    server = make_server(files=FILES, arguments=QUIET)
    client = server.client()
    assert client.post("/marks", {"n": 1}) == SAVED
    path = server.root / ".flindb" / FILE_NAME
    other = Database(path)
    other.execute("BEGIN IMMEDIATE")
    assert client.post("/marks", {"n": 2}) == REFUSED
    said = f"POST /marks failed: the database {path} is locked by another process for too long"
    wait_until(lambda: said in server.output)
    for _ in range(20):
        assert client.post("/marks", {"n": 2}) == REFUSED
        assert client.get("/marks") == (200, [1])
    second = Server(server.root, {}, QUIET)
    with pytest.raises(AssertionError, match="is locked by another process for too long"):
        second.start()
    other.execute("ROLLBACK")
    other.close()
    assert client.post("/marks", {"n": 3}) == SAVED
    second.start()
    assert second.client().get("/marks") == (200, [1, 3])
    assert second.stop() == 0


# Python runs this before the server, which then has a disk that fails once there is a file.
FAILING_SYNC = """
import os

fdatasync = os.fdatasync

def failing(fd):
    if os.path.exists({path!r}):
        raise OSError(5, "Input/output error")
    fdatasync(fd)

os.fdatasync = failing
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="other systems use fsync")
def test_disk_that_fails_to_sync(make_server: MakeServer, tmp_path: Path) -> None:
    """From then on nothing of the database is told, whatever the next sync says; then a restart."""
    trigger, modules = tmp_path / "fails", tmp_path / "modules"
    modules.mkdir()
    (modules / "sitecustomize.py").write_text(FAILING_SYNC.format(path=str(trigger)))
    server = make_server(files=FILES, arguments=QUIET, start=False)
    search = os.pathsep.join([str(modules), os.environ.get("PYTHONPATH", "")])
    server.environment["PYTHONPATH"] = search.rstrip(os.pathsep)
    server.start()
    client = server.client()
    assert client.post("/marks", {"n": 1}) == SAVED
    trigger.touch()
    assert client.post("/marks", {"n": 2}) == REFUSED
    trigger.unlink()
    assert client.post("/marks", {"n": 3}) == REFUSED
    assert client.get("/marks") == REFUSED  # what it would tell may not be on disk
    assert client.get("/plain") == (200, "plain")
    wait_until(lambda: server.output.count("syncing the database's log to disk failed") >= 3)
    assert server.stop() != 0
    server.start()
    status, marks = client.get("/marks")
    assert status == 200
    assert marks in ([1], [1, 2])  # the second one may be there, but nobody was told
    assert client.post("/marks", {"n": 4}) == SAVED


def test_folder_that_became_read_only(make_server: MakeServer) -> None:
    """The start is refused and nothing changed; a folder that may be written is as it was."""
    if shutil.which("unshare") is None:
        pytest.skip("needs unshare")
    server = make_server(files=FILES, arguments=QUIET)
    client = server.client()
    assert client.post("/marks", {"n": 1}) == SAVED
    server.stop(signal.SIGKILL)
    folder = server.root / ".flindb"
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    mount = (
        f"mount --bind {folder} {folder} && mount -o remount,bind,ro {folder}"
        ' && echo mounted && exec "$@"'
    )
    prefix = ("unshare", "--map-root-user", "--mount", "sh", "-c", mount, "sh")
    with pytest.raises(AssertionError, match="server ended at once"):
        server.start(prefix=prefix)
    if "mounted" not in server.output:
        pytest.skip("cannot mount in a namespace of its own")
    said = f"the database folder {folder} cannot be used: Read-only file system"
    assert said in server.output
    assert server.process is not None
    assert server.process.returncode == 1
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    server.start()
    assert client.get("/marks") == (200, [1])
    assert client.post("/marks", {"n": 2}) == SAVED


def command(*arguments: str | Path) -> str:
    """Run `flinfast` to its end; what it printed."""
    run = [sys.executable, "-m", "flinfast", *map(str, arguments)]
    return subprocess.run(run, check=True, capture_output=True, text=True, timeout=60).stdout


def test_damaged_page(make_server: MakeServer, tmp_path: Path) -> None:
    """What lies on it is refused, the rest served; a backup brings everything back."""
    server = make_server(files=FILES, arguments=QUIET)
    client = server.client()
    assert client.post("/marks", {"n": 1}) == SAVED
    for number in range(20):
        assert client.post("/notes", {"text": f"{number:<8}{LARGE}"}) == SAVED
    backup = tmp_path / "backup.db"
    command("db", "backup", backup, server.root)
    assert server.stop() == 0
    path = server.root / ".flindb" / FILE_NAME
    pages = bytearray(path.read_bytes())
    place = pages.index(b"7       xxx") // 4096 * 4096
    pages[place : place + 4096] = b"\xa5" * 4096
    path.write_bytes(pages)
    server.start()
    assert client.get("/notes") == REFUSED
    said = f"GET /notes failed: the database {path} is damaged: stop and restore a backup"
    wait_until(lambda: said in server.output)
    assert client.get("/marks") == (200, [1])
    assert client.post("/marks", {"n": 2}) == SAVED
    assert client.get("/marks") == (200, [1, 2])
    server.stop()
    command("db", "restore", backup, server.root)
    server.start()
    assert stored(client) == list(range(20))
    assert client.get("/marks") == (200, [1])


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda data: b"hello" * 1000, "is not a SQLite database: restore a backup or move it"),
        (lambda data: data[: len(data) // 8192 * 4096], "is damaged: stop and restore a backup"),
    ],
    ids=["another-file", "truncated"],
)
def test_file_that_cannot_be_opened(
    make_server: MakeServer, damage: Callable[[bytes], bytes], said: str
) -> None:
    """The start is refused with the file's name, the file left alone; the right one is served."""
    server = make_server(files=FILES, arguments=QUIET)
    client = server.client()
    for number in range(5):
        assert client.post("/notes", {"text": f"{number:<8}{LARGE}"}) == SAVED
    assert server.stop() == 0
    path = server.root / ".flindb" / FILE_NAME
    right = path.read_bytes()
    wrong = damage(right)
    path.write_bytes(wrong)
    with pytest.raises(AssertionError, match="server ended at once") as caught:
        server.start()
    assert f"{path} {said}" in str(caught.value)
    assert path.read_bytes() == wrong
    path.write_bytes(right)
    server.start()
    assert stored(client) == list(range(5))
