"""Who is measured: the ceiling, flinfast and its peers, each a server process on one port."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from bench import peers

HERE = peers.HERE
BUILD = peers.BUILD
CC_FLAGS = ["-O3", "-march=native", "-w"]
EVERY_KIND = frozenset({"echo", "fanout", "connect", "idle", "http"})
SOCKETS = EVERY_KIND - {"http"}
WITH_SESSIONS = EVERY_KIND | {"session"}  # peers have none of their own


def compile_c(name: str) -> Path:
    """Build `wsload/NAME.c` once; rebuilt when a source is newer."""
    folder, target = HERE / "wsload", BUILD / name
    sources = [folder / f"{name}.c", *folder.glob("*.h")]
    if not target.exists() or target.stat().st_mtime < max(s.stat().st_mtime for s in sources):
        BUILD.mkdir(exist_ok=True)
        # Aside and renamed: another run may be executing the old program.
        fresh = target.with_suffix(f".{os.getpid()}")
        compiler = os.environ.get("CC", "cc")
        subprocess.run([compiler, *CC_FLAGS, "-o", str(fresh), str(sources[0])], check=True)
        fresh.replace(target)
    return target


@dataclass(frozen=True)
class Contender:
    """One server program.

    Attributes:
        name: As shown in tables.
        command: Port and a folder of its own, empty at first, to an argument list.
        available: Why it cannot run here, or "" when it can.
        environment: Added to the process environment.
        kinds: Scenario kinds that it takes part in.
        version: Shell-free command that prints its version, or a module to ask for it.
    """

    name: str
    command: Callable[[int, Path], list[str]]
    available: Callable[[], str] = lambda: ""
    environment: dict[str, str] = field(default_factory=dict)
    kinds: frozenset[str] = EVERY_KIND


def _limit(*extra: str) -> Callable[[int, Path], list[str]]:
    return lambda port, _: [str(compile_c("limit")), str(port), *extra]


def _flinfast(port: int, folder: Path) -> list[str]:
    # A copy: .flindb/ must not grow inside the source tree.
    shutil.copytree(HERE / "app" / "app", folder / "app")
    arguments = ["--port", str(port), "--log-level", "error"]
    return [sys.executable, "-m", "flinfast", "serve", str(folder), *arguments]


def _script(name: str) -> Contender:
    """A peer whose server is `servers/NAME_server.py`."""
    modules = peers.PYTHON_PACKAGES[name]

    def command(port: int, _: Path) -> list[str]:
        script = HERE / "servers" / f"{name}_server.py"
        return [peers.python_for(modules), str(script), str(port)]

    kinds = SOCKETS if name in {"picows", "websockets"} else EVERY_KIND
    return Contender(name, command, lambda: peers.missing(modules), kinds=kinds)


def _asgi(name: str, *arguments: str) -> Contender:
    """A peer that serves `servers/starlette_app.py`."""
    modules = peers.PYTHON_PACKAGES[name]

    def command(port: int, _: Path) -> list[str]:
        program = [peers.python_for(modules), "-m", modules[0]]
        return [*program, "starlette_app:app", "--port", str(port), *arguments]

    return Contender(name, command, lambda: peers.missing(modules))


def _socketify_missing() -> str:
    return peers.missing(("socketify",)) or peers.loads("socketify")


def _node(port: int, _: Path) -> list[str]:
    # Node resolves packages from the script's folder, so the script goes beside node_modules.
    script = BUILD / "ws_server.mjs"
    shutil.copyfile(HERE / "servers" / "ws_server.mjs", script)
    return ["node", str(script), str(port)]


def _bun(port: int, _: Path) -> list[str]:
    return [str(peers.bun()), str(HERE / "servers" / "bun_server.mjs"), str(port)]


def _bun_missing() -> str:
    package = peers.bun_package()
    return peers.npm_missing(package) if package else "no program for this kind of machine"


_FLIN_ENVIRONMENT = {"FLIN_WS_MAX_MESSAGE": "32MB", "FLIN_LOG_ACCESS": "off"}
_SERVERS = str(HERE / "servers")

CONTENDERS: dict[str, Contender] = {
    entry.name: entry
    for entry in (
        Contender("limit", _limit(), kinds=WITH_SESSIONS),
        Contender("limit-coalesce", _limit("-c"), kinds=frozenset({"fanout"})),
        Contender("flinfast", _flinfast, environment=_FLIN_ENVIRONMENT, kinds=WITH_SESSIONS),
        Contender(
            "flinfast-adapter",
            _flinfast,
            environment={**_FLIN_ENVIRONMENT, "FLIN_SERVER_DATA_PLANE": "adapter"},
            kinds=WITH_SESSIONS,
        ),
        Contender("bun", _bun, _bun_missing),
        Contender("socketify", _script("socketify").command, _socketify_missing),
        _script("picows"),
        _script("websockets"),
        _script("aiohttp"),
        _asgi(
            "uvicorn+starlette",
            *("--app-dir", _SERVERS, "--log-level", "error", "--no-access-log"),
            *("--loop", "uvloop", "--http", "httptools", "--ws-max-size", str(1 << 25)),
            *("--ws-per-message-deflate", "false"),
        ),
        _asgi(
            "granian",
            *("--interface", "asgi", "--working-dir", _SERVERS, "--loop", "uvloop"),
            *("--log-level", "error", "--http", "1"),
        ),
        Contender("node-ws", _node, lambda: peers.node_missing() or peers.npm_missing("ws")),
    )
}
# What `python -m bench` measures unless told otherwise.
DEFAULT = tuple(name for name in CONTENDERS if name != "flinfast-adapter")
