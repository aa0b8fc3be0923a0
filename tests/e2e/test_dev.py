"""`flinfast dev`: saved files are live, connections stay, faults are shown and harm nobody."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By
from websockets.exceptions import InvalidStatus

from flinfast.cli.dev import _matters, changes
from flinfast.cli.watch import look_at
from flinfast.server.live import _end_of, is_local_name
from tests.e2e.conftest import RECEIVE_S, START_S, Server, free_port, wait_until
from tests.e2e.test_browser import make_page
from tests.e2e.test_browser import pytestmark as browser_marks

__all__ = ["make_page"]

MakeServer = Callable[..., Server]
HELLO = 'route GET {{ "{}" }}\n'
ECHO = 'ws {{ on message(data) {{ ws_send(ws.connection_id, "{}") }} }}\n'
PAGE = "<!doctype html><link rel=stylesheet href=/a.css><body><h1>{}</h1></body>"
FILES = {
    "app/hello.flin": HELLO.format("one"),
    "app/live.flin": ECHO.format("one"),
    "app/page.flin": 'route GET { response.html("<b>made</b>") }\n',
    "public/index.html": PAGE.format("one"),
    "public/a.css": "h1 { color: rgb(1, 2, 3) }",
}


@pytest.fixture
def dev(make_server: MakeServer) -> Server:
    server = make_server(files=FILES, start=False)
    server.command = "dev"
    return server.start(free_port())  # one test starts it on its port again


def write(server: Server, name: str, text: str) -> None:
    """Save as editors do that nobody shall see a file half written."""
    new = (server.root / name).with_name(".new")
    new.write_text(text)
    new.rename(server.root / name)


def live_socket(server: Server, **options: Any) -> Any:
    return server.client().ws("/_flin/live", **options)


def next_change(socket: Any, kind: str) -> dict[str, Any]:
    """The next message of one kind; others may come before it."""
    while True:
        message: dict[str, Any] = socket.receive()
        if message["change"] == kind:
            return message


def test_saved_handlers_serve_and_connections_stay(dev: Server) -> None:
    """New answers over a socket that was open before, and over HTTP."""
    client = dev.client()
    with client.ws("/live") as socket, live_socket(dev) as live:
        socket.send("x")
        assert socket.receive() == "one"
        assert live.receive()["fault"] == ""
        write(dev, "app/live.flin", ECHO.format("two"))
        write(dev, "app/hello.flin", HELLO.format("two"))
        wait_until(lambda: client.get("/hello")[1] == "two")
        next_change(live, "page")

        def answer() -> Any:
            socket.send("x")
            return socket.receive()

        wait_until(lambda: answer() == "two")


def test_fault_is_shown_and_the_last_good_program_serves(dev: Server) -> None:
    """In the terminal and to pages; the next good save ends it."""
    client = dev.client()
    with live_socket(dev) as live:
        live.receive()
        write(dev, "app/hello.flin", "route GET { missing( }\n")
        fault = next_change(live, "fault")["fault"]
        assert "FL103" in fault
        assert "app/hello.flin:1" in fault
        assert client.get("/hello") == (200, "one")
        wait_until(lambda: "FL103" in dev.output)
        with live_socket(dev) as late:
            assert "FL103" in late.receive()["fault"]
        write(dev, "app/hello.flin", HELLO.format("three"))
        assert next_change(live, "page")["fault"] == ""
        assert client.get("/hello") == (200, "three")


def test_pages_get_the_script_once(dev: Server) -> None:
    """Files and handlers' pages; nothing else."""
    client = dev.client()
    for path in ("/", "/page"):
        status, body = client.get(path)
        assert status == 200
        assert body.count(b"/_flin/live.js") == 1
        assert client.last_headers["cache-control"] == "no-store"
    assert b"live.js" not in client.get("/a.css")[1]
    status, body = client.get("/_flin/live.js")
    assert status == 200
    assert b"WebSocket" in body


def test_styles_are_told_apart(dev: Server) -> None:
    """A page keeps its state when only its styles change."""
    with live_socket(dev) as live:
        version = live.receive()["version"]
        write(dev, "public/a.css", "h1 { color: rgb(4, 5, 6) }")
        assert next_change(live, "styles")["version"] == version
        write(dev, "public/index.html", PAGE.format("two"))
        assert next_change(live, "page")["version"] == version + 1


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Host": "evil.example", "Origin": "http://evil.example"},
        {"Host": "evil.example"},
    ],
    ids=str,
)
def test_other_sites_cannot_read_source(dev: Server, headers: dict[str, str]) -> None:
    """Neither with their own origin nor with a name that points at this machine."""
    handshake = {
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    }
    assert dev.client().get("/_flin/live", **handshake, **headers)[0] == 403


def test_serve_has_no_live_pages(make_server: MakeServer) -> None:
    """The script exists under `flinfast dev` only."""
    server = make_server(files=FILES)
    client = server.client()
    assert b"live.js" not in client.get("/")[1]
    assert client.get("/_flin/live.js")[0] == 404
    with pytest.raises(InvalidStatus) as caught:
        live_socket(server)
    assert caught.value.response.status_code == 404


def test_program_that_is_faulty_from_the_start_is_waited_for(make_server: MakeServer) -> None:
    """It serves as soon as it can."""
    server = make_server(files={"app/a.flin": "route GET { missing }\n"}, start=False)
    server.command = "dev"
    repair = threading.Thread(
        target=lambda: (
            wait_until(lambda: "waiting for a change" in server.output, START_S),
            write(server, "app/a.flin", HELLO.format("now")),
        )
    )
    repair.start()
    server.start()
    repair.join()
    assert server.client().get("/a") == (200, "now")


def test_stop_ends_it(dev: Server) -> None:
    """With open pages, and with status 0."""
    live = live_socket(dev)
    live.receive()
    assert dev.stop() == 0
    live.connection.close()


# --- the parts ----------------------------------------


@pytest.mark.parametrize(
    ("host", "is_local"),
    [
        ("localhost", True),
        ("localhost:3000", True),
        ("app.localhost:1", True),
        ("127.0.0.1:3000", True),
        ("[::1]:3000", True),
        ("[::1]", True),
        ("192.168.0.7:3000", True),
        ("evil.example", False),
        ("localhost.evil.example:3000", False),
        ("127.0.0.1.evil.example", False),
        ("", False),
    ],
)
def test_local_names(host: str, is_local: bool) -> None:
    """Names that nobody can point somewhere else, and addresses."""
    assert is_local_name(host) is is_local


@pytest.mark.parametrize(
    ("page", "rest"),
    [
        (b"<body>x</body></html>", b"</body></html>"),
        (b"<body><script>a = '</body></html>'</script>x</BODY ></html>", b"</BODY ></html>"),
        (b"<p>x</HTML>", b"</HTML>"),
        (b"<p>x", b""),
    ],
)
def test_script_goes_to_the_end_of_the_body(page: bytes, rest: bytes) -> None:
    """Not into a text of the page's own scripts."""
    assert page[_end_of(page) :] == rest


@pytest.mark.parametrize(
    ("name", "matters"),
    [
        ("app/a.flin", True),
        ("lib/x.flin", True),
        ("public/a.png", True),
        ("flinfast.toml", True),
        (".flindb/flin.db-wal", False),
        ("app/.a.flin.swp", False),
        ("app/a.flin~", False),
        ("notes.txt", False),
    ],
)
def test_files_that_matter(name: str, matters: bool) -> None:
    """What editors and the database write beside them is left alone."""
    assert _matters(name) is matters


def no_events(*_: Any, stop_event: threading.Event, **__: Any) -> Iterator[set[Any]]:
    """`watchfiles.watch` where the system tells nothing, and time passes quickly."""
    while not stop_event.wait(0.01):
        yield set()


@pytest.mark.parametrize("has_events", [True, False], ids=["events", "looking"])
def test_changes_are_noticed(
    tmp_path: Path, has_events: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the system's events and without them."""
    if not has_events:
        monkeypatch.setattr("watchfiles.watch", no_events)
    (tmp_path / "app").mkdir()
    path = tmp_path / "app" / "a.flin"
    path.write_text("1")
    stop = threading.Event()
    found: list[str] = []

    def follow() -> None:
        for batch in changes(tmp_path, stop, before):
            found.extend(batch)

    before = look_at(tmp_path)
    path.write_text("22")  # before it is looked at
    thread = threading.Thread(target=follow, daemon=True)
    thread.start()
    wait_until(lambda: str(path) in found)
    found.clear()
    added = tmp_path / "app" / "b.flin"
    added.write_text("3")
    wait_until(lambda: str(added) in found)
    found.clear()
    path.unlink()
    wait_until(lambda: str(path) in found)
    stop.set()
    thread.join(RECEIVE_S)
    assert not thread.is_alive()


@pytest.mark.parametrize("has_events", [True, False], ids=["events", "looking"])
def test_changes_of_a_single_file_are_noticed(
    tmp_path: Path, has_events: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each of them, and nothing else in its folder, which may be a person's home."""
    if not has_events:
        monkeypatch.setattr("watchfiles.watch", no_events)
    path = tmp_path / "hello.flin"
    path.write_text("1")
    stop = threading.Event()
    found: set[str] = set()
    before = look_at(tmp_path, path)

    def follow() -> None:
        for batch in changes(tmp_path, stop, before, path):
            found.update(batch)

    thread = threading.Thread(target=follow, daemon=True)
    thread.start()
    for text in ("22", "333"):
        (tmp_path / "other.flin").write_text(text)
        path.write_text(text)
        wait_until(lambda: found)
        assert found == {str(path)}
        found.clear()
    stop.set()
    thread.join(RECEIVE_S)
    assert not thread.is_alive()


@pytest.mark.parametrize("is_told", [False, True])
def test_an_emptied_file_is_told_after_a_while(
    tmp_path: Path, is_told: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until then it may be a save that was seen in its middle, which is told once it is whole."""
    monkeypatch.setattr("flinfast.cli.dev.EMPTIED_S", 0.0 if is_told else 3600.0)
    looks: list[object] = []
    monkeypatch.setattr(
        "flinfast.cli.dev.look_at", lambda *a, **b: looks.append(0) or look_at(*a, **b)
    )
    (tmp_path / "app").mkdir()
    path, other = tmp_path / "app" / "a.flin", tmp_path / "app" / "b.flin"
    path.write_text("1")
    stop = threading.Event()
    found: list[str] = []
    before = look_at(tmp_path)

    def follow() -> None:
        for batch in changes(tmp_path, stop, before):
            found.extend(batch)

    thread = threading.Thread(target=follow, daemon=True)
    thread.start()
    path.write_text("")
    if not is_told:
        other.write_text("2")  # what else is saved has to wait: the whole project is read again
        count = len(looks)
        wait_until(lambda: len(looks) > count + 1)
        assert found == []
        path.write_text("3")
        wait_until(lambda: str(other) in found)
    wait_until(lambda: str(path) in found)
    stop.set()
    thread.join(RECEIVE_S)
    assert not thread.is_alive()


@pytest.mark.browser
@browser_marks[1]
@browser_marks[2]
@browser_marks[3]
def test_page_follows_the_source(dev: Server, make_page: Callable[[str], webdriver.Chrome]) -> None:
    """A person saves: the page changes, shows a fault, and is there again; the server restarts."""
    page = make_page(f"http://127.0.0.1:{dev.port}/")

    def heading() -> Any:
        return page.execute_script("return document.querySelector('h1')?.textContent")

    def overlay() -> Any:
        return page.execute_script(
            "return document.getElementById('flinfast-fault')?.textContent ?? ''"
        )

    def color() -> Any:
        return page.execute_script("return getComputedStyle(document.querySelector('h1')).color")

    assert heading() == "one"
    wait_until(lambda: "_flin/live" in dev.output and '"status":101' in dev.output)
    write(dev, "public/index.html", PAGE.format("two"))
    wait_until(lambda: heading() == "two")
    write(dev, "public/a.css", "h1 { color: rgb(7, 8, 9) }")
    wait_until(lambda: color() == "rgb(7, 8, 9)")
    write(dev, "app/hello.flin", "route GET { missing( }\n")
    wait_until(lambda: "FL103" in overlay())
    write(dev, "app/hello.flin", HELLO.format("two"))
    wait_until(lambda: overlay() == "")
    port = dev.port
    dev.stop()
    write(dev, "public/index.html", PAGE.format("three"))
    dev.start(port)
    wait_until(lambda: heading() == "three")
    assert page.find_element(By.CSS_SELECTOR, "h1").text == "three"
