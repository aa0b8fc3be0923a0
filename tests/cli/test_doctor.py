"""`flinfast doctor`: each check tells what is wrong and what to do."""

from __future__ import annotations

import json
import os
import socket
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from flinfast.cli import doctor, doctor_machine
from flinfast.cli.commands import main
from flinfast.errors import BuildError
from flinfast.testing import TestClient

SAVING = 'entity User { name: text }\nroute GET {\n    save User { name: "Ada" }\n    1\n}\n'


@pytest.fixture(autouse=True)
def free_port(monkeypatch: pytest.MonkeyPatch) -> None:
    """The default port may be taken on the machine that runs the tests."""
    monkeypatch.setenv("FLIN_SERVER_PORT", "0")
    monkeypatch.delenv("FLIN_ENV", raising=False)


def project(folder: Path, source: str = "route GET { 1 }\n", toml: str = "") -> Path:
    (folder / "app").mkdir(exist_ok=True)
    (folder / "app" / "index.flin").write_text(source, encoding="utf-8")
    if toml:
        (folder / "flinfast.toml").write_text(toml, encoding="utf-8")
    return folder


def served(folder: Path, source: str) -> Path:
    """A project that has a database."""
    with TestClient(project(folder, source)) as client:
        client.get("/")
    return folder


def examine(capsys: pytest.CaptureFixture[str], path: Path) -> tuple[int, dict[str, Any]]:
    """Exit code, and findings by name."""
    capsys.readouterr()
    code = main(["doctor", str(path), "--json"])
    return code, {found["name"]: found for found in json.loads(capsys.readouterr().out)["findings"]}


def test_sound_project_has_no_errors(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    served(tmp_path, "entity User { name: text }\nroute GET { User.count }\n")
    code, found = examine(capsys, tmp_path)
    assert code == 0, found
    assert {name for name, one in found.items() if one["level"] == "error"} == set()
    assert set(found) >= {
        *("python", "packages", "native", "event loop", "project", "settings", "secret"),
        *("database", "disk", "address"),
    }
    assert "fits the entities" in found["database"]["text"]
    assert "masking with" in found["native"]["text"]


def test_modules_of_other_sources_are_an_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What would be looked at with them is not looked at."""

    def refused(name: str) -> None:
        raise BuildError("compiled modules are older", hint="build")

    monkeypatch.setattr(doctor, "import_module", refused)
    code, found = examine(capsys, tmp_path)
    assert code == 1
    assert set(found) == {"python", "packages", "native", "descriptors"}
    assert (found["native"]["level"], found["native"]["help"]) == ("error", "build")


def test_lines_for_people_end_with_a_count(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["doctor", str(project(tmp_path, "route GET { nope() }\n"))]) == 1
    out = capsys.readouterr().out
    assert "\nerror    project      1 fault in the source\n" in out
    assert f"         = help: run `flinfast check {tmp_path}`\n" in out
    assert "\nerrors: 1, warnings: 1\n" in out


def test_nothing_is_made(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, found = examine(capsys, project(tmp_path))
    assert code == 0
    assert "will be made" in found["database"]["text"]
    assert "will be made" in found["secret"]["text"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["app"]


def test_no_project_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, found = examine(capsys, tmp_path)
    assert code == 1
    assert "no `app` folder" in found["project"]["text"]


def test_fault_of_the_settings_is_an_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, found = examine(capsys, project(tmp_path, toml="[ws]\nheartbeet = 3\n"))
    assert code == 1
    assert "heartbeet" in found["settings"]["text"] + found["settings"]["help"]


def test_secret_that_others_may_read_is_an_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = served(tmp_path, "route GET { 1 }\n")
    secret = folder / ".flindb" / "secret"
    secret.chmod(0o644)
    code, found = examine(capsys, folder)
    assert code == 1
    assert found["secret"]["help"] == f"run `chmod 600 {secret}`"
    secret.chmod(0o600)
    assert examine(capsys, folder)[0] == 0


def test_damaged_database_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = served(tmp_path, "entity User { name: text }\nroute GET { User.count }\n")
    file = folder / ".flindb" / "flin.db"
    raw = bytearray(file.read_bytes())
    raw[4096:] = b"\xff" * (len(raw) - 4096)
    file.write_bytes(raw)
    code, found = examine(capsys, folder)
    assert code == 1
    assert found["database"]["level"] == "error"


def test_entities_that_do_not_fit_are_an_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = served(tmp_path, SAVING)
    project(folder, "entity Member { name: text }\nroute GET { Member.count }\n")
    code, found = examine(capsys, folder)
    assert code == 1
    assert "does not fit" in found["database"]["text"]
    assert "flinfast db" in found["database"]["help"]


def test_taken_port_is_a_warning(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        monkeypatch.setenv("FLIN_SERVER_PORT", str(taken.getsockname()[1]))
        code, found = examine(capsys, project(tmp_path))
    assert code == 0
    assert found["address"]["level"] == "warning"
    assert "--port" in found["address"]["help"]


@pytest.mark.parametrize(
    ("toml", "level"),
    [
        ('host = "0.0.0.0"', "warning"),
        ("proxy_headers = true", "warning"),
        ('host = "0.0.0.0"\nallowed_hosts = ["*"]', "warning"),
        ('host = "0.0.0.0"\nallowed_hosts = ["example.com"]', "ok"),
        ('host = "localhost"', ""),
        ("", ""),
    ],
)
def test_public_server_without_names_is_a_warning(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], toml: str, level: str
) -> None:
    code, found = examine(capsys, project(tmp_path, toml=f"[server]\nport = 0\n{toml}\n"))
    assert code == 0
    assert found.get("hosts", {"level": ""})["level"] == level


def test_certificate_that_cannot_be_used_is_an_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "key.pem").write_text("no key\n", encoding="utf-8")
    toml = f'[server]\nssl_certfile = "{tmp_path}/key.pem"\nssl_keyfile = "{tmp_path}/key.pem"\n'
    code, found = examine(capsys, project(tmp_path, toml=toml))
    assert code == 1
    assert found["TLS"]["level"] == "error"


def signed(folder: Path, start_days: float, end_days: float) -> str:
    """Settings with a certificate that is valid between two days, counted from now."""
    now = datetime.now(UTC)
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now + timedelta(days=start_days))
        .not_valid_after(now + timedelta(days=end_days))
        .sign(key, hashes.SHA256())
    )
    (folder / "cert.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    form = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    (folder / "key.pem").write_bytes(key.private_bytes(serialization.Encoding.PEM, *form))
    files = f'ssl_certfile = "{folder}/cert.pem"\nssl_keyfile = "{folder}/key.pem"\n'
    return f"[server]\n{files}"


@pytest.mark.parametrize(
    ("start", "end", "level", "text"),
    [
        (-1, 30.5, "ok", "30 days left"),
        (-1, 29.5, "warning", "29 days left"),
        (-9, -1, "error", "expired on"),
        (1, 9, "error", "is valid from"),
    ],
)
def test_life_of_the_certificate(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    start: float,
    end: float,
    level: str,
    text: str,
) -> None:
    """Under 30 days are a warning; what is not valid now is an error."""
    code, found = examine(capsys, project(tmp_path, toml=signed(tmp_path, start, end)))
    assert found["TLS"]["level"] == level
    assert text in found["TLS"]["text"]
    assert code == (level == "error")


def test_key_of_another_certificate_is_an_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    signed(tmp_path, -1, 90)
    other = (tmp_path / "key.pem").read_bytes()
    toml = signed(tmp_path, -1, 90)
    (tmp_path / "key.pem").write_bytes(other)
    code, found = examine(capsys, project(tmp_path, toml=toml))
    assert (code, found["TLS"]["level"]) == (1, "error")
    assert "belong together" in found["TLS"]["help"]


def test_clock_that_cannot_be_right_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = project(tmp_path)
    assert examine(capsys, folder)[1]["clock"]["level"] == "ok"
    later = time.time() + 3 * 86_400
    os.utime(folder / "app" / "index.flin", (later, later))
    assert examine(capsys, folder)[1]["clock"]["level"] == "warning"
    monkeypatch.setattr(doctor_machine, "CLOCK_LEAST", later)
    code, found = examine(capsys, folder)
    assert (code, found["clock"]["level"]) == (1, "error")


def test_backlog_that_the_kernel_cuts_is_a_warning(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    kernel = tmp_path / "somaxconn"
    monkeypatch.setattr(doctor_machine, "_SOMAXCONN", kernel)
    assert "backlog" not in examine(capsys, project(tmp_path))[1]
    for limit, level in ((2047, "warning"), (2048, "ok")):
        kernel.write_text(f"{limit}\n")
        assert examine(capsys, project(tmp_path))[1]["backlog"]["level"] == level


def test_little_room_on_disk_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "DISK_LEAST", 1 << 60)
    code, found = examine(capsys, project(tmp_path))
    assert (code, found["disk"]["level"]) == (0, "warning")
    monkeypatch.setattr(doctor, "DISK_NONE", 1 << 60)
    code, found = examine(capsys, project(tmp_path))
    assert (code, found["disk"]["level"]) == (1, "error")


def test_few_descriptors_are_a_warning(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "DESCRIPTORS_LEAST", 1 << 40)
    _, found = examine(capsys, project(tmp_path))
    assert found["descriptors"]["level"] == "warning" or "no limit" in found["descriptors"]["text"]
