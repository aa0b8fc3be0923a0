"""The conformance checklist of the language reference, section 18, against a real server.

Every test drives `flinfast serve` over TCP with the `websockets` library; the number in a test's
docstring is the checklist's.
"""

import os
import re
import signal
from collections.abc import Callable

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.e2e.conftest import RECEIVE_S, Server, wait_until

MakeServer = Callable[..., Server]
ISO_TIME = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{3})?Z$")


def test_ws_and_routes_of_one_file_serve_one_path(make_server: MakeServer) -> None:
    """1: `ws` and `route GET/POST` in one file serve the same path."""
    ada = make_server("notifications").client("ada")
    with ada.ws("/api/notifications") as socket:
        assert ada.get("/api/notifications") == (200, [])
        status, _ = ada.post("/api/notifications", {"user_id": 1, "message": "hi"})
        assert status == 201
        assert socket.receive()["type"] == "notification"


def test_unauthenticated_upgrade_is_refused_over_http(make_server: MakeServer) -> None:
    """2: `guard auth` answers an unauthenticated upgrade with 401 and never a 101."""
    server = make_server("chat")
    with pytest.raises(InvalidStatus) as refused:
        server.client().ws("/api/chat")
    assert refused.value.response.status_code == 401
    assert "upgrade" not in refused.value.response.headers


def test_connect_handler_sends_the_first_message(make_server: MakeServer) -> None:
    """3: `on connect` can `ws_send(ws.connection_id, ...)`; the client receives it first."""
    ada = make_server("documents").client("ada")
    _, doc = ada.post("/api/documents", {"title": "plan"})
    with ada.ws(f"/api/documents/{doc['id']}/live") as socket:
        messages = [socket.receive(), socket.receive()]
        assert [m["type"] for m in messages] == ["user_joined", "init"]
    source = "ws { on connect { ws_send(ws.connection_id, { first: true }) } }"
    server = make_server(files={"app/api/hello.flin": source})
    with server.client().ws("/api/hello") as socket:
        assert socket.receive() == {"first": True}


def test_data_is_parsed_json_and_missing_keys_are_none(make_server: MakeServer) -> None:
    """4: `data.room || "general"` works when the key is absent."""
    source = """ws { on message(data) {
        ws_send(ws.connection_id, { room: data.room || "general", n: data.n })
    } }"""
    server = make_server(files={"app/api/data.flin": source})
    with server.client().ws("/api/data") as socket:
        socket.send({"n": 12345678901234567890123})
        assert socket.receive() == {"room": "general", "n": 12345678901234567890123}
        socket.send({"room": "tea"})
        assert socket.receive() == {"room": "tea", "n": None}
        socket.send("not json")
        assert socket.receive() == {"room": "general", "n": None}


def test_message_is_saved_with_an_id(make_server: MakeServer) -> None:
    """5: `save ChatMessage { ... }` inside `on message` persists and assigns an id."""
    server = make_server("chat")
    ada = server.client("ada")
    with ada.ws("/api/chat") as socket:
        assert socket.receive() == "ada joined the chat"
        socket.send({"text": "hello"})
        assert socket.receive()["text"] == "hello"
    server.stop()
    server.start()
    status, messages = ada.get("/api/messages")
    assert status == 200
    assert [(m["user"], m["text"]) for m in messages] == [("ada", "hello")]


def test_chat_without_join_reaches_everyone(make_server: MakeServer) -> None:
    """6: without `ws_join`, every connected client gets "system" and room messages."""
    server = make_server("chat")
    with server.client("ada").ws("/api/chat") as ada:
        assert ada.receive() == "ada joined the chat"
        with server.client("bob").ws("/api/chat") as bob:
            assert ada.receive() == "bob joined the chat"
            assert bob.receive() == "bob joined the chat"
            bob.send({"text": "hello"})
            for socket in (ada, bob):
                message = socket.receive()
                assert (message["user"], message["text"]) == ("bob", "hello")
            bob.send({"text": "only tea", "room": "tea"})
            assert ada.receive()["text"] == "only tea"
        assert ada.receive() == "bob left the chat"


def test_post_reaches_exactly_that_users_sockets(make_server: MakeServer) -> None:
    """7: `ws_send(to_text(body.user_id), ...)` from `route POST` reaches that user's sockets."""
    server = make_server("notifications")
    ada, bob = server.client("ada"), server.client("bob")
    with (
        ada.ws("/api/notifications") as ada_one,
        ada.ws("/api/notifications") as ada_two,
        bob.ws("/api/notifications") as bob_one,
    ):
        bob.post("/api/notifications", {"user_id": 1, "message": "for ada"})
        bob.post("/api/notifications", {"user_id": 2, "message": "for bob"})
        for socket in (ada_one, ada_two):
            assert socket.receive()["data"]["message"] == "for ada"
        assert bob_one.receive()["data"]["message"] == "for bob"


def test_post_answers_201_with_the_entity_or_400_with_fields(make_server: MakeServer) -> None:
    """8: 201 with the saved entity including `id`; an invalid body answers 400 with `fields`."""
    ada = make_server("notifications").client("ada")
    status, body = ada.post("/api/notifications", {"user_id": 1, "message": "hi"})
    assert status == 201
    assert body["id"] == 1
    assert (body["user_id"], body["message"], body["read"]) == (1, "hi", False)
    assert ISO_TIME.match(body["created_at"])
    status, body = ada.post("/api/notifications", {"user_id": "x"})
    assert status == 400
    assert body["error"] == "Validation failed"
    assert set(body["fields"]) == {"user_id", "message"}


def test_get_returns_unread_rows_newest_first_at_most_50(make_server: MakeServer) -> None:
    """9: unread rows of the session user, newest first, at most 50, as a JSON array."""
    server = make_server("notifications")
    ada, bob = server.client("ada"), server.client("bob")
    for number in range(55):
        ada.post("/api/notifications", {"user_id": 1, "message": str(number)})
    ada.post("/api/notifications", {"user_id": 2, "message": "bob's"})
    status, rows = ada.get("/api/notifications")
    assert status == 200
    assert len(rows) == 50
    assert rows[0]["created_at"] >= rows[-1]["created_at"]
    assert {row["user_id"] for row in rows} == {1}
    assert [row["message"] for row in bob.get("/api/notifications")[1]] == ["bob's"]


def test_mark_read_from_another_user_changes_nothing(make_server: MakeServer) -> None:
    """10: `mark_read` from another user's socket changes nothing."""
    server = make_server("notifications")
    ada, bob = server.client("ada"), server.client("bob")
    _, row = ada.post("/api/notifications", {"user_id": 1, "message": "hi"})
    with bob.ws("/api/notifications") as socket:
        socket.send({"type": "mark_read", "id": row["id"]})
        assert socket.connection.ping().wait(RECEIVE_S)  # what was sent before it is handled
    assert len(ada.get("/api/notifications")[1]) == 1
    with ada.ws("/api/notifications") as socket:
        socket.send({"type": "mark_read", "id": row["id"]})
        wait_until(lambda: ada.get("/api/notifications")[1] == [], what="row is read")


def test_binary_message_is_stored_and_acknowledged(make_server: MakeServer) -> None:
    """11: binary frame -> `data.type == "binary"`, `.bytes.len`, `save_binary`, JSON ack."""
    server = make_server("stream")
    payload = bytes(range(256)) * 40
    with server.client().ws("/api/stream") as socket:
        socket.send(payload)
        ack = socket.receive()
        assert (ack["type"], ack["size"]) == ("ack", len(payload))
        stored = (server.root / ack["path"]).resolve()
        assert stored.is_relative_to(server.root.resolve())
        assert stored.read_bytes() == payload
        socket.send({"type": "binary", "bytes": "not bytes"})
        socket.send({"text": "still here"})
        assert socket.receive() == {"type": "text", "text": "still here"}
    wait_until(lambda: "save_binary" in server.output, what="the fault in the log")
    assert len(list((server.root / ".flindb" / "streams").iterdir())) == 1


def test_close_in_connect_stops_the_connection(make_server: MakeServer) -> None:
    """12: `ws_close("...")` in `on connect` closes with that reason; `return` skips the rest."""
    server = make_server("documents")
    with server.client("ada").ws("/api/documents/999/live") as socket:
        with pytest.raises(ConnectionClosed) as closed:
            socket.receive()
        assert closed.value.rcvd is not None
        assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (1000, "Document not found")


def test_params_are_there_in_all_three_handlers(make_server: MakeServer) -> None:
    """13: `params.id` is available in connect, message and close."""
    source = """ws {
        on connect { ws_join("watch") broadcast("watch", { event: "connect", id: params.id }) }
        on message(data) { broadcast("watch", { event: "message", id: params.id }) }
        on close { broadcast("watch", { event: "close", id: params.id }) }
    }"""
    server = make_server(files={"app/api/things/[id]/live.flin": source})
    with server.client().ws("/api/things/watcher/live") as watcher:
        assert watcher.receive() == {"event": "connect", "id": "watcher"}
        with server.client().ws("/api/things/a%2Fb/live") as socket:
            socket.send("x")
        events = [watcher.receive() for _ in range(3)]
        assert events == [{"event": e, "id": "a/b"} for e in ("connect", "message", "close")]


def test_version_grows_by_one_per_save(make_server: MakeServer) -> None:
    """14: `doc.version` grows by one per save and shows in the broadcast right after."""
    server = make_server("documents")
    ada = server.client("ada")
    _, doc = ada.post("/api/documents", {"title": "plan"})
    with ada.ws(f"/api/documents/{doc['id']}/live") as socket:
        versions = []
        socket.receive()
        versions.append(socket.receive()["version"])
        for letter in "abc":
            patch = {"start": 0, "delete": 0, "insert": letter}
            socket.send({"type": "edit", "patch": patch})
            message = socket.receive()
            assert message["patch"] == patch
            versions.append(message["version"])
        assert versions == [1, 2, 3, 4]
    with ada.ws(f"/api/documents/{doc['id']}/live") as socket:
        socket.receive()
        assert socket.receive()["content"] == "cba"


def test_broadcast_includes_sender_and_broadcast_all_ignores_rooms(make_server: MakeServer) -> None:
    """15: `broadcast` includes the sender; `broadcast_all` ignores rooms."""
    source = """ws {
        on connect { ws_join(query.room) }
        on message(data) {
            if data.all { broadcast_all({ all: true }) } else { broadcast(data.room, data) }
        }
    }"""
    server = make_server(files={"app/api/rooms.flin": source})
    with (
        server.client().ws("/api/rooms?room=a") as a,
        server.client().ws("/api/rooms?room=b") as b,
    ):
        a.send({"room": "a"})
        assert a.receive() == {"room": "a"}
        a.send({"room": "b"})
        assert b.receive() == {"room": "b"}
        a.send({"all": True})
        assert (a.receive(), b.receive()) == ({"all": True}, {"all": True})


def test_killed_client_leaves_its_rooms(make_server: MakeServer) -> None:
    """16: after a client dies, `on close` runs, rooms forget it and others get `user_left`.

    A reset is noticed at once; a silent peer after the heartbeat's time, shortened here.
    """
    times = {"FLIN_WS_HEARTBEAT": "4", "FLIN_WS_TIMEOUT": "8"}
    server = make_server("documents", environment=times)
    ada, bob, eve = (server.client(name) for name in ("ada", "bob", "eve"))
    _, doc = ada.post("/api/documents", {"title": "plan"})
    path = f"/api/documents/{doc['id']}/live"
    with ada.ws(path) as watcher:
        watcher.receive()
        watcher.receive()
        dead = bob.ws(path)
        assert watcher.receive()["user"] == "bob"
        os.close(os.dup(dead.connection.socket.fileno()))
        dead.connection.socket.setsockopt(1, 13, b"\x01\0\0\0\0\0\0\0")  # SO_LINGER 0: reset
        dead.connection.socket.close()
        assert watcher.receive() == {"type": "user_left", "user": "bob"}
        silent = eve.ws(path, ping_interval=None)
        assert watcher.receive()["user"] == "eve"
        silent.connection.protocol.receive_data = lambda data: None  # type: ignore[method-assign]
        assert watcher.receive() == {"type": "user_left", "user": "eve"}
        silent.connection.socket.close()


def test_handler_queries_logs_and_reads_session_without_imports(make_server: MakeServer) -> None:
    """17: entity queries, `session.*` and log interpolation, with no import."""
    server = make_server("chat")
    with server.client("ada").ws("/api/chat") as socket:
        socket.receive()
    wait_until(lambda: "User disconnected" in server.output, what="log line")
    assert re.search(r'User connected: \{.*"name": ?"ada"', server.output.replace('\\"', '"'))


def test_empty_rooms_disappear(make_server: MakeServer) -> None:
    """18: empty rooms disappear; broadcasting to them is a no-op."""
    source = """
    route GET { { reached: broadcast(query.room, "x"), count: ws_count(query.room) } }
    ws { on connect { ws_join(query.room) } on message(data) { ws_leave(query.room) } }
    """
    server = make_server(files={"app/api/rooms.flin": source})
    client = server.client()
    assert client.get("/api/rooms?room=a") == (200, {"reached": 0, "count": 0})
    with client.ws("/api/rooms?room=a") as socket:
        wait_until(lambda: client.get("/api/rooms?room=a")[1]["reached"] == 1)
        socket.send("leave")
        wait_until(lambda: client.get("/api/rooms?room=a")[1]["count"] == 0)
    with client.ws("/api/rooms?room=b"):
        wait_until(lambda: client.get("/api/rooms?room=b")[1]["count"] == 1)
    wait_until(lambda: client.get("/api/rooms?room=b")[1] == {"reached": 0, "count": 0})


def test_now_is_iso_text_in_a_broadcast(make_server: MakeServer) -> None:
    """19: `now()` inside a broadcast map serialises as ISO 8601 text."""
    server = make_server("chat")
    with server.client("ada").ws("/api/chat") as socket:
        socket.receive()
        socket.send({"text": "hello"})
        assert ISO_TIME.match(socket.receive()["time"])


def test_two_sockets_share_the_user_but_not_the_id(make_server: MakeServer) -> None:
    """20: two sockets of one user share `session.userId` but differ in `ws.connection_id`."""
    source = """guard auth
    ws { on connect { ws_send(ws.connection_id, { user: session.userId, id: ws.connection_id }) } }
    """
    server = make_server("chat", files={"app/api/who.flin": source})
    ada = server.client("ada")
    with ada.ws("/api/who") as one, ada.ws("/api/who") as two:
        first, second = one.receive(), two.receive()
    assert first["user"] == second["user"] == "1"
    assert first["id"] != second["id"]
    assert all(re.fullmatch(r"ws_[0-9a-f]{40}", m["id"]) for m in (first, second))


def test_sigterm_drains(make_server: MakeServer) -> None:
    """SIGTERM closes every socket with 1012, runs `on close` and exits 0."""
    server = make_server("chat")
    with server.client("ada").ws("/api/chat") as socket:
        socket.receive()
        assert server.process is not None
        server.process.send_signal(signal.SIGTERM)
        with pytest.raises(ConnectionClosed) as closed:
            socket.receive_until_closed()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1012
    assert server.stop() == 0
    assert "User disconnected" in server.output
