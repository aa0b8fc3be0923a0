"""`flinfast docs` and the manual behind it: complete, and every example is true."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from flinfast.cli.commands import main
from flinfast.errors import CompileError
from flinfast.lang.catalog import CATALOG
from flinfast.lang.declare import TYPE_NAMES
from flinfast.lang.modifier import MODIFIERS, canonical
from flinfast.lang.program import compile_project
from flinfast.lang.source import Source
from flinfast.lang.symbol import AUTO_FIELDS, CONTEXT_NAMES
from flinfast.lang.types import QUERY_RESULTS
from flinfast.lang.vocabulary import CONTEXTUAL, HARD_KEYWORDS, RESERVED
from flinfast.manual import book
from flinfast.manual.entry import Entry
from flinfast.runtime.builtins import REGISTRY, specs
from flinfast.runtime.guard import BUILTIN_GUARDS
from flinfast.server.config import all_keys
from flinfast.settings import Settings
from flinfast.testing import TestClient

EXAMPLES = [entry for entry in book.entries() if entry.example]
RUN = [e for e in EXAMPLES if e.kind == "function" and " // " in e.example]
FILES = [e for e in EXAMPLES if e not in RUN]


def missing(kind: str, names: set[str]) -> set[str]:
    return {name for name in names if not book.find(name, kind)}


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        ("function", {name for name in REGISTRY if not name.startswith("_")}),
        ("keyword", {*HARD_KEYWORDS, *RESERVED, *CONTEXTUAL} - {"ws"}),
        ("context", set(CONTEXT_NAMES)),
        ("guard", set(BUILTIN_GUARDS)),
        ("modifier", set(MODIFIERS)),
        ("type", set(TYPE_NAMES)),
        ("field", set(AUTO_FIELDS)),
        ("query method", set(QUERY_RESULTS)),
        ("setting", {key.path for key in all_keys()}),
        ("diagnostic", set(CATALOG)),
    ],
)
def test_every_name_of_the_language_has_an_entry(kind: str, names: set[str]) -> None:
    """A word the compiler or the runtime knows and the manual does not is a gap."""
    assert not missing(kind, names)


def test_no_entry_is_about_nothing() -> None:
    """Entries of functions, guards and modifiers name what exists."""
    for entry in book.entries():
        if entry.kind == "function":
            assert entry.name in REGISTRY
        elif entry.kind == "guard":
            assert entry.name in BUILTIN_GUARDS
        elif entry.kind == "modifier":
            assert {canonical(name[1:]) for name in (entry.name, *entry.aliases)} <= set(MODIFIERS)


@pytest.mark.parametrize("entry", book.entries(), ids=lambda e: f"{e.kind} {e.area} {e.name}")
def test_an_entry_is_useful(entry: Entry) -> None:
    """A sentence; for code: how to write it with its result, and an example; known codes."""
    assert entry.summary[0].isupper() or entry.summary[0] == "`"
    assert entry.summary.endswith(".")
    assert set(entry.errors) <= set(CATALOG)
    if entry.kind in ("function", "query method", "field"):
        assert all(" -> " in line for line in entry.signatures)
    if entry.kind not in ("setting", "diagnostic", "field") and entry.name not in RESERVED:
        assert entry.signatures
        assert entry.example


@pytest.mark.parametrize("entry", FILES, ids=lambda e: f"{e.kind} {e.area} {e.name}")
def test_an_example_compiles(entry: Entry) -> None:
    """As the route file of a project, or as its middleware."""
    kind = "middleware" if "middleware {" in entry.example else "route"
    try:
        program = compile_project(
            [(Source("app/example.flin", entry.example), kind, ("id",))],
            builtins=specs(),
            guards=BUILTIN_GUARDS,
        )
    except CompileError as error:
        pytest.fail(f"{entry.name}: {[(d.message, d.label) for d in error.diagnostics]}")
    assert not program.diagnostics


def test_examples_with_a_result_give_that_result(tmp_path: Path) -> None:
    """`code // result`: both sides are equal when run, and of the same type."""
    app = tmp_path / "app"
    app.mkdir()
    for number, entry in enumerate(RUN):
        code, _, result = entry.example.rpartition(" // ")
        text = (
            f"route GET {{\n    got = {code}\n    wanted = {result}\n"
            "    { same: got == wanted && type_of(got) == type_of(wanted) || got == wanted,"
            " got: to_json(got), wanted: to_json(wanted) }\n}\n"
        )
        (app / f"e{number}.flin").write_text(text)
    wrong = []
    with TestClient(tmp_path, settings=Settings(mode="test")) as client:
        for number, entry in enumerate(RUN):
            answer = client.get(f"/e{number}")
            if answer.status != 200 or answer.json()["same"] is not True:
                wrong.append((entry.area, entry.example, answer.text))
    assert not wrong


# --- the command ----------------------------------------


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = main(["docs", *arguments])
    return (code, *capsys.readouterr())


def test_docs_of_a_function(capsys: pytest.CaptureFixture[str]) -> None:
    """Signature with types and result, sentence, faults, example."""
    code, out, _ = run(capsys, "truncate")
    assert code == 0
    assert out == (
        "truncate  (function, Text)\n\n"
        '    truncate(text: text, length: int, ending?: text = "...") -> text\n\n'
        "Shorten to at most `length` characters, `ending` included.\n\n"
        "Faults:\n    FL504  wrong argument to a built-in function\n\n"
        'Example:\n    "a long title".truncate(9) // "a long..."\n'
    )


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("broadcast", "(function, WebSocket)"),
        ("includes", "contains(text: text, part: text) -> bool"),
        ("guard_definition", "(keyword, Declarations)"),
        ("session", "(context, Known in every handler)"),
        ("rate_limit", "(guard, Guards)"),
        ("minLength", "@min_length  (modifier, Field modifiers)"),
        ("@required", "(modifier, Field modifiers)"),
        ("string", "text  (type, Types)"),
        ("ws.heartbeat", "`FLIN_WS_HEARTBEAT`"),
        ("heartbeat", "ws.heartbeat  (setting, Settings: [ws])"),
        ("fl201", "FL201  (diagnostic, Diagnostics: names and guards)"),
        ("201", "FL201"),
        ("null", "none  (keyword"),
    ],
)
def test_docs_finds_a_name_of_every_kind(
    capsys: pytest.CaptureFixture[str], name: str, expected: str
) -> None:
    """Aliases, spellings and short forms included."""
    code, out, _ = run(capsys, name)
    assert code == 0
    assert expected in out


def test_docs_shows_every_meaning_of_a_name(capsys: pytest.CaptureFixture[str]) -> None:
    """`min` is a function of lists and of numbers, a query method and a modifier."""
    _, out, _ = run(capsys, "min")
    heads = [line for line in out.splitlines() if line.startswith(("min  (", "@min  ("))]
    assert len(heads) == 4


def test_docs_without_a_name_lists_every_name(capsys: pytest.CaptureFixture[str]) -> None:
    """By area."""
    code, out, _ = run(capsys)
    assert code == 0
    words = set(out.split())
    assert {entry.name for entry in book.entries()} <= words
    assert "WebSocket\n  broadcast" in out


def test_docs_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    """For tools."""
    code, out, _ = run(capsys, "upper", "--json")
    assert code == 0
    (entry,) = json.loads(out)
    assert entry["name"] == "upper"
    assert entry["signatures"] == ["upper(text: text) -> text"]


def test_docs_of_an_unknown_name_suggests_one(capsys: pytest.CaptureFixture[str]) -> None:
    """Exit 2, with the nearest name or the way to the list."""
    code, out, err = run(capsys, "brodcast")
    assert (code, out) == (2, "")
    assert "Did you mean `broadcast`?" in err
    code, _, err = run(capsys, "zzzzzzzzz")
    assert code == 2
    assert "`flinfast docs` lists every name" in err
