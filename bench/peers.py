"""Where peers live: a virtual environment and npm packages of their own under `bench/build`.

They stay out of the project's environment, so that no peer changes what flinfast runs on. A module
that is not there is looked for in the running interpreter.
"""

from __future__ import annotations

import importlib.util
import platform
import shutil
import subprocess
import sys
from functools import cache
from importlib.machinery import PathFinder
from pathlib import Path

HERE = Path(__file__).resolve().parent
BUILD = HERE / "build"
VENV = BUILD / "venv"
NPM = BUILD / "node_modules"

# One entry per contender: what pip has to install for it.
PYTHON_PACKAGES: dict[str, tuple[str, ...]] = {
    "picows": ("picows", "uvloop"),
    "websockets": ("websockets", "uvloop"),
    "aiohttp": ("aiohttp", "uvloop"),
    "uvicorn+starlette": ("uvicorn", "starlette", "websockets", "httptools", "uvloop"),
    "granian": ("granian", "starlette", "uvloop"),
    "socketify": ("socketify",),
}


def bun_package() -> str:
    """The npm package that holds Bun's program for this machine, or "" when there is none."""
    system = {"linux": "linux", "darwin": "darwin"}.get(sys.platform)
    machine = {"x86_64": "x64", "amd64": "x64", "aarch64": "aarch64", "arm64": "aarch64"}.get(
        platform.machine().lower()
    )
    return f"@oven/bun-{system}-{machine}" if system and machine else ""


def npm_packages() -> tuple[str, ...]:
    """What npm has to install: Node's `ws`, and Bun, whose package is the program itself."""
    return tuple(name for name in ("ws", bun_package()) if name)


def _site_packages() -> list[str]:
    return [str(path) for path in VENV.glob("lib/python*/site-packages")]


def _in_venv(module: str) -> bool:
    return PathFinder.find_spec(module, _site_packages()) is not None


def python_for(modules: tuple[str, ...]) -> str:
    """The interpreter that has all of `modules`: that of the peers, else the running one."""
    if all(map(_in_venv, modules)):
        return str(VENV / "bin" / "python")
    return sys.executable


def missing(modules: tuple[str, ...]) -> str:
    """Why the modules cannot be used, or "" when one interpreter has them all."""
    if all(map(_in_venv, modules)):
        return ""
    absent = [name for name in modules if importlib.util.find_spec(name) is None]
    return f"not installed: {', '.join(absent)}" if absent else ""


@cache
def loads(module: str) -> str:
    """Why a module with a shared library of its own does not load here, or ""."""
    try:
        done = subprocess.run(
            [python_for((module,)), "-c", f"import {module}"],
            capture_output=True,
            timeout=60,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return "did not load within 60 s"
    if done.returncode == 0:
        return ""
    last = done.stderr.decode(errors="replace").strip().splitlines()[-1:]
    return f"does not load: {' '.join(last)[-120:]}"


def bun() -> Path:
    """Bun's program in its npm package; it may not be there."""
    return BUILD / "node_modules" / bun_package() / "bin" / "bun"


def npm_missing(package: str) -> str:
    """Why an npm package cannot be used, or ""."""
    return "" if (NPM / package).exists() else f"npm package {package} is not installed"


def node_missing() -> str:
    """Why Node cannot be used, or ""."""
    return "" if shutil.which("node") else "node is not on PATH"
