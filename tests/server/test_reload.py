"""SIGHUP and systemd: program and certificate read again, states told, sockets handed over."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from flinfast.lang.cache import FILE_NAME
from flinfast.runtime import compile_apart
from flinfast.server import listen
from flinfast.server.notify import notify
from flinfast.settings import ServerSettings
from tests.e2e.conftest import Server, wait_until
from tests.runtime.programs import write
from tests.server.hashing import Hashing, ask
from tests.server.program import Program
from tests.server.running import TIMEOUT_S, Client, Running

Start = Callable[..., Running]
ENDED = re.compile("program (not )?reloaded")  # the last line of a reload
COMPILE_S = 240.0  # for 2,000 routes on a busy machine
ONE = {
    "app/index.flin": "route GET { 1 }",
    "app/ws.flin": "ws { on message(data) { ws_send(ws.connection_id, 1) } }",
}
TWO = {
    "app/index.flin": "route GET { 2 }",
    "app/ws.flin": "ws { on message(data) { ws_send(ws.connection_id, 2) } }",
    "app/new.flin": 'route GET { "new" }',
}
BROKEN = {"app/index.flin": "guard nonsense\n\nroute GET { 3 }"}


def reload(program: Running) -> None:
    """What the signal does, in the server's thread, until it is over."""
    before = len(ENDED.findall(program.log_text()))
    program.loop.call_soon_threadsafe(program.server.reload)
    program.wait_for(lambda: len(ENDED.findall(program.log_text())) > before)


def test_a_changed_program_serves_and_sockets_stay(tmp_path: Path) -> None:
    """New handlers from the next request and the next message on; nobody is disconnected."""
    with Program(tmp_path, ONE) as program:
        browser = program.client()
        with browser.ws("/ws") as socket_, program.connect() as kept:
            assert kept.get("/").body == b"1"
            write(tmp_path, TWO)
            reload(program)
            socket_.send("x")
            assert socket_.receive() == 2
            assert kept.get("/").body == b"2"
            assert kept.get("/new").body == b'"new"'
        program.wait_for(lambda: "program reloaded" in program.log_text())


def test_sockets_without_a_block_are_told_once(tmp_path: Path) -> None:
    """They stay open, unheard, until the block is there again; a path nobody uses is no news."""
    gone = "a `ws` block is gone"
    with Program(tmp_path, {**ONE, "app/unused.flin": ONE["app/ws.flin"]}) as program:
        browser = program.client()
        with browser.ws("/ws") as socket_:
            (tmp_path / "app/ws.flin").unlink()
            (tmp_path / "app/unused.flin").unlink()
            reload(program)
            lines = [line for line in program.log_text().splitlines() if gone in line]
            assert len(lines) == 1
            assert re.search(r"/ws\b", lines[0])
            assert re.search(r"sockets\W+1\b", lines[0])
            socket_.send("unheard")
            reload(program)
            assert program.log_text().count(gone) == 1
            write(tmp_path, TWO)
            reload(program)
            socket_.send("x")
            assert socket_.receive() == 2
            (tmp_path / "app/ws.flin").unlink()
            reload(program)
            assert program.log_text().count(gone) == 2


def test_messages_are_answered_while_a_large_program_is_read_again(tmp_path: Path) -> None:
    """2,000 routes take seconds to compile; meanwhile the old program serves, then the new one."""
    files = {
        f"app/g{i % 40}/r{i}.flin": f"route GET {{ [1, {i}] }}\nroute POST {{ {{ a: {i} }} }}\n"
        for i in range(2000)
    }
    with Program(tmp_path, ONE) as program:
        browser = program.client()
        with browser.ws("/ws") as socket_, program.connect() as kept:
            write(tmp_path, {**files, **TWO})
            program.loop.call_soon_threadsafe(program.server.reload)
            answers: list[int] = []
            deadline = time.monotonic() + COMPILE_S
            while not answers or answers[-1] == 1:
                assert time.monotonic() < deadline
                socket_.send("x")
                answers.append(socket_.receive())
                assert kept.get("/").body in (b"1", b"2")
            # Compiling takes a hundred times as long as an answer: many came in between.
            assert answers.count(1) > 20
            assert answers[-1] == 2
            assert kept.get("/g5/r5").body == b"[1,5]"


def test_faults_of_a_large_program_come_from_the_other_process(tmp_path: Path) -> None:
    """With their places, as those of a small one."""
    filling = "// " + "x" * compile_apart.APART_CHARS_MIN
    with Program(tmp_path, ONE) as program:
        write(tmp_path, {"app/index.flin": f"{BROKEN['app/index.flin']}\n{filling}\n"})
        program.loop.call_soon_threadsafe(program.server.reload)
        deadline = time.monotonic() + COMPILE_S
        while "the last good one serves on" not in program.log_text():
            assert time.monotonic() < deadline
            assert program.client().get("/").body == b"1"
        assert "FL201" in program.log_text()
        assert "app/index.flin:1" in program.log_text()


def test_a_request_to_reload_during_a_reload_is_not_lost(tmp_path: Path) -> None:
    """What changed after the first began is served in the end."""
    with Program(tmp_path, ONE) as program:

        def twice() -> None:
            program.server.reload()
            write(tmp_path, TWO)
            program.server.reload()

        program.loop.call_soon_threadsafe(twice)
        program.wait_for(lambda: program.log_text().count("program reloaded") == 2)
        assert program.client().get("/").body == b"2"


def test_handlers_that_wait_while_entities_change_are_refused(
    tmp_path: Path, hashing: Hashing
) -> None:
    """The database is another one when they go on: 503, and what came before the wait is kept."""
    files = {
        "entities/note.flin": "entity Note { text: text }",
        "app/hash.flin": """
            route POST {
                save Note { text: "before" }
                hash_password(body.password)
                save Note { text: "after" }
            }
            route GET { Note.all.map(n => n.text) }
        """,
    }
    with Program(tmp_path, files) as program, program.connect() as client:
        ask(client, "only")
        program.wait_for(lambda: hashing.seen == ["only"])
        write(tmp_path, {"entities/note.flin": "entity Note { text: text  rank: int = 1 }"})
        reload(program)
        hashing.gate.set()
        assert client.read_response().status == 503
        assert program.client().get("/hash").body == b'["before"]'
        program.wait_for(lambda: "was opened again, for other entities" in program.log_text())


def test_a_broken_program_changes_nothing(tmp_path: Path) -> None:
    """The last good one serves on; the log names the fault; a repaired one is taken."""
    with Program(tmp_path, ONE) as program:
        browser = program.client()
        with browser.ws("/ws") as socket_:
            write(tmp_path, BROKEN)
            reload(program)
            assert browser.get("/").body == b"1"
            socket_.send("x")
            assert socket_.receive() == 1
            program.wait_for(lambda: "the last good one serves on" in program.log_text())
            text = program.log_text()
            assert "FL201" in text
            assert "app/index.flin:1" in text
            write(tmp_path, TWO)
            reload(program)
            assert browser.get("/").body == b"2"


def test_a_lost_project_changes_nothing(tmp_path: Path) -> None:
    """Even without its folder."""
    with Program(tmp_path, ONE) as program:
        (tmp_path / "app").rename(tmp_path / "gone")
        reload(program)
        assert program.client().get("/").body == b"1"
        program.wait_for(lambda: "the last good one serves on" in program.log_text())


def test_the_signal_reloads_a_server(tmp_path: Path) -> None:
    """SIGHUP to `flinfast serve`, as `systemctl reload` sends it."""
    server = Server(write(tmp_path, ONE), {}, ()).start()
    try:
        client = server.client()
        assert client.get("/")[1] == 1
        write(tmp_path, TWO)
        os.kill(server.pid, signal.SIGHUP)
        wait_until(lambda: client.get("/")[1] == 2)
        write(tmp_path, BROKEN)
        os.kill(server.pid, signal.SIGHUP)
        wait_until(lambda: "last good one" in server.output)
        assert client.get("/")[1] == 2
    finally:
        assert server.stop() == 0


# Python runs this before the server and before its compiler, which then stops in the middle.
STOPPING_COMPILER = """
import os, signal, sys

class Stop:
    def find_spec(self, name, path=None, target=None):
        if name == "flinfast.lang.parser":
            os.kill(os.getpid(), signal.SIGSTOP)

if "flinfast.runtime.compile_apart" in sys.orig_argv:
    sys.meta_path.insert(0, Stop())
"""


def stopped_compiler_of(pid: int) -> int:
    """The process that compiles for a server and was stopped, 0 while there is none."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            state, parent = (folder / "stat").read_text().rpartition(")")[2].split()[:2]
            is_compiler = b"compile_apart" in (folder / "cmdline").read_bytes()
        except OSError:
            continue  # it has ended meanwhile
        if state == "T" and int(parent) == pid and is_compiler:
            return int(folder.name)
    return 0


def has_ended(pid: int) -> bool:
    """Whether a process is gone, or only its new parent has not noticed yet."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks for the child in /proc")
def test_a_killed_server_takes_its_compiler_along(tmp_path: Path) -> None:
    """It ends before its work is done: what is kept of the program is still that of the old one."""
    root, modules = write(tmp_path / "project", ONE), tmp_path / "modules"
    write(modules, {"sitecustomize.py": STOPPING_COMPILER})
    search = os.pathsep.join([str(modules), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
    server = Server(root, {"PYTHONPATH": search}, ()).start()
    kept = root / ".flindb" / FILE_NAME
    before = kept.read_bytes()
    try:
        write(root, {f"app/r{i}.flin": f"route GET {{ [1, {i}] }}\n" for i in range(2000)})
        os.kill(server.pid, signal.SIGHUP)
        compiler = wait_until(lambda: stopped_compiler_of(server.pid), COMPILE_S)
    finally:
        server.stop(signal.SIGKILL)
    assert not has_ended(compiler)
    os.kill(compiler, signal.SIGCONT)
    wait_until(lambda: has_ended(compiler), 60.0)
    assert kept.read_bytes() == before


# --- certificates ----------------------------------------


def make_certificate(folder: Path, name: str) -> tuple[Path, Path]:
    """A self-signed certificate and its key."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("needs the openssl command")
    certificate, key = folder / f"{name}.pem", folder / f"{name}.key"
    subject = ("-subj", f"/CN={name}", "-addext", "subjectAltName=IP:127.0.0.1")
    curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1")
    out = ("-keyout", str(key), "-out", str(certificate))
    subprocess.run(
        [openssl, "req", "-x509", "-nodes", "-days", "2", *curve, *out, *subject],
        check=True,
        capture_output=True,
    )
    return certificate, key


def name_served(running: Running) -> bytes:
    """The certificate that a new connection is shown, DER."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with (
        socket.create_connection(("127.0.0.1", running.port), TIMEOUT_S) as link,
        context.wrap_socket(link) as wrapped,
    ):
        shown = wrapped.getpeercert(binary_form=True)
    assert shown is not None
    return shown


def test_a_renewed_certificate_is_shown(start: Start, tmp_path: Path) -> None:
    """To new connections; those that are open go on."""
    served, key = tmp_path / "served.pem", tmp_path / "served.key"
    first, second = make_certificate(tmp_path, "first"), make_certificate(tmp_path, "second")

    def install(pair: tuple[Path, Path]) -> None:
        served.write_bytes(pair[0].read_bytes())
        key.write_bytes(pair[1].read_bytes())

    install(first)
    running = start(server_ssl_certfile=str(served), server_ssl_keyfile=str(key))
    before = name_served(running)
    context = ssl.create_default_context(cafile=first[0])
    link = socket.create_connection(("127.0.0.1", running.port), TIMEOUT_S)
    with Client(context.wrap_socket(link, server_hostname="127.0.0.1")) as open_client:
        assert open_client.get("/").status == 200
        install(second)
        reload(running)
        assert name_served(running) != before
        assert open_client.get("/").status == 200
    running.wait_for(lambda: "certificate reloaded" in running.log_text())

    after = name_served(running)
    key.write_bytes(first[1].read_bytes())  # not the certificate's
    reload(running)
    assert name_served(running) == after
    served.write_text("nonsense")
    reload(running)
    assert name_served(running) == after
    running.wait_for(lambda: running.log_text().count("certificate not reloaded") == 2)
    assert running.app.reloads == 3  # counted before the line that reload() waits for


# --- systemd ----------------------------------------


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[socket.socket]:
    """The socket that NOTIFY_SOCKET names."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as link:
        link.bind(str(tmp_path / "notify"))
        link.settimeout(TIMEOUT_S * 2)
        yield link


def test_systemd_is_told(tmp_path: Path, manager: socket.socket) -> None:
    """READY once it listens, RELOADING and READY around SIGHUP, STOPPING at the end."""
    environment = {"NOTIFY_SOCKET": str(tmp_path / "notify")}
    server = Server(write(tmp_path / "project", ONE), environment, ()).start()
    try:
        assert manager.recv(4096) == b"READY=1"
        os.kill(server.pid, signal.SIGHUP)
        assert manager.recv(4096).startswith(b"RELOADING=1\nMONOTONIC_USEC=")
        assert manager.recv(4096) == b"READY=1"
    finally:
        assert server.stop() == 0
    assert manager.recv(4096) == b"STOPPING=1"


def test_nobody_to_tell_is_no_fault(tmp_path: Path) -> None:
    """No socket, an odd name, a socket that is gone."""
    assert not notify("READY=1", {})
    assert not notify("READY=1", {"NOTIFY_SOCKET": "relative"})
    assert not notify("READY=1", {"NOTIFY_SOCKET": str(tmp_path / "gone")})


def test_an_abstract_name_is_told() -> None:
    """`@name` is Linux's abstract namespace."""
    name = f"flinfast-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as link:
        try:
            link.bind(f"\0{name}")
        except OSError:
            pytest.skip("needs abstract sockets")
        link.settimeout(TIMEOUT_S)
        assert notify("READY=1", {"NOTIFY_SOCKET": f"@{name}"})
        assert link.recv(64) == b"READY=1"


def test_socket_activation(tmp_path: Path) -> None:
    """Two sockets handed over as systemd does, TCP and Unix: both are served."""
    root = write(tmp_path / "project", ONE)
    path = str(tmp_path / "web.sock")
    with socket.socket() as tcp, socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as unix:
        tcp.bind(("127.0.0.1", 0))
        tcp.listen()
        unix.bind(path)  # systemd listens before it starts the service; an earlier stage does not
        script = (
            f"exec 3<&{tcp.fileno()} 4<&{unix.fileno()};"
            "LISTEN_PID=$$ LISTEN_FDS=2; export LISTEN_PID LISTEN_FDS;"
            f'exec "{sys.executable}" -m flinfast serve "{root}"'
        )
        process = subprocess.Popen(
            ["bash", "-c", script],
            pass_fds=(tcp.fileno(), unix.fileno()),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            with Client(socket.create_connection(tcp.getsockname(), TIMEOUT_S)) as client:
                assert client.get("/").body == b"1"
            link = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            link.settimeout(TIMEOUT_S)
            link.connect(path)
            with Client(link) as client:
                assert client.get("/").body == b"1"
        finally:
            process.send_signal(signal.SIGTERM)
            assert process.wait(TIMEOUT_S) == 0


@pytest.mark.parametrize(
    ("pid", "count", "expected"),
    [
        ("self", "1", [3]),
        ("self", "2", [3, 4]),
        ("self", "0", []),
        ("self", "", []),
        ("self", "-1", []),
        ("self", "x", []),
        ("self", "1000", []),
        ("1", "1", []),
        ("", "1", []),
    ],
)
def test_sockets_of_another_process_are_not_taken(
    monkeypatch: pytest.MonkeyPatch, pid: str, count: str, expected: list[int]
) -> None:
    """LISTEN_PID has to be ours; the variables are taken once and not passed on."""
    taken: list[int] = []
    monkeypatch.setattr(os, "set_inheritable", lambda fd, _: taken.append(fd))
    monkeypatch.setenv("LISTEN_PID", str(os.getpid()) if pid == "self" else pid)
    monkeypatch.setenv("LISTEN_FDS", count)
    assert list(listen.activated_fds()) == expected == taken
    assert list(listen.activated_fds()) == []
    assert ("LISTEN_FDS" in os.environ) is (expected == [])


def test_a_flag_wins_over_activation(monkeypatch: pytest.MonkeyPatch) -> None:
    """`--fd` is what somebody asked for."""
    monkeypatch.setenv("LISTEN_PID", str(os.getpid()))
    monkeypatch.setenv("LISTEN_FDS", "1")
    with socket.socket() as inherited:
        inherited.bind(("127.0.0.1", 0))
        (listener,) = listen.open_listeners(ServerSettings(fd=inherited.fileno()))
        with listener:
            assert listener.getsockname() == inherited.getsockname()
    assert os.environ["LISTEN_FDS"] == "1"
