"""`flinfast db`: what a person types, and what is in the database afterwards."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from flinfast.cli.commands import main
from flinfast.store.check import integrity
from flinfast.store.presence import Presence
from flinfast.store.sqlite import Database, read_only
from tests.e2e.conftest import wait_until
from tests.store.postgres_server import emptied, running_server

ENTITIES = """
entity User { name: text @required  email: text @unique }
entity Note { title: text  owner: User  score: number = 1 }
"""
SEED = """
ann = User { name: "Ann", email: "ann@example.org" }
save ann
for n in 1..4 { save Note { title: "note {n}", owner: ann } }
"""


class Runner:
    """Runs commands on one project."""

    def __init__(self, root: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.root = root
        self._capsys = capsys
        self.out = self.err = ""

    def __call__(self, *arguments: str | Path) -> int:
        self._capsys.readouterr()
        status = main(["db", *map(str, arguments)])
        self.out, self.err = self._capsys.readouterr()
        return status

    def ok(self, *arguments: str | Path) -> str:
        assert self(*arguments) == 0, self.err
        return self.out

    @property
    def database(self) -> Path:
        return self.root / ".flindb" / "flin.db"

    def entities(self, text: str) -> None:
        (self.root / "entities" / "all.flin").write_text(text)

    def rows(self, sql: str) -> list[tuple[object, ...]]:
        with read_only(self.database) as database:
            return database.query(sql)


@pytest.fixture
def run(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> Runner:
    root = tmp_path / "project"
    for folder in ("app", "entities"):
        (root / folder).mkdir(parents=True)
    (root / "app" / "index.flin").write_text("route GET { Note.all }\n")
    (root / "seed.flin").write_text(SEED)
    runner = Runner(root, capfd)
    runner.entities(ENTITIES)
    return runner


@pytest.fixture
def seeded(run: Runner) -> Runner:
    run.ok("seed", run.root / "seed.flin", run.root)
    return run


# --- schema ----------------------------------------


def test_diff_of_a_new_project(run: Runner) -> None:
    """Nothing is stored yet: everything would be made, nothing is."""
    assert "create entity `Note` with 3 fields" in run.ok("diff", run.root)
    assert not run.database.exists()


def test_diff_of_what_fits(seeded: Runner) -> None:
    assert seeded.ok("diff", seeded.root) == "the database fits the entities\n"


def test_diff_says_what_needs_a_decision(seeded: Runner) -> None:
    """A dropped field with values is named, with the command that keeps them; status 1."""
    seeded.entities(ENTITIES.replace("title", "subject"))
    assert seeded("diff", seeded.root) == 1
    assert "field `Note.title` is no longer declared: its 3 values" in seeded.out
    assert "--rename Note.title=subject" in seeded.out


def test_migrate_shows_asks_and_keeps_a_backup(seeded: Runner) -> None:
    """Nobody can be asked here: without --yes it stops; with it the old state is a backup."""
    seeded.entities(ENTITIES.replace("title", "subject").replace("User", "Member"))
    options = ("--rename", "Note.title=subject", "--rename", "User=Member")
    assert "rename entity `User`" in seeded.ok("migrate", seeded.root, *options, "--dry-run")
    assert seeded("migrate", seeded.root, *options) == 1
    assert "expected `--yes`" in seeded.err
    assert seeded.rows("SELECT COUNT(title) FROM Note") == [(3,)]
    seeded.ok("migrate", seeded.root, *options, "--yes")
    assert seeded.rows("SELECT subject FROM Note WHERE id = 1") == [("note 1",)]
    assert seeded.rows("SELECT name FROM Member") == [("Ann",)]
    assert seeded.ok("diff", seeded.root) == "the database fits the entities\n"
    (backup,) = (seeded.root / ".flindb" / "backups").iterdir()
    with read_only(backup) as before:
        assert before.query("SELECT title FROM Note WHERE id = 1") == [("note 1",)]


def test_migrate_narrows_only_when_told(seeded: Runner) -> None:
    """A number that is whole becomes an int by itself; text does not become one."""
    seeded.entities(ENTITIES.replace("score: number", "score: int"))
    seeded.ok("migrate", seeded.root, "--yes")
    assert seeded.rows("SELECT score FROM Note WHERE id = 1") == [(1,)]
    seeded.entities(ENTITIES.replace("title: text", "title: int"))
    assert seeded("migrate", seeded.root, "--yes") == 1
    assert "--drop Note.title" in seeded.out
    seeded.ok("migrate", seeded.root, "--yes", "--drop", "Note.title")
    assert seeded.rows("SELECT title FROM Note WHERE id = 1") == [(None,)]


def test_migrate_fails_as_a_whole(seeded: Runner) -> None:
    """A rename that cannot be leaves everything as it was."""
    before = seeded.rows("SELECT * FROM sqlite_schema")
    assert seeded("migrate", seeded.root, "--yes", "--rename", "Note.nope=x") == 1
    assert "cannot rename `Note.nope`" in seeded.err
    assert seeded.rows("SELECT * FROM sqlite_schema") == before
    assert seeded("migrate", seeded.root, "--rename", "nonsense") == 2


def test_a_server_in_the_way_is_named(seeded: Runner, tmp_path: Path) -> None:
    """Migrating and restoring need the data alone; diff and backup do not."""
    backup = tmp_path / "backup.db"
    server = Presence(seeded.root / ".flindb")
    try:
        seeded.ok("backup", backup, seeded.root)
        seeded.entities(ENTITIES + "entity More { a: text }")
        seeded.ok("diff", seeded.root)
        assert seeded("migrate", seeded.root, "--yes") == 1
        assert "stop it before changing its schema" in seeded.err
        assert seeded("restore", backup, seeded.root) == 1
        assert "stop it before restoring a backup" in seeded.err
    finally:
        server.close()


# --- files ----------------------------------------


def test_backup_and_restore(seeded: Runner, tmp_path: Path) -> None:
    """What was changed since is gone, and kept aside; the file is private and sound."""
    backup = tmp_path / "backups" / "one.db"
    seeded.ok("backup", backup, seeded.root)
    assert backup.stat().st_mode & 0o777 == 0o600
    assert integrity(backup) == []
    (seeded.root / "more.flin").write_text('save Note { title: "later" }')
    seeded.ok("seed", seeded.root / "more.flin", seeded.root)
    assert seeded.rows("SELECT COUNT(*) FROM Note") == [(4,)]
    assert "flin-before-restore-1.db" in seeded.ok("restore", backup, seeded.root)
    assert seeded.rows("SELECT COUNT(*) FROM Note") == [(3,)]
    kept = seeded.root / ".flindb" / "backups" / "flin-before-restore-1.db"
    with read_only(kept) as before:
        assert before.query("SELECT COUNT(*) FROM Note") == [(4,)]
    assert sorted(p.name for p in backup.parent.iterdir()) == ["one.db"]


def test_backup_never_overwrites(seeded: Runner, tmp_path: Path) -> None:
    target = tmp_path / "there.db"
    target.write_text("mine")
    assert seeded("backup", target, seeded.root) == 1
    assert "exists" in seeded.err
    assert target.read_text() == "mine"


def test_backup_without_a_database(run: Runner, tmp_path: Path) -> None:
    assert run("backup", tmp_path / "x.db", run.root) == 1
    assert "there is no database" in run.err


def test_backup_of_a_busy_database_is_consistent(seeded: Runner, tmp_path: Path) -> None:
    """A writer that keeps two rows equal goes on; no copy ever shows them different."""
    stop = threading.Event()
    rounds = 0

    def write() -> None:
        nonlocal rounds
        database = Database(seeded.database)
        while not stop.is_set():
            database.execute("BEGIN IMMEDIATE")
            for id in (1, 3):
                database.execute("UPDATE Note SET score = score + 1 WHERE id = ?", (id,))
            database.execute("COMMIT")
            rounds += 1
        database.close()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for number in range(8):
            before = rounds
            target = tmp_path / f"{number}.db"
            seeded.ok("backup", target, seeded.root)
            with read_only(target) as copy:
                scores = copy.query("SELECT COUNT(DISTINCT score) FROM Note WHERE id <> 2")
            assert scores == [(1,)]
            assert integrity(target) == []
            wait_until(lambda before=before: rounds > before, what="the writer goes on")
    finally:
        stop.set()
        writer.join()


@pytest.mark.parametrize("content", [b"", b"not a database" * 100, None])
def test_restore_of_something_else(seeded: Runner, tmp_path: Path, content: bytes | None) -> None:
    """No database, or a damaged one, is refused and changes nothing."""
    source = tmp_path / "bad.db"
    if content is None:
        seeded.ok("backup", source, seeded.root)
        raw = bytearray(source.read_bytes())
        raw[5000:9000] = os.urandom(4000)
        source.write_bytes(raw)
    else:
        source.write_bytes(content)
    assert seeded("restore", source, seeded.root) == 1
    assert "error:" in seeded.err
    assert seeded.rows("SELECT COUNT(*) FROM Note") == [(3,)]


def test_restore_of_a_newer_format(seeded: Runner, tmp_path: Path) -> None:
    source = tmp_path / "newer.db"
    seeded.ok("backup", source, seeded.root)
    database = Database(source)
    database.execute("PRAGMA user_version = 99")
    database.close()
    assert seeded("restore", source, seeded.root) == 1
    assert "newer flinfast (format 99" in seeded.err


def test_restore_that_does_not_fit_the_entities(seeded: Runner, tmp_path: Path) -> None:
    source = tmp_path / "one.db"
    seeded.ok("backup", source, seeded.root)
    seeded.entities("entity Note { title: text }")
    assert seeded("restore", source, seeded.root) == 1
    assert "does not fit the entities" in seeded.err
    assert "entity `User` is no longer declared" in seeded.err


def test_restore_over_a_damaged_database(seeded: Runner, tmp_path: Path) -> None:
    """That is what backups are for: the damaged file is kept aside."""
    source = tmp_path / "one.db"
    seeded.ok("backup", source, seeded.root)
    seeded.database.write_bytes(b"damaged" * 1000)
    seeded.ok("restore", source, seeded.root)
    assert seeded.rows("SELECT COUNT(*) FROM Note") == [(3,)]
    kept = seeded.root / ".flindb" / "backups" / "flin-before-restore-1.db"
    assert kept.read_bytes().startswith(b"damaged")


def test_shell_reads_and_writes_only_when_told(seeded: Runner) -> None:
    out = seeded.ok("shell", seeded.root, "--command", "SELECT title FROM Note WHERE id = 2")
    assert out == "note 2\n"
    assert seeded("shell", seeded.root, "--command", "DELETE FROM Note") == 1
    assert seeded.err == "error: this would change the database: give `--write` to allow it\n"
    assert seeded.rows("SELECT COUNT(*) FROM Note") == [(3,)]
    seeded.ok("shell", seeded.root, "--write", "--command", "DELETE FROM Note")
    assert seeded.rows("SELECT COUNT(*) FROM Note") == [(0,)]


# --- records ----------------------------------------


def test_seed_is_one_transaction(seeded: Runner) -> None:
    """The same seed again meets its unique value: what came before that is gone, too."""
    (seeded.root / "twice.flin").write_text('save Note { title: "x" }\n' + SEED)
    assert seeded("seed", seeded.root / "twice.flin", seeded.root) == 1
    assert "already taken: email" in seeded.err
    assert "twice.flin:4\n" in seeded.err
    assert seeded.rows("SELECT COUNT(*) FROM Note") == [(3,)]


def test_seed_with_faults_shows_them(run: Runner) -> None:
    (run.root / "bad.flin").write_text("save Nope { }\n")
    assert run("seed", run.root / "bad.flin", run.root) == 1
    assert "bad.flin:1" in run.err
    assert run("seed", run.root / "missing.flin", run.root) == 1
    assert "cannot read" in run.err


def test_json_export_and_import(seeded: Runner, tmp_path: Path) -> None:
    """Standard output and a file hold the same; importing needs room or --replace."""
    out = seeded.ok("export", seeded.root)
    records = json.loads(out)
    assert [r["entity"] for r in records[1:]] == ["User", "Note", "Note", "Note"]
    target = tmp_path / "all.json"
    seeded.ok("export", seeded.root, "--output", target)
    assert target.read_text() == out
    assert target.stat().st_mode & 0o777 == 0o600
    assert seeded("import", target, seeded.root) == 1
    assert "`User.id` 1 is taken already" in seeded.err
    seeded.ok("import", target, seeded.root, "--replace")
    assert seeded.ok("export", seeded.root) == out
    assert seeded.rows("SELECT COUNT(*) FROM Note") == [(3,)]


def test_export_into_a_closed_pipe(seeded: Runner) -> None:
    """`| head` ends it quietly."""
    note = 'for n in 0..3000 { save Note { title: "a long title that fills the pipe" } }'
    (seeded.root / "many.flin").write_text(note)
    seeded.ok("seed", seeded.root / "many.flin", seeded.root)
    command = [sys.executable, "-m", "flinfast", "db", "export", str(seeded.root)]
    export = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert export.stdout is not None
    assert export.stderr is not None
    assert export.stdout.readline() == b"[\n"
    export.stdout.close()
    assert export.stderr.read() == b""
    export.stderr.close()
    assert export.wait(60) == 0


def test_csv_export_and_import(seeded: Runner, tmp_path: Path) -> None:
    """A folder with a file per entity, read back into an empty project."""
    folder = tmp_path / "out"
    seeded.ok("export", seeded.root, "--format", "csv", "--output", folder)
    assert sorted(p.name for p in folder.iterdir()) == ["Note.csv", "User.csv"]
    one = seeded.ok("export", seeded.root, "--format", "csv", "--entity", "User")
    assert one.splitlines()[0] == "id,name,email,created_at,updated_at,deleted_at,version"
    before = seeded.ok("export", seeded.root)
    seeded.ok("shell", seeded.root, "--write", "--command", "DELETE FROM Note; DELETE FROM User")
    seeded.ok("import", folder, seeded.root)
    assert seeded.ok("export", seeded.root) == before
    assert seeded("export", seeded.root, "--format", "csv") == 1
    assert seeded("export", seeded.root, "--entity", "Nots") == 1
    assert "did you mean `Note`?" in seeded.err


def test_failing_import_keeps_nothing(seeded: Runner, tmp_path: Path) -> None:
    """A bad line at the end: the good ones before it are not there either."""
    lines = seeded.ok("export", seeded.root).splitlines()
    lines[-2] = lines[-2].replace('"id":3', '"id":"three"')
    source = tmp_path / "bad.json"
    source.write_text("\n".join(lines))
    seeded.ok("shell", seeded.root, "--write", "--command", "DELETE FROM Note; DELETE FROM User")
    assert seeded("import", source, seeded.root) == 1
    assert seeded.rows("SELECT COUNT(*) FROM User") == [(0,)]


@pytest.fixture(scope="module")
def postgres_server() -> Iterator[str]:
    with running_server() as url:
        yield url


def test_copy_to_postgres_and_back(seeded: Runner, tmp_path: Path, postgres_server: str) -> None:
    """All records through both engines; the copy in PostgreSQL serves the same export."""
    url = emptied(postgres_server)
    before = seeded.ok("export", seeded.root)
    assert seeded.ok("copy", url, seeded.root) == "4 records\n"
    assert seeded("copy", url, seeded.root) == 1
    assert "the target has records already" in seeded.err
    (seeded.root / "flinfast.toml").write_text(f'[store]\ndatabase = "{url}"\n')
    assert seeded.ok("export", seeded.root) == before
    back = tmp_path / "back"
    seeded.ok("copy", back, seeded.root)
    assert integrity(back / "flin.db") == []
    assert seeded.ok("diff", seeded.root) == "the database fits the entities\n"
    for command in ("backup", "restore"):
        assert seeded(command, tmp_path / "x.db", seeded.root) == 1
        assert "pg_dump" in seeded.err


def test_progress_is_shown_on_terminals_only(seeded: Runner, tmp_path: Path) -> None:
    """A pipe gets no control sequences; a terminal gets a bar that is gone afterwards."""
    import pty

    assert "\x1b" not in seeded.ok("backup", tmp_path / "a.db", seeded.root) + seeded.err
    controller, terminal = pty.openpty()
    command = [sys.executable, "-m", "flinfast", "db", "backup", str(tmp_path / "b.db")]
    subprocess.run([*command, str(seeded.root)], stderr=terminal, check=True, timeout=60)
    os.close(terminal)
    shown = b""
    with contextlib.suppress(OSError):  # EIO is how a terminal ends
        while data := os.read(controller, 65536):
            shown += data
    os.close(controller)
    assert b"Backing up" in shown


def test_migrate_in_postgres(seeded: Runner, postgres_server: str) -> None:
    """Renames and drops go the same way there."""
    url = emptied(postgres_server)
    seeded.ok("copy", url, seeded.root)
    (seeded.root / "flinfast.toml").write_text(f'[store]\ndatabase = "{url}"\n')
    seeded.entities(ENTITIES.replace("title", "subject").replace("User", "Member"))
    assert seeded("diff", seeded.root) == 1
    options = ("--rename", "Note.title=subject", "--rename", "User=Member", "--yes")
    seeded.ok("migrate", seeded.root, *options)
    assert seeded.ok("diff", seeded.root) == "the database fits the entities\n"
    records = [
        json.loads(line.strip(",")) for line in seeded.ok("export", seeded.root).split("\n")[2:6]
    ]
    assert [r["record"].get("subject") for r in records] == [None, "note 1", "note 2", "note 3"]
