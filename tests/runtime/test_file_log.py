"""Files are part of a handler's transaction."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from flinfast.errors import DurabilityError, StoreError
from flinfast.testing import TestClient

PROGRAM = """
entity Kept { path: text @required }

route POST {
    path = save_binary(body.text.encode_utf8(), "uploads")
    inside = [read_file(path), file_exists(path)]
    k = Kept { path: path }
    save k
    if body.fail { x = [1] x = x.nope.further }
    { path: path, inside: inside }
}
route DELETE {
    k = Kept.all.first
    gone = delete_file(k.path)
    destroy k
    inside = [gone, file_exists(k.path), delete_file(k.path), read_file(k.path)]
    if body.fail { x = [1] x = x.nope.further }
    { inside: inside }
}
route PUT {
    path = save_binary(body.text.encode_utf8(), "uploads")
    inside = [delete_file(path), file_exists(path)]
    { inside: inside }
}
"""


@pytest.fixture
def client(tmp_path: Path) -> Iterator[TestClient]:
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "index.flin").write_text(PROGRAM)
    with TestClient(tmp_path) as client:
        yield client


def files(root: Path) -> list[str]:
    folder = root / "uploads"
    return sorted(p.name for p in folder.iterdir()) if folder.exists() else []


def test_a_saved_file_is_there_with_its_row(client: TestClient, tmp_path: Path) -> None:
    """The handler reads it back at once; afterwards it has its own name."""
    answer = client.post("/", json={"text": "hello"}).json()
    assert answer["inside"] == ["hello", True]
    assert files(tmp_path) == [answer["path"].removeprefix("uploads/")]
    assert (tmp_path / answer["path"]).read_text() == "hello"


def test_a_failing_handler_leaves_no_file(client: TestClient, tmp_path: Path) -> None:
    assert client.post("/", json={"text": "hello", "fail": True}).status == 500
    assert files(tmp_path) == []


def test_a_deleted_file_goes_with_the_row(client: TestClient, tmp_path: Path) -> None:
    """For the handler it is gone at once; when it fails, the file stays."""
    path = client.post("/", json={"text": "hello"}).json()["path"]
    assert client.delete("/", json={"fail": True}).status == 500
    assert (tmp_path / path).read_text() == "hello"
    assert client.delete("/", json={}).json()["inside"] == [True, False, False, None]
    assert files(tmp_path) == []


def test_a_file_saved_and_deleted_by_one_handler(client: TestClient, tmp_path: Path) -> None:
    assert client.put("/", json={"text": "x"}).json()["inside"] == [True, False]
    assert files(tmp_path) == []


def test_a_file_of_lost_rows_is_removed(
    client: TestClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """COMMIT failed: the row is not there, and neither is its file."""
    database = client.app.services.store.database
    real = database.execute

    def fail(sql: str, values: tuple[object, ...] = ()) -> None:
        if sql == "COMMIT":
            raise StoreError("the disk is full")
        real(sql, values)

    with monkeypatch.context() as patch:
        patch.setattr(database, "execute", fail)
        assert client.post("/", json={"text": "hello"}).status == 503
    assert files(tmp_path) == []


def test_a_file_whose_rows_may_be_there_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a failed sync nobody knows: a row that survives must find its file."""
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "index.flin").write_text(PROGRAM)
    client = TestClient(tmp_path)

    def fail(*_: object) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(client.app.services.store.group, "_sync", fail)
    assert client.post("/", json={"text": "hello"}).status == 503
    assert len(files(tmp_path)) == 1
    with pytest.raises(DurabilityError):
        client.close()


def test_a_name_that_cannot_be_given_fails_the_handler(
    client: TestClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before the commit, so that no row names a file that is not there."""
    with monkeypatch.context() as patch:

        def refuse(*_: object, **__: object) -> None:
            raise OSError(28, "No space left on device")

        patch.setattr("flinfast.runtime.file_log.os.rename", refuse)
        assert client.post("/", json={"text": "hello"}).status == 500
    assert files(tmp_path) == []
    assert client.post("/", json={"text": "again"}).status == 200
    assert len(files(tmp_path)) == 1
