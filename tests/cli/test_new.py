"""`flinfast new`: every template is in style, passes its tests and serves over sockets."""

from __future__ import annotations

import errno
import http.cookies
import json
import os
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from websockets.sync.client import ClientConnection, connect

import flinfast
from flinfast.cli.commands import main
from flinfast.cli.new import TEMPLATES

ROOT = Path(flinfast.__file__).resolve().parent.parent
ANSWER_S = 60  # of a loaded machine
TESTED = ("api", "collab")


@contextmanager
def serving(root: Path) -> Iterator[str]:
    """A server of a project, in a process of its own; its URL."""
    process = subprocess.Popen(
        [sys.executable, "-m", "flinfast", "serve", str(root), "--port", "0"],
        stderr=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), "NO_COLOR": "1"},
    )
    assert process.stdout is not None
    try:
        seen = ""
        for line in process.stdout:
            seen += line
            found = re.search(r"http://127\.0\.0\.1:\d+", line)
            if found:
                break
        else:
            raise AssertionError(seen)
        yield found[0]
    finally:
        process.send_signal(signal.SIGTERM)
        process.stdout.read()
        process.wait(ANSWER_S)
        process.stdout.close()
    assert process.returncode == 0


class Browser:
    """Keeps cookies from one request to the next."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.cookies: dict[str, str] = {}

    @property
    def cookie(self) -> str:
        return "; ".join(f"{name}={value}" for name, value in self.cookies.items())

    def ask(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"} if data else {}
        if self.cookies:
            headers["Cookie"] = self.cookie
        request = urllib.request.Request(self.url + path, data, headers, method=method)
        try:
            answer = urllib.request.urlopen(request, timeout=ANSWER_S)
        except urllib.error.HTTPError as refused:
            answer = refused
        with answer:
            for line in answer.headers.get_all("Set-Cookie") or ():
                for name, morsel in http.cookies.SimpleCookie(line).items():
                    self.cookies[name] = morsel.value
            text = answer.read().decode()
            is_json = "json" in answer.headers.get("Content-Type", "")
            return answer.status, json.loads(text) if is_json else text


def opened(url: str, browser: Browser) -> ClientConnection:
    """A WebSocket with the session of a browser."""
    fields = {"Cookie": browser.cookie}
    return connect(url, additional_headers=fields, open_timeout=ANSWER_S, ping_interval=None)


def made(tmp_path: Path, template: str) -> Path:
    root = tmp_path / "project"
    assert main(["new", str(root), "--template", template]) == 0
    return root


@pytest.mark.parametrize("template", TEMPLATES)
def test_template_is_in_style_and_without_faults(
    tmp_path: Path, template: str, capsys: pytest.CaptureFixture[str]
) -> None:
    root = made(tmp_path, template)
    assert main(["fmt", "--check", str(root)]) == 0
    assert main(["check", str(root)]) == 0
    done = capsys.readouterr()
    assert done.out.endswith(": no faults\n")
    assert done.err == ""
    assert ".flindb/" in (root / ".gitignore").read_text(encoding="utf-8")


@pytest.mark.parametrize("template", TESTED)
def test_template_passes_its_tests_and_says_what_comes_next(
    tmp_path: Path, template: str, capsys: pytest.CaptureFixture[str]
) -> None:
    root = made(tmp_path, template)
    out = capsys.readouterr().out
    assert f"  next     flinfast dev {root}    serve it while you work on it\n" in out
    assert f"           flinfast test {root}   run its tests\n" in out
    readme = (root / "README.md").read_text(encoding="utf-8")
    assert "    flinfast test\n    flinfast dev\n" in readme
    for name in re.findall(r"^\| `([^`]+)`", readme, re.MULTILINE):
        assert (root / name).exists(), name
    assert main(["test", str(root)]) == 0
    assert re.search(r"\n[1-9]\d* passed, 0 failed\n$", capsys.readouterr().out)


def test_collab_has_the_pages_of_the_documents_example() -> None:
    """One editor in two places stays one editor; the programs behind it differ."""
    template = ROOT / "flinfast" / "cli" / "templates" / "collab" / "public"
    example = ROOT / "examples" / "documents" / "public"
    names = sorted(path.name for path in example.iterdir())
    assert names == sorted(path.name for path in template.iterdir())
    for name in names:
        assert (template / name).read_bytes() == (example / name).read_bytes(), name


def test_pages_look_alike() -> None:
    """What several share is one text, `base.css`; who knows one page knows the look of all."""
    folders = (ROOT / "examples", ROOT / "flinfast" / "cli" / "templates")
    shared = [path for folder in folders for path in folder.glob("*/public/base.css")]
    assert len(shared) >= 6
    assert len({path.read_bytes() for path in shared}) == 1
    for path in shared:
        page = (path.parent / "index.html").read_text(encoding="utf-8")
        assert page.index('"/base.css"') < page.rindex('.css"'), "its own style comes after it"


def test_what_could_not_be_written_whole_is_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A full disk: the folder goes, so that the same command works when there is room."""
    real, written = Path.write_bytes, []

    def full(path: Path, data: bytes) -> int:
        written.append(path)
        if len(written) == 3:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(path, data)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", full)
        assert main(["new", str(tmp_path / "project")]) == 1
    assert "No space left on device" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
    made(tmp_path, "chat")


def test_help_says_what_templates_are(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["new", "--help"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    for name, what in TEMPLATES.items():
        assert f"{name}: {what}" in text


def test_blank_serves(tmp_path: Path) -> None:
    with serving(made(tmp_path, "blank")) as url:
        assert Browser(url).ask("GET", "/api/hello")[0] == 200
        assert "<h1>It works</h1>" in Browser(url).ask("GET", "/")[1]


def test_api_serves(tmp_path: Path) -> None:
    with serving(made(tmp_path, "api")) as url:
        ada = Browser(url)
        account = {"email": "ada@example.org", "name": "Ada", "password": "correct horse"}
        assert ada.ask("GET", "/api/notes")[0] == 401
        assert ada.ask("POST", "/api/accounts", account)[0] == 201
        for title in ("one", "two", "three"):
            assert ada.ask("POST", "/api/notes", {"title": title})[0] == 201
        status, page = ada.ask("GET", "/api/notes?size=2")
        assert (status, page["total"], page["size"]) == (200, 3, 2)
        assert [note["title"] for note in page["items"]] == ["three", "two"]
        assert ada.ask("POST", "/api/notes", {})[0] == 400
        assert ada.ask("DELETE", "/api/session")[0] == 204
        assert ada.ask("POST", "/api/session", {**account, "password": "wrong"})[0] == 401
        assert ada.ask("POST", "/api/session", account)[0] == 200
        assert ada.ask("GET", "/api/notes")[1]["total"] == 3


def test_collab_serves(tmp_path: Path) -> None:
    with serving(made(tmp_path, "collab")) as url:
        ada, bob = Browser(url), Browser(url)
        assert ada.ask("POST", "/api/login", {"name": "Ada"})[0] == 200
        assert bob.ask("POST", "/api/login", {"name": "Bob"})[0] == 200
        status, document = ada.ask("POST", "/api/documents", {"title": "Plan"})
        assert status == 201
        live = f"{url.replace('http', 'ws')}/api/documents/{document['id']}/live"
        with (
            opened(live, ada) as first,
            opened(live, bob) as second,
        ):
            assert json.loads(first.recv(ANSWER_S))["type"] == "init"
            assert sorted(json.loads(second.recv(ANSWER_S))["people"]) == ["Ada", "Bob"]
            assert json.loads(first.recv(ANSWER_S)) == {"type": "user_joined", "user": "Bob"}
            edit = {"type": "edit", "patch": {"start": 0, "delete": 0, "insert": "tea"}}
            second.send(json.dumps(edit))
            assert json.loads(first.recv(ANSWER_S))["patch"]["insert"] == "tea"
            assert json.loads(second.recv(ANSWER_S))["version"] == 2
        versions = ada.ask("GET", f"/api/documents/{document['id']}/versions")[1]
        assert [version["length"] for version in versions] == [0, 3]
        assert "<title>" in ada.ask("GET", "/")[1]


def test_chat_serves(tmp_path: Path) -> None:
    with serving(made(tmp_path, "chat")) as url:
        ada = Browser(url)
        assert ada.ask("POST", "/api/login", {"name": "Ada"})[0] == 200
        live = f"{url.replace('http', 'ws')}/api/chat"
        with opened(live, ada) as socket:
            socket.send(json.dumps({"text": "hi"}))
            texts = [socket.recv(ANSWER_S), socket.recv(ANSWER_S)]
        assert any('"text":"hi"' in str(text) for text in texts), texts
