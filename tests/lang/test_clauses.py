"""The language's reference, clause by clause: a small program for everything it says.

Files in `cases/clauses` hold many programs, each after a line `// --- CLAUSE | what it shows`.
A clause is a number of the reference and a word for one of its rules, such as `3.3 division`;
`clauses.py` lists them all. Programs say what they print, as in test_cases.py, and run there on a
plain runtime. Those with a line `// app`, or with requests, run as a whole program instead:

    // > POST / {"n": 1}         a request: method, target, JSON (or `form a=1&b=2`)
    // < 400 {"error": "..."}    its status and, when given, its JSON; `...` for any value
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import pytest

from flinfast.errors import CompileError
from flinfast.lang.program import compile_project
from flinfast.lang.source import Source
from flinfast.testing import LogLine, TestClient, TestResponse
from tests.lang.clauses import CLAUSES
from tests.lang.fake_abi import GUARDS, builtin_table
from tests.lang.test_cases import FOLDER as OLDER
from tests.lang.test_cases import Run, expected_of, setting

FOLDER = Path(__file__).parent / "cases" / "clauses"
_HEAD = re.compile(r"^// --- (\d+\.\d+ [^|]+?) \| (.+)$", re.MULTILINE)
_REQUEST = re.compile(r"^// > ([A-Z]+) (\S+) ?(.*)$|^// < (\d{3}) ?(.*)$", re.MULTILINE)
_CLAUSE = re.compile(r"^// clause: (.+)$", re.MULTILINE)
TIMEOUT_S = 60.0  # hashing a password takes long on a busy machine
NOW_MS = 1_800_000_000_000  # 2027-01-15T08:00:00Z, a Friday


@dataclass(frozen=True)
class Case:
    """One program and the clause it shows."""

    file: str
    clause: str
    title: str
    text: str

    @property
    def is_app(self) -> bool:
        """Whether it runs as a whole program."""
        return bool(_REQUEST.search(self.text)) or bool(re.search("^// app$", self.text, re.M))


def cases_of(path: Path) -> list[Case]:
    """The programs of one file; line numbers start anew in each."""
    text = path.read_text(encoding="utf-8")
    heads = list(_HEAD.finditer(text))
    ends = [head.start() for head in heads[1:]] + [len(text)]
    return [
        Case(path.stem, head[1], head[2], text[head.end() + 1 : end].rstrip("\n") + "\n")
        for head, end in zip(heads, ends, strict=True)
    ]


CASES = [case for path in sorted(FOLDER.glob("*.flin")) for case in cases_of(path)]


@pytest.mark.parametrize("case", CASES, ids=lambda c: f"{c.clause} {c.title}".replace(" ", "_"))
def test_clause_holds(case: Case, tmp_path: Path) -> None:
    """A program does what the clause says."""
    expected = expected_of(case.text)
    if case.is_app:
        _run_app(case, tmp_path)
        return
    found: list[tuple[int, str]] = []
    try:
        program = compile_project(
            [(Source("case.flin", case.text), setting(case.text, "kind") or "route", ("id",))],
            builtins=builtin_table(),
            guards=GUARDS,
        )
    except CompileError as error:
        found = [
            (d.source.line_of(d.span.start), d.code)
            for d in error.diagnostics
            if d.severity == "error"
        ]
    assert sorted(set(found)) == sorted(expected.errors)
    if expected.errors:
        return
    if expected.warnings:
        places = [(d.source.line_of(d.span.start), d.code) for d in program.diagnostics]
        assert places == expected.warnings
        return
    run = Run(program.files[0], case.text)
    run.handlers()
    assert run.printed == expected.printed
    assert set(run.faults) == set(expected.faults)
    assert expected.printed or expected.faults or setting(case.text, "value")


def _run_app(case: Case, folder: Path) -> None:
    """Load the case as a project, send its requests (or GET /), compare answers and log."""
    expected = expected_of(case.text)
    name = setting(case.text, "path") or "index.flin"
    (folder / "app").mkdir()
    (folder / "app" / name).write_text(case.text, encoding="utf-8")
    steps = list(_REQUEST.finditer(case.text))
    with TestClient(folder, clock_ms=lambda: NOW_MS) as client:
        answer: TestResponse | None = None
        if not steps:
            answer = client.get("/", timeout_s=TIMEOUT_S)
            assert expected.faults or answer.status < 400, [line.text for line in client.log]
        for step in steps:
            if step[1]:
                answer = _send(client, step[1], step[2], step[3])
                continue
            assert answer is not None
            shown = (answer.text, [line.text for line in client.log])
            assert answer.status == int(step[4]), shown
            if step[5]:
                wanted = json.loads(re.sub(r'(?<!["\w])\.\.\.', '"..."', step[5]))
                assert _fits(wanted, answer.json()), shown
        log = client.log
    assert [line.text for line in log if line.level == "info"] == expected.printed
    faults = {(_line(line), line.fields["code"]) for line in log if "code" in line.fields}
    assert faults == set(expected.faults)
    assert expected.printed or expected.faults or steps


def _send(client: TestClient, method: str, target: str, body: str) -> TestResponse:
    if body.startswith("form "):
        pairs = parse_qsl(body.removeprefix("form "), keep_blank_values=True)
        return client.request(method, target, form=dict(pairs), timeout_s=TIMEOUT_S)
    headers = {"content-type": "application/json"} if body else {}
    return client.request(method, target, body=body.encode(), headers=headers, timeout_s=TIMEOUT_S)


def _fits(wanted: Any, found: Any) -> bool:
    """Equal, order of keys included; "..." stands for anything."""
    if wanted == "...":
        return True
    if isinstance(wanted, dict) and isinstance(found, dict):
        return list(wanted) == list(found) and all(_fits(wanted[k], found[k]) for k in wanted)
    if isinstance(wanted, list) and isinstance(found, list):
        return len(wanted) == len(found) and all(map(_fits, wanted, found))
    return type(wanted) is type(found) and bool(wanted == found)


def _line(line: LogLine) -> int:
    return int(line.place.rpartition(":")[2] or 0)


def _shown() -> set[str]:
    older = {
        clause.strip()
        for path in OLDER.rglob("*.flin")
        for line in _CLAUSE.findall(path.read_text(encoding="utf-8"))
        for clause in line.split(";")
    }
    return older | {case.clause for case in CASES}


def test_every_clause_has_a_case() -> None:
    """What the reference says in sections 1 to 6, 9 and 13 is shown by a program."""
    assert len(set(CLAUSES)) == len(CLAUSES)
    assert [clause for clause in CLAUSES if clause not in _shown()] == []


def test_every_case_names_a_clause() -> None:
    """A misspelt clause would look like a covered one."""
    assert _shown() - set(CLAUSES) == set()
    unnamed = [p.name for p in OLDER.rglob("*.flin") if not _CLAUSE.search(p.read_text())]
    assert unnamed == []


def test_titles_are_unique() -> None:
    """A failing test names one program."""
    names = [(case.clause, case.title) for case in CASES]
    assert len(set(names)) == len(names)


def test_there_are_many_cases() -> None:
    """One program per behaviour, not one per clause."""
    assert len(CASES) + len(list(OLDER.rglob("*.flin"))) >= 380
