"""Fixtures that start servers; what they are made of stands in running.py."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from flinfast.runtime.builtins import security
from flinfast.server import loop as loop_module
from tests.server.hashing import Hashing
from tests.server.running import Running


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Running]]:
    """Starts servers; all of them are stopped after the test."""
    running: list[Running] = []

    def begin(**settings: str) -> Running:
        environ = {f"FLIN_{name.upper()}": value for name, value in settings.items()}
        one = Running(tmp_path / f"site{len(running)}", environ)
        running.append(one)
        return one.start()

    yield begin
    for one in running:
        one.stop()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One server for all tests of a module that need no settings of their own."""
    running = Running(tmp_path_factory.mktemp("site"), {"FLIN_LOG_ACCESS": "off"}).start()
    yield running
    running.stop()


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """Paths of a self-signed certificate and its key."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("needs the openssl command")
    folder = tmp_path_factory.mktemp("tls")
    certificate, key = folder / "cert.pem", folder / "key.pem"
    subject = ("-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1")
    curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1")
    out = ("-keyout", str(key), "-out", str(certificate))
    subprocess.run(
        [openssl, "req", "-x509", "-nodes", "-days", "2", *curve, *out, *subject],
        check=True,
        capture_output=True,
    )
    return str(certificate), str(key)


@pytest.fixture
def hashing(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hashing]:
    """One thread hashes, and is held, so that others wait in line."""
    found = Hashing()
    monkeypatch.setattr(loop_module, "COMPUTE_THREADS_MAX", 1)
    monkeypatch.setattr(security, "_hasher", lambda: found)
    yield found
    found.gate.set()
