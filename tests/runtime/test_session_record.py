"""Records under other names of a session: read in handlers that nobody expects to read."""

from __future__ import annotations

from pathlib import Path

from flinfast.testing import TestClient

PROGRAM = """
entity Cart { total: int }
route POST {
    cart = Cart { total: body.total }
    save cart
    session.cart = cart
    { id: cart.id }
}
ws {
    on message(data) { ws_send(ws.connection_id, { total: session.cart.total }) }
}
entity User { email: text @trim @lowercase @unique }
route PUT {
    user = User { email: body.email }
    save user
    { email: user.email, found: User.where(email == "ann@example.org").count }
}
"""


def test_a_direct_handler_tells_of_durable_records_only(tmp_path: Path) -> None:
    """A turn that is committed and not synced yet is synced before its record is sent."""
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "index.flin").write_text(PROGRAM)
    with TestClient(tmp_path) as client:
        client.post("/", json={"total": 1})
        store = client.app.services.store
        with client.websocket("/") as socket:
            store.begin(writes=True)
            cart = store.handle("Cart").find(1)
            cart.flin_set("total", 2)
            store.save(cart)
            store.commit()
            assert store.pending
            seen = []
            real = store.handle("Cart").find

            def find(id: object) -> object:
                found = real(id)
                seen.append(found)
                return found

            store.handle("Cart").find = find
            socket.send_json({})
            assert socket.receive_json() == {"total": 2}
            assert seen
            assert not store.pending


def test_entities_trim_and_lowercase(tmp_path: Path) -> None:
    """The modifiers change what `save` stores, as they change what `validate` hands on."""
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "index.flin").write_text(PROGRAM)
    with TestClient(tmp_path) as client:
        answer = client.put("/", json={"email": " Ann@Example.ORG "})
        assert answer.json() == {"email": "ann@example.org", "found": 1}
        assert client.put("/", json={"email": "ANN@example.org"}).status == 409
