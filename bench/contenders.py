"""Who is measured: the ceiling, flinfast and its peers, each a server process on one port."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).resolve().parent
BUILD = HERE / "build"
CC_FLAGS = ["-O3", "-march=native", "-w"]


def compile_c(name: str) -> Path:
    """Build `wsload/NAME.c` once; rebuilt when the source is newer."""
    source, target = HERE / "wsload" / f"{name}.c", BUILD / name
    if not target.exists() or target.stat().st_mtime < source.stat().st_mtime:
        BUILD.mkdir(exist_ok=True)
        compiler = os.environ.get("CC", "cc")
        subprocess.run([compiler, *CC_FLAGS, "-o", str(target), str(source)], check=True)
    return target


@dataclass(frozen=True)
class Contender:
    """One server program.

    Attributes:
        name: As shown in tables.
        command: Port to argument list.
        available: Why it cannot run here, or "" when it can.
        environment: Added to the process environment.
        http: Path of its JSON GET, or "" when it has none.
    """

    name: str
    command: Callable[[int], list[str]]
    available: Callable[[], str] = lambda: ""
    environment: dict[str, str] = field(default_factory=dict)
    http: str = "/hello"


def _needs(*modules: str) -> Callable[[], str]:
    def check() -> str:
        missing = [name for name in modules if importlib.util.find_spec(name) is None]
        return f"not installed: {', '.join(missing)}" if missing else ""

    return check


def _python(script: str) -> Callable[[int], list[str]]:
    return lambda port: [sys.executable, str(HERE / "servers" / script), str(port)]


def _node() -> str:
    if shutil.which("node") is None:
        return "node is not on PATH"
    modules = HERE / "build" / "node_modules" / "ws"
    return "" if modules.exists() else f"run `npm install --prefix {BUILD.name} ws` in bench/"


def _node_command(port: int) -> list[str]:
    # Node resolves packages from the script's folder, so the script goes beside node_modules.
    script = BUILD / "ws_server.mjs"
    shutil.copyfile(HERE / "servers" / "ws_server.mjs", script)
    return ["node", str(script), str(port)]


def _flinfast(*extra: str) -> Callable[[int], list[str]]:
    def command(port: int) -> list[str]:
        # A copy per run: .flindb/ must not grow inside the source tree.
        root = Path(tempfile.mkdtemp(prefix="flinfast-bench-"))
        shutil.copytree(HERE / "app" / "app", root / "app")
        arguments = ["--port", str(port), "--log-level", "error", *extra]
        return [sys.executable, "-m", "flinfast", "serve", str(root), *arguments]

    return command


_FLIN_ENVIRONMENT = {"FLIN_WS_MAX_MESSAGE": "32MB", "FLIN_LOG_ACCESS": "off"}

CONTENDERS: dict[str, Contender] = {
    entry.name: entry
    for entry in (
        Contender("limit", lambda port: [str(compile_c("limit")), str(port)]),
        Contender("limit-coalesce", lambda port: [str(compile_c("limit")), str(port), "-c"]),
        Contender("flinfast", _flinfast(), environment=_FLIN_ENVIRONMENT),
        Contender(
            "flinfast-adapter",
            _flinfast(),
            environment={**_FLIN_ENVIRONMENT, "FLIN_SERVER_DATA_PLANE": "adapter"},
        ),
        Contender("picows", _python("picows_server.py"), _needs("picows", "uvloop"), http=""),
        Contender(
            "websockets", _python("websockets_server.py"), _needs("websockets", "uvloop"), http=""
        ),
        Contender("aiohttp", _python("aiohttp_server.py"), _needs("aiohttp", "uvloop")),
        Contender(
            "uvicorn+starlette",
            lambda port: [
                *[sys.executable, "-m", "uvicorn", "starlette_app:app", "--port", str(port)],
                *["--app-dir", str(HERE / "servers"), "--log-level", "error", "--no-access-log"],
                *["--loop", "uvloop", "--ws-max-size", str(1 << 25)],
                *["--ws-per-message-deflate", "false"],
            ],
            _needs("uvicorn", "starlette", "websockets"),
        ),
        Contender(
            "granian",
            lambda port: [
                *[sys.executable, "-m", "granian", "--interface", "asgi", "--port", str(port)],
                *["--working-dir", str(HERE / "servers"), "--loop", "uvloop", "--no-access-log"],
                *["--log-level", "error", "starlette_app:app"],
            ],
            _needs("granian", "starlette"),
        ),
        Contender("node-ws", _node_command, _node),
    )
}
