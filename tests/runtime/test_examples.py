"""The programs in examples/ do what they are for."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from flinfast.testing import TestClient, UpgradeRefused
from tests.runtime.programs import logged

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"

Load = Callable[[str], TestClient]


@pytest.fixture
def load(tmp_path: Path) -> Iterator[Load]:
    made: list[TestClient] = []

    def load(name: str) -> TestClient:
        root = tmp_path / name
        shutil.copytree(EXAMPLES / name, root, ignore=shutil.ignore_patterns(".flindb"))
        made.append(TestClient(root))
        return made[-1]

    yield load
    for client in made:
        client.close()


def log_in(client: TestClient, name: str) -> int:
    response = client.post("/api/login", json={"name": name})
    assert response.status == 200
    number = response.json()["id"]
    assert isinstance(number, int)
    return number


def test_chat_reaches_everybody_without_a_join(load: Load) -> None:
    """Guard before the handshake; "system" and room messages to all; rows are saved."""
    ada = load("chat")
    with pytest.raises(UpgradeRefused) as caught:
        ada.websocket("/api/chat")
    assert caught.value.response.status == 401
    log_in(ada, "Ada")
    bob = ada.another()
    log_in(bob, "Bob")
    with ada.websocket("/api/chat") as one:
        assert one.receive() == "Ada joined the chat"
        with bob.websocket("/api/chat") as two:
            assert one.receive() == two.receive() == "Bob joined the chat"
            two.send_json({"text": "hi"})
            message = one.receive_json()
            assert message == two.receive_json()
            assert (message["user"], message["text"]) == ("Bob", "hi")
            assert message["time"].endswith("Z")
            two.send_json({"text": "in a room", "room": "other"})
            assert one.receive_json()["text"] == "in a room"
        assert one.receive() == "Bob left the chat"
    messages = ada.get("/api/messages").json()
    assert [m["text"] for m in messages] == ["hi"]
    assert messages[0]["user"] == "Bob"
    assert logged(ada, "info")[0].startswith("User connected: {")
    assert logged(ada, "error") == []


def test_invalid_chat_message_is_dropped(load: Load) -> None:
    """No text: nothing saved, nothing sent, the connection stays."""
    client = load("chat")
    log_in(client, "Ada")
    with client.websocket("/api/chat") as socket:
        socket.receive()
        socket.send_json({})
        socket.send_json({"text": "after"})
        assert socket.receive_json()["text"] == "after"
    assert len(client.get("/api/messages").json()) == 1


def test_notifications(load: Load) -> None:
    """POST validates, saves and pushes to exactly one user; GET lists; mark_read is per user."""
    ada = load("notifications")
    assert ada.post("/api/notifications", json={}).status == 401
    ada_id = log_in(ada, "Ada")
    bob = ada.another()
    bob_id = log_in(bob, "Bob")
    with (
        ada.websocket("/api/notifications") as ada_one,
        ada.websocket("/api/notifications") as ada_two,
        bob.websocket("/api/notifications") as bobs,
    ):
        response = bob.post("/api/notifications", json={"user_id": ada_id, "message": "first"})
        assert response.status == 201
        saved = response.json()
        assert (saved["id"], saved["message"], saved["read"]) == (1, "first", False)
        pushed = {"type": "notification", "data": saved}
        assert ada_one.receive_json() == ada_two.receive_json() == pushed
        assert bobs.is_silent()
        bad = bob.post("/api/notifications", json={"user_id": "x"})
        assert bad.json() == {
            "error": "Validation failed",
            "status": 400,
            "fields": {"user_id": "must be an integer", "message": "is required"},
        }
        bob.post("/api/notifications", json={"user_id": ada_id, "message": "second"})
        bob.post("/api/notifications", json={"user_id": bob_id, "message": "own"})
        newest = ada.get("/api/notifications").json()
        assert sorted(n["message"] for n in newest) == ["first", "second"]
        assert [n["created_at"] for n in newest] == sorted(
            (n["created_at"] for n in newest), reverse=True
        )
        bobs.receive_json()
        bobs.send_json({"type": "mark_read", "id": 1})
        bobs.send_json({"type": "mark_read", "id": 3})
        bob.wait_until(lambda: bob.get("/api/notifications").json() == [])
        assert len(ada.get("/api/notifications").json()) == 2
        ada_one.send_json({"type": "mark_read", "id": 1})
        ada.wait_until(lambda: len(ada.get("/api/notifications").json()) == 1)


def test_stream_saves_binary_messages(load: Load) -> None:
    """Bytes go to a file below the root and are acknowledged; text goes to the function."""
    client = load("stream")
    with client.websocket("/api/stream") as socket:
        socket.send_bytes(b"\x00\x01\xff" * 1000)
        ack = socket.receive_json()
        assert (ack["type"], ack["size"]) == ("ack", 3000)
        path = (client.app.root / ack["path"]).resolve()
        assert path.is_relative_to(client.app.root.resolve())
        assert path.read_bytes() == b"\x00\x01\xff" * 1000
        socket.send_text("hello")
        assert socket.receive_json() == {"type": "text", "text": "hello"}
        socket.send_json({"type": "binary", "bytes": "not bytes"})
        socket.send_json({"text": "still here"})
        assert socket.receive_json() == {"type": "text", "text": "still here"}
    assert len(logged(client, "error")) == 1


def test_documents_are_edited_together(load: Load) -> None:
    """init, edits with growing versions, cursors, presence; unknown documents close."""
    ada = load("documents")
    log_in(ada, "Ada")
    bob = ada.another()
    log_in(bob, "Bob")
    document = ada.post("/api/documents", json={"title": "Plan"}).json()
    live = f"/api/documents/{document['id']}/live"
    with ada.websocket("/api/documents/999/live") as lost:
        closed = lost.receive_close()
        assert (closed.code, closed.reason) == (1000, "Document not found")
    with ada.websocket(live) as one:
        assert one.receive_json() == {"type": "user_joined", "user": "Ada"}
        assert one.receive_json() == {"type": "init", "content": "", "version": 1}
        with bob.websocket(live) as two:
            assert one.receive_json() == {"type": "user_joined", "user": "Bob"}
            two.receive_json()
            two.receive_json()
            patch = {"position": 0, "insert": "Hello"}
            for version in (2, 3):
                two.send_json({"type": "edit", "patch": patch})
                edit = {"type": "edit", "patch": patch, "user": "Bob", "version": version}
                assert one.receive_json() == two.receive_json() == edit
            one.send_json({"type": "cursor", "position": 3})
            cursor = {"type": "cursor", "user": "Ada", "position": 3}
            assert one.receive_json() == two.receive_json() == cursor
        assert one.receive_json() == {"type": "user_left", "user": "Bob"}
    with bob.websocket(live) as again:
        again.receive_json()
        assert again.receive_json() == {"type": "init", "content": "HelloHello", "version": 3}
    assert ada.app.hub.room_count == 0


def test_poll_shows_results_as_they_come(load: Load) -> None:
    """One vote for each visitor, who may change it; everybody who looks sees the count."""
    ada = load("poll")
    bob = ada.another()
    bad = ada.post("/api/polls", json={"question": "T", "options": ["yes"]})
    assert (bad.status, sorted(bad.json()["fields"])) == (400, ["options", "question"])
    poll = ada.post("/api/polls", json={"question": "Tea?", "options": ["yes", "no"]})
    assert (poll.status, poll.json()["id"]) == (201, 1)
    with bob.websocket("/api/polls/1") as socket:
        assert [row["votes"] for row in socket.receive_json()["results"]] == [0, 0]
        for client, choice, votes in ((ada, 0, [1, 0]), (bob, 1, [1, 1]), (ada, 1, [0, 2])):
            answer = client.post("/api/polls/1", json={"choice": choice})
            assert [row["votes"] for row in answer.json()["results"]] == votes
            assert socket.receive_json() == answer.json()
    assert ada.post("/api/polls/1", json={"choice": 2}).status == 400
    assert ada.post("/api/polls/9", json={"choice": 0}).status == 404
    assert ada.get("/api/polls/x").status == 404
    with ada.websocket("/api/polls/9") as socket:
        assert socket.receive_close().code == 4404


def test_poll_closes(tmp_path: Path) -> None:
    """A vote after the end is refused; the results stay."""
    now = [1_800_000_000_000]
    poll = {"question": "Tea?", "options": ["yes", "no"], "minutes": 1}
    with TestClient(EXAMPLES / "poll", data=tmp_path, clock_ms=lambda: now[0]) as client:
        assert client.post("/api/polls", json=poll).status == 201
        now[0] += 60_001
        assert client.post("/api/polls/1", json={"choice": 0}).status == 410
        assert client.get("/api/polls/1").json()["open"] is False
