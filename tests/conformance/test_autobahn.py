"""The Autobahn suite's quick selection, strictly, against a FLIN endpoint in both data planes.

The whole suite: start the same endpoint and run `tests/conformance/run_autobahn.py URL --strict`.
"""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conformance.run_autobahn import find_python27
from tests.e2e.conftest import Server

RUNNER = Path(__file__).resolve().parent / "run_autobahn.py"
# `ws.payload` and not `data`: a JSON string would leave unquoted, as every text does.
ECHO = "ws { on message(data) { ws_send(ws.connection_id, ws.payload) } }"
RUN_S = 1500  # of a loaded machine
OPTIONS = ("--quick", "--strict", "--timeout", str(RUN_S), "--quiet")
ENVIRONMENT = {
    "FLIN_WS_MAX_MESSAGE": "32MB",
    "FLIN_WS_QUEUE_HARD": "64MB",
    "FLIN_WS_COMPRESSION": "on",
    "FLIN_WS_COMPRESSION_THRESHOLD": "0",
    "FLIN_LOG_ACCESS": "off",
}

pytestmark = pytest.mark.skipif(
    find_python27() is None, reason="the Autobahn suite runs on Python 2.7 with pip"
)


@pytest.fixture(params=["reactor", "adapter"])
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Server]:
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "echo.flin").write_text(ECHO)
    one = Server(tmp_path, {**ENVIRONMENT, "FLIN_SERVER_DATA_PLANE": request.param}, ())
    yield one.start()
    assert one.stop() == 0
    assert "Traceback" not in one.output


@pytest.mark.slow
@pytest.mark.timeout(RUN_S + 100)
def test_quick_selection_is_strictly_ok(server: Server) -> None:
    """Every case OK or INFORMATIONAL; no NON-STRICT, no UNIMPLEMENTED."""
    url = f"ws://127.0.0.1:{server.port}/echo"
    done = subprocess.run(
        [sys.executable, str(RUNNER), url, *OPTIONS],
        capture_output=True,
        timeout=RUN_S + 60,
    )
    assert done.returncode == 0, done.stdout.decode() + done.stderr.decode()
