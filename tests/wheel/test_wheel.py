"""An installed wheel works: compiled modules load, a new project serves HTTP and a WebSocket.

Needs only pytest, websockets and the wheel; imports nothing from the source tree.
"""

import http.client
import json
import re
import subprocess
import sys
from pathlib import Path

from websockets.sync.client import connect

import flinfast


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
    command = [*flin, "serve", "demo", "--port", "0"]
    server = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    try:
        listens = (re.search(r"App +http://127\.0\.0\.1:(\d+)", line) for line in server.stdout)
        found = next(filter(None, listens), None)
        assert found is not None, "it ended at once"
        port = int(found[1])
        client = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        client.request("GET", "/api/echo")
        assert json.loads(client.getresponse().read()) == {"ok": True}
        client.close()
        with connect(f"ws://127.0.0.1:{port}/api/echo", open_timeout=60) as ws:
            ws.send('{"n": 41}')
            assert json.loads(ws.recv(60)) == {"got": 42}
    finally:
        server.terminate()
        with server.stdout as rest:
            rest.read()
        assert server.wait(60) == 0
