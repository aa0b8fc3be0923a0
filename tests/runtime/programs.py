"""Small FLIN programs as dictionaries of files, and clients for them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from flinfast.runtime.app import App
from flinfast.settings import Settings
from flinfast.testing import TestClient
from tests.runtime.harness import ManualLoop, RecordingLog

LOGIN = {
    "app/login.flin": """
        route POST {
            u = User.where(name == body.name).first
            if u == none { u = User { name: body.name, role: body.role } save u }
            session.user = u
            { id: u.id }
        }
        route DELETE { session.destroy() }
    """,
    "entities/user.flin": "entity User { name: text @required @unique  role: text }",
}


def write(root: Path, files: Mapping[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return root


def client_of(root: Path, files: Mapping[str, str], **tables: Any) -> TestClient:
    """A client of a program; keyword arguments replace tables of the settings."""
    write(root, files)
    return TestClient(root, settings=replace(Settings(mode="test"), **tables))


def app_of(root: Path, files: Mapping[str, str], **tables: Any) -> tuple[App, ManualLoop]:
    """A program on a manual loop, for tests that move time and disk."""
    write(root, files)
    loop = ManualLoop()
    settings = replace(Settings(mode="test"), **tables)
    app = App.load(root, settings, scheduler=loop, log=RecordingLog(), clock_ms=loop.clock_ms)
    return app, loop


def logged(client: TestClient, level: str) -> list[str]:
    return [line.text for line in client.log if line.level == level]
