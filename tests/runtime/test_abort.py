"""`abort(status, text)`: a handler gives up with an answer, and leaves nothing behind."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from flinfast.testing import TestClient
from tests.runtime.programs import client_of, logged

Load = Callable[[Mapping[str, str] | str], TestClient]

STOCK = """
entity Product { name: text, stock: int }

fn take(wanted, count) {
    product = Product.where(name == wanted).first ?? abort(404, "No such product")
    if product.stock < count { abort(409, "Only {product.stock} left", { name: wanted }) }
    product.stock -= count
    save product
    broadcast("stock", product.stock)
}
route PUT { for name in ["tea", "cup"] { save Product { name: name, stock: 2 } } }
route POST { for [name, count] in body { take(name, count) } }
route GET { Product.all.map(p => p.stock) }
ws {
    on connect { ws_join("stock") }
    on message(data) { take(data.name, data.count) }
}
"""


@pytest.fixture
def load(tmp_path: Path) -> Iterator[Load]:
    made: list[TestClient] = []

    def load(files: Mapping[str, str] | str) -> TestClient:
        made.append(client_of(tmp_path, {"app/x.flin": files} if isinstance(files, str) else files))
        return made[-1]

    yield load
    for client in made:
        client.close()


def test_abort_answers_from_inside_a_function_and_undoes_what_was_saved(load: Load) -> None:
    """Nothing of a request that is aborted half way is stored, and it is no line of the log."""
    client = load(STOCK)
    assert client.request("PUT", "/x").status == 204
    refused = client.post("/x", json={"tea": 1, "cup": 3})
    assert refused.status == 409
    assert refused.json() == {"error": "Only 2 left", "status": 409, "name": "cup"}
    assert client.post("/x", json={"tea": 1, "nothing": 1}).json()["error"] == "No such product"
    assert client.get("/x").json() == [2, 2]
    assert logged(client, "error") == []
    assert client.post("/x", json={"tea": 1, "cup": 2}).status == 204
    assert client.get("/x").json() == [1, 0]


def test_what_an_aborted_handler_sent_never_leaves(load: Load) -> None:
    """Over HTTP and in a message, which is dropped while its connection stays open."""
    client = load(STOCK)
    client.request("PUT", "/x")
    with client.websocket("/x") as socket:
        client.post("/x", json={"tea": 1, "cup": 9})
        socket.send_json({"name": "tea", "count": 9})
        socket.send_json({"name": "tea", "count": 2})
        assert socket.receive_json() == 0
    assert len(logged(client, "error")) == 1


def test_error_is_an_answer_and_keeps_what_was_saved(load: Load) -> None:
    """`return error(...)` counts a failed attempt, which abort() would forget."""
    client = load(
        """
        entity Attempt { name: text }
        route POST { save Attempt { name: body.name } return error(401, "Wrong") }
        route PUT { save Attempt { name: body.name } abort(401) }
        route GET { Attempt.count }
        """
    )
    assert client.post("/x", json={"name": "a"}).status == 401
    aborted = client.request("PUT", "/x", json={"name": "a"})
    assert aborted.json() == {"error": "Unauthorized", "status": 401}
    assert client.get("/x").json() == 1


def test_abort_in_guards_and_middleware(load: Load) -> None:
    """It refuses with its own answer; middleware sees the status of what it surrounds."""
    client = load(
        {
            "app/_middleware.flin": """middleware {
                if query.stop { abort(418, "Tea") }
                next()
                response.headers["X-Status"] = to_text(response.status)
            }""",
            "guards/low.flin": 'guard_definition low() { if query.n == "9" { abort(429, "Low") } }',
            "app/x.flin": 'guard low route GET { if query.n == "5" { abort(410) } 1 }',
        }
    )
    assert client.get("/x").headers["x-status"] == "200"
    assert client.get("/x?n=5").headers["x-status"] == "410"
    assert client.get("/x?n=9").json() == {"error": "Low", "status": 429}
    assert client.get("/x?stop=1").json() == {"error": "Tea", "status": 418}
    assert logged(client, "error") == []


def test_abort_takes_error_statuses_only(load: Load) -> None:
    """A success cannot be aborted with."""
    client = load('route GET { abort(200, "fine") }')
    assert client.get("/x").status == 500
    assert "from 400 to 599" in logged(client, "error")[0]
