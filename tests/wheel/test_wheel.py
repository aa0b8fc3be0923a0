"""An installed wheel works: compiled modules load, a new project serves HTTP and a WebSocket.

Needs only pytest, websockets and the wheel; imports nothing from the source tree.
"""

import http.client
import json
import socket
import subprocess
import sys
import time
from pathlib import Path

from websockets.sync.client import connect

import flinfast


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_package_is_complete() -> None:
    """Types, long pages of diagnostics and compiled modules are in the wheel."""
    from flinfast.native import frame, hub, mask

    package = Path(flinfast.__file__).parent
    assert (package / "py.typed").exists()
    assert (package / "native" / "hub.pyi").exists()
    assert (package / "lang" / "explain" / "FL201.md").exists()
    assert mask.mask_implementation() in {"avx2", "sse2", "neon", "portable"}
    assert frame.encode_frame(1, b"hi") == b"\x81\x02hi"
    assert hub.CONNECTION_ID_PREFIX == "ws_"


def test_new_project_serves(tmp_path: Path) -> None:
    """`flinfast new`, `check` and `serve`: a message goes through and SIGTERM ends it."""
    flin = [sys.executable, "-m", "flinfast"]
    subprocess.run([*flin, "new", "demo", "--template", "blank"], cwd=tmp_path, check=True)
    endpoint = tmp_path / "demo" / "app" / "api" / "echo.flin"
    endpoint.parent.mkdir(parents=True, exist_ok=True)
    endpoint.write_text(
        "route GET { { ok: true } }\n"
        "ws { on message(data) { ws_send(ws.connection_id, { got: data.n + 1 }) } }\n"
    )
    subprocess.run([*flin, "check", "demo"], cwd=tmp_path, check=True)
    port = _free_port()
    server = subprocess.Popen([*flin, "serve", "demo", "--port", str(port)], cwd=tmp_path)
    try:
        deadline = time.monotonic() + 20
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                assert server.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.05)
        client = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        client.request("GET", "/api/echo")
        assert json.loads(client.getresponse().read()) == {"ok": True}
        client.close()
        with connect(f"ws://127.0.0.1:{port}/api/echo") as ws:
            ws.send('{"n": 41}')
            assert json.loads(ws.recv(10)) == {"got": 42}
    finally:
        server.terminate()
        assert server.wait(20) == 0
