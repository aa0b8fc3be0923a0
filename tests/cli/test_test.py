"""`flinfast test`: what a project's tests can do, and what is shown of them."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import flinfast
from flinfast.cli.commands import main
from flinfast.cli.watch import look_at
from flinfast.lsp.workspace import Workspace

ROOT = Path(flinfast.__file__).resolve().parent.parent
ENTITY = "entity User { name: text @required @unique }\n"
LOGIN = (
    "route POST {\n    user = User { name: body.name }\n    save user\n    session.user = user\n"
    "    { name: user.name }\n}\n\nroute GET { { name: session.userName } }\n\n"
    "route DELETE {\n    session.destroy()\n    none\n}\n"
)
ROOM = (
    'guard auth\n\nws {\n    on connect { ws_join("tea") }\n    on message(data) {\n'
    '        if data.stop { ws_close("enough") }\n'
    '        if data.bytes { ws_send(ws.connection_id, "binary {data.size}") }\n'
    "        began = now().unix_ms\n        while now().unix_ms - began < (data.busy || 0) { }\n"
    '        sleep(1)\n        broadcast("tea", { from: session.userName, text: data.text })\n'
    "    }\n}\n"
)


def project(folder: Path, **files: str) -> Path:
    texts = {
        "entities/user.flin": ENTITY,
        "app/api/login.flin": LOGIN,
        "app/api/room.flin": ROOM,
        **files,
    }
    for name, text in texts.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder


def run(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> tuple[int, str, str]:
    capsys.readouterr()
    code = main(["test", *map(str, arguments)])
    return (code, *capsys.readouterr())


def outcome_of(
    capsys: pytest.CaptureFixture[str], folder: Path, body: str, **files: str
) -> dict[str, Any]:
    """How one test ended, as JSON tells."""
    text = f'test "it" {{\n{body}\n}}\n'
    _, out, err = run(capsys, project(folder, **{"tests/it.flin": text, **files}), "--json")
    assert out, err
    found: dict[str, Any] = json.loads(out)["tests"][0]
    return found


PASSING = {
    "requests share cookies": """
        expect test_get("/api/login").body.name == none
        answer = test_post("/api/login", { name: "Ada" })
        expect answer.status == 200
        expect answer.headers["content-type"].contains("json")
        expect test_get("/api/login").body.name == "Ada"
        expect test_request("delete", "/api/login").status < 300
        expect test_get("/api/login").body.name == none""",
    "the program sees what the test stored": """
        save User { name: "Ada" }
        expect test_post("/api/login", { name: "Ada" }).status == 409
        expect User.count == 1""",
    "the test sees what the program stored": """
        test_post("/api/login", { name: "Ada" })
        expect User.first.name == "Ada\"""",
    "login": """
        test_login({ id: 7, name: "Bo" })
        expect test_get("/api/login").body.name == "Bo"
        test_login(none)
        expect test_get("/api/login").body.name == none""",
    "messages": """
        test_login({ id: 1, name: "Ada" })
        ada = test_ws("/api/room")
        test_login({ id: 2, name: "Bo" })
        bo = test_ws("/api/room")
        expect ada.status == 101 and bo.is_open
        expect bo.is_silent(20)
        ada.send({ text: "hi" })
        expect bo.receive().text == "hi"
        expect ada.receive(1.seconds).from == "Ada"
        expect !bo.close_code
        bo.close()
        expect !bo.is_open""",
    "a program that holds up the test": """
        test_login({ id: 1, name: "Ada" })
        ada = test_ws("/api/room")
        ada.send({ text: "late", busy: 500 })
        expect ada.receive(20).text == "late\"""",
    "the server closes": """
        test_login({ id: 1, name: "Ada" })
        ada = test_ws("/api/room")
        ada.send({ stop: true })
        end = ada.receive_close()
        expect end.reason == "enough"
        expect ada.close_code == end.code
        expect ada.close_reason == "enough\"""",
    "refused upgrade": """
        socket = test_ws("/api/room")
        expect socket.status == 401
        expect !socket.is_open
        expect test_ws("/nowhere").status == 404""",
    "login again": """
        test_login({ id: 1, name: "Ada" })
        test_login({ id: 2, name: "Bo" })
        expect test_get("/api/login").body.name == "Bo\"""",
    "waiting": """
        save User { name: "Ada" }
        sleep(2)
        expect User.count == 1
        expect verify_password("secret", hash_password("secret"))""",
}


@pytest.mark.parametrize("name", PASSING)
def test_builtins_of_tests_reach_the_program(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    found = outcome_of(capsys, tmp_path, PASSING[name])
    assert found["status"] == "passed", found


FAILING = {
    "expect 1 + 1 == 3": ("FL570", "expected `1 + 1 == 3`"),
    'expect test_get("/api/login").status == 500': ("FL570", "is 200"),
    "x = none\nx.name.len": ("FL502", "none"),
    'sleep(1)\nassert false, "late"': ("FL570", "late"),
    'test_get("no path")': ("FL504", "expected a path"),
    'test_ws("/api/room").send(1)': ("FL571", "refused with 401"),
    'test_login({ id: 1, name: "A" })\ntest_ws("/api/room").receive(20)': ("FL571", "within 20 ms"),
    'test_login({ id: 1, name: "A" })\ns = test_ws("/api/room")\ns.close()\ns.receive()': (
        "FL571",
        "closed with 1000",
    ),
    'test_login({ id: 1, name: "A" })\ntest_ws("/api/room").dance()': ("FL505", "`dance`"),
    'test_login({ id: 1, name: "A" })\ntest_ws("/api/room").receive("x")': ("FL504", "duration"),
}


@pytest.mark.parametrize("body", FAILING)
def test_failing_test_names_its_fault_and_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], body: str
) -> None:
    code, message = FAILING[body]
    found = outcome_of(capsys, tmp_path, body)
    fault = found["fault"]
    assert isinstance(fault, dict)
    assert fault["code"] == code
    assert message in fault["message"]
    assert fault["path"] == "tests/it.flin"
    assert fault["line"] == 2 + body.count("\n")


def test_each_test_starts_from_an_empty_database(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    body = '{\n    expect User.count == 0\n    save User { name: "Ada" }\n    sleep(1)\n}\n'
    folder = project(tmp_path, **{"tests/a.flin": f'test "one" {body}test "two" {body}'})
    code, out, _ = run(capsys, folder)
    assert code == 0
    assert out.endswith("2 passed, 0 failed\n")
    assert not (folder / ".flindb").exists()


def test_failure_is_shown_as_a_diagnostic_with_what_was_logged(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (
        'test "works" { expect true }\n\ntest "fails" {\n    expect test_get("/bad").body == 1\n}\n'
    )
    files = {"app/bad.flin": "route GET { 1 / 0 }\n", "tests/a.flin": text}
    code, out, _ = run(capsys, project(tmp_path, **files))
    assert code == 1
    shown = re.sub(r"\d+ ms", "N ms", out)
    assert "tests/a.flin\n  ok      works  (N ms)\n  FAILED  fails  (N ms)\n" in shown
    assert 'tests/a.flin:3: fails\nerror[FL570]: expected `test_get("/bad").body == 1`' in out
    assert '4 |     expect test_get("/bad").body == 1\n  |     ^^^^^^^' in out
    assert "  log: error: GET /bad failed: cannot divide by zero (app/bad.flin:1)\n" in out
    assert out.endswith("\n1 passed, 1 failed\n")


def test_fault_in_a_function_names_the_test_that_called_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = outcome_of(capsys, tmp_path, "half(0)", **{"lib/m.flin": "fn half(n) { 1 / n }\n"})
    fault = found["fault"]
    assert isinstance(fault, dict)
    assert (fault["path"], fault["line"]) == ("lib/m.flin", 1)
    assert [(note["path"], note["line"]) for note in fault["notes"]] == [("tests/it.flin", 1)]


def test_tests_are_chosen_by_text_file_and_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one = 'test "Red" { expect true }\ntest "green" { expect true }\n'
    project(tmp_path, **{"tests/a.flin": one, "lib/b.flin": 'test "blue" { expect true }\n'})

    def names(*arguments: str | Path) -> list[str]:
        _, out, _ = run(capsys, *arguments, "--json")
        return [test["name"] for test in json.loads(out)["tests"]]

    assert names(tmp_path) == ["blue", "Red", "green"]
    assert names(tmp_path, "-k", "re") == ["Red", "green"]
    assert names(tmp_path, "-k", "lib/") == ["blue"]
    assert names(tmp_path / "tests") == ["Red", "green"]
    assert names(tmp_path / "lib" / "b.flin") == ["blue"]
    assert names(tmp_path, "-k", "purple") == []


def test_no_tests_is_said_and_fails(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = project(tmp_path)
    code, out, err = run(capsys, folder)
    assert (code, out) == (1, "")
    assert err.startswith("no tests found\n  = help: write `test ")
    code, _, err = run(capsys, folder / "tests" / "missing.flin")
    assert code != 0
    assert "does not exist" in err


def test_faults_of_the_program_are_shown_instead(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = run(capsys, project(tmp_path, **{"tests/a.flin": 'test "a" { nope() }\n'}))
    assert (code, out) == (1, "")
    assert "error[FL203]" in err
    assert "tests/a.flin:1" in err


def test_functions_of_tests_are_for_tests(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = 'fn ask() { test_get("/") }\n\nroute GET { ask() }\n\nroute POST { test_get("/") }\n'
    project(tmp_path, **{"app/a.flin": text})
    assert main(["check", str(tmp_path), "--json"]) == 1
    found = json.loads(capsys.readouterr().out)["diagnostics"]
    assert [(fault["code"], fault["line"]) for fault in found] == [("FL312", 5), ("FL310", 3)] or [
        (fault["code"], fault["line"]) for fault in found
    ] == [("FL310", 3), ("FL312", 5)]


def test_server_does_not_read_the_tests_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = project(tmp_path, **{"tests/a.flin": "this is no program\n"})
    assert main(["routes", str(folder)]) == 0
    assert main(["check", str(folder)]) == 1


def test_check_watches_the_tests_and_editors_know_their_project(tmp_path: Path) -> None:
    folder = project(tmp_path, **{"tests/a.flin": 'test "a" { expect User.count == 0 }\n'})
    file = folder / "tests" / "a.flin"
    assert str(file) in look_at(folder)
    checked = Workspace().check(file, {})
    assert checked.project.root == folder
    assert list(checked.diagnostics) == []


def test_examples_of_the_page_pass(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = (ROOT / "docs" / "howto" / "testing.md").read_text(encoding="utf-8")
    texts = re.findall(r"```flin\n(.*?)```", page, re.DOTALL)
    assert len(texts) == 3
    for text in texts:
        (tmp_path / "index.flin").write_text(text, encoding="utf-8")
        code, out, err = run(capsys, tmp_path / "index.flin")
        assert code == 0, out + err
        assert out.endswith("\n1 passed, 0 failed\n")


def test_command_works_as_a_process_of_its_own(tmp_path: Path) -> None:
    folder = project(tmp_path, **{"tests/a.flin": 'test "a" { expect User.count == 0 }\n'})
    done = subprocess.run(
        [sys.executable, "-m", "flinfast", "test"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "PYTHONPATH": str(ROOT), "NO_COLOR": "1"},
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("\n1 passed, 0 failed\n")
