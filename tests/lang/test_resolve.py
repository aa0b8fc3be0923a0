"""Names: what is unknown, what was meant, and what may not be used where."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from flinfast.errors import CompileError
from flinfast.lang.catalog import CATALOG
from flinfast.lang.diagnostic import render
from flinfast.lang.program import FAULTS_MAX
from tests.lang.compiling import compile_files, faults_of


def places(files: object) -> list[tuple[str, int, int]]:
    """Code, line and column of every fault."""
    return [
        (d.code, *d.source.position(d.span.start))
        for d in faults_of(files)  # type: ignore[arg-type]
    ]


@pytest.mark.parametrize(
    ("text", "code", "help"),
    [
        ("guard atuh", "FL201", "did you mean `auth`?"),
        ("guard AUTH", "FL201", "did you mean `auth`?"),
        ("route GET { mesage = 1 print(message) }", "FL202", "did you mean `mesage`?"),
        ("route GET { print(sesion) }", "FL202", "did you mean `session`?"),
        ("route GET { lenght(1) }", "FL203", "did you mean `length`?"),
        ("route GET { Broadcast(1, 2) }", "FL203", "did you mean `broadcast`?"),
        ("entity Note { text: text } route GET { Notes.all }", "FL204", "did you mean `Note`?"),
        ("entity Note { text: text } route GET { Note { txt: 1 } }", "FL205", "`text`"),
        ("entity Note { text: text } route GET { Note.find(1).txt }", "FL205", "`text`"),
        ("route GET { trim(txt: 1) }", "FL207", "did you mean `text`?"),
        ("route GET { 'outer: while true { break 'oter } }", "FL209", "did you mean `outer`?"),
        ("enum S { Open } route GET { S.open }", "FL215", "did you mean `Open`?"),
        ("entity A { a: txet }", "FL401", "did you mean `text`?"),
        ("entity A { a: text @minlength(3) }", "FL402", "did you mean `@minLength`?"),
        ("route GET { zzzzzz }", "FL202", ""),
        ("route GET { process_text(1) }", "FL203", "declare it: `fn process_text(...) { ... }`"),
        ("route GET { Nothing.all }", "FL204", "declare it: `entity Nothing { ... }`"),
    ],
)
def test_unknown_name_says_what_was_meant(text: str, code: str, help: str) -> None:
    """One fault, with the closest candidate as help, or what to write when nothing is close."""
    faults = [d for d in faults_of(text) if d.severity == "error"]
    assert [d.code for d in faults] == [code]
    assert help in faults[0].help
    assert bool(help) == bool(faults[0].help)


def test_every_diagnostic_of_the_back_end_is_in_the_catalog() -> None:
    """Codes that are reported have a title."""
    text = """
        guard nope
        x = params
        fn f(a) { g(1) f(1, 2, 3) f(b: 1) }
        fn f() { break 'x; break }
        enum E { A(int), A }
        entity N {
            a: nope @nope @min
            id: int
            a: text
        }
        entity N { b: int }
        route GET {
            const c = 1
            c = 2
            x = 5
            query = 1
            E.Z
            N { z: 1 }
            ws_join("a")
            N.find(1).zz
            match c { [d] | [e] -> 1 }
            Nope.all
        }
        route GET { return 1
            2 }
        ws { on close { body } }
        ws { on close { } on close { } }
        middleware { }
    """
    codes = {d.code for d in faults_of(text)}
    assert codes <= set(CATALOG)
    assert len(codes) >= 20


def test_diagnostic_is_rendered_with_its_place() -> None:
    """The exact text of style: code, place, caret, help."""
    (fault,) = faults_of({"app/api/chat.flin": "guard atuh\n"})
    assert render([fault], color=False) == (
        "error[FL201]: unknown guard `atuh`\n"
        " --> app/api/chat.flin:1:7\n"
        "  |\n"
        "1 | guard atuh\n"
        "  |       ^^^^ no guard has this name\n"
        "  |\n"
        "  = help: did you mean `auth`?\n"
        "  = docs: flinfast explain FL201\n"
    )


def test_all_faults_of_all_files_come_in_one_run() -> None:
    """Files in the order given, faults in source order."""
    files = {
        "app/a.flin": "route GET { one }\nroute POST { two }",
        "app/b.flin": "route GET { three }",
        "lib/c.flin": "fn f() { four }",
    }
    assert places(files) == [
        ("FL202", 1, 13),
        ("FL202", 2, 14),
        ("FL202", 1, 13),
        ("FL202", 1, 10),
    ]


def test_number_of_faults_is_bounded() -> None:
    """More than FAULTS_MAX are not reported."""
    text = "route GET {\n" + "\n".join(f"print(missing{n})" for n in range(150)) + "\n}"
    assert len(faults_of(text)) == FAULTS_MAX


def test_syntax_fault_hides_faults_that_follow_from_it() -> None:
    """What a broken file may declare is not reported as unknown elsewhere."""
    files = {
        "entities/note.flin": "entity Note { text text }",
        "app/a.flin": "route GET { Note.all }\nroute POST { helper(1) }",
    }
    assert {d.source.path for d in faults_of(files)} == {"entities/note.flin"}


def test_files_share_entities_enums_and_lib_functions() -> None:
    """Entities and enums are global, functions of lib and entities files too."""
    files = {
        "entities/note.flin": "entity Note { s: Status }\nfn label(n) { n.s }",
        "lib/x.flin": "enum Status { Open }\nfn twice(n) { n * 2 }",
        "app/a.flin": "route GET { [label(Note { s: Status.Open }), twice(2)] }",
    }
    assert len(compile_files(files).files) == 3


def test_functions_of_a_route_file_are_private() -> None:
    """Another file does not see them, and may have its own of the same name."""
    files = {
        "app/a.flin": "fn mine() { 1 }\nroute GET { mine() }",
        "app/b.flin": "fn mine() { 2 }\nroute GET { mine() }",
    }
    assert len(compile_files(files).files) == 2
    assert places({**files, "app/c.flin": "route GET { mine() }"}) == [("FL203", 1, 13)]


@pytest.mark.parametrize(
    ("first", "second", "code"),
    [
        ("entity A { x: int }", "entity A { x: int }", "FL405"),
        ("enum A { X }", "entity A { x: int }", "FL405"),
        ("fn f() { 1 }", "fn f() { 1 }", "FL211"),
    ],
)
def test_clash_between_files_points_at_the_first(first: str, second: str, code: str) -> None:
    """The second declaration is the fault, the first one a note."""
    (fault,) = faults_of({"lib/a.flin": first, "lib/b.flin": second})
    assert (fault.code, fault.source.path) == (code, "lib/b.flin")
    assert fault.notes[0].source.path == "lib/a.flin"


def test_guard_definitions_of_guards_and_middleware_files_are_global() -> None:
    """Those of a route file are its own."""
    files = {
        "guards/level.flin": "guard_definition level(n) { none }",
        "app/_middleware.flin": "guard_definition other() { none }\nmiddleware { next() }",
        "app/a.flin": "guard level(3)\nguard other\nroute GET { guard own\n1 }\n"
        "guard_definition own() { none }",
    }
    assert len(compile_files(files).files) == 3
    assert places({**files, "app/b.flin": "guard own"}) == [("FL201", 1, 7)]
    twice = {**files, "guards/two.flin": "guard_definition level() { none }"}
    assert [d.code for d in faults_of(twice)] == ["FL212"]


def test_function_is_checked_where_it_is_used() -> None:
    """A function may use what its callers have; the fault is at the call that lacks it."""
    text = (
        "fn room() { inner() }\n"
        "fn inner() { ws.connection_id }\n"
        "ws { on connect { ws_join(room()) } }\n"
        "route GET { room() }\n"
    )
    (fault,) = faults_of(text)
    assert (fault.code, *fault.source.position(fault.span.start)) == ("FL310", 4, 13)
    assert "`room` uses `ws`" in fault.message
    assert fault.notes[0].source.position(fault.notes[0].span.start) == (2, 14)


def test_function_in_a_lib_file_is_checked_against_callers_elsewhere() -> None:
    """The note names the file of the function."""
    files = {
        "lib/f.flin": "fn text() { body.text }",
        "app/a.flin": "route POST { text() }\nws { on connect { text() } }",
    }
    (fault,) = faults_of(files)
    assert fault.source.path == "app/a.flin"
    assert fault.source.line_of(fault.span.start) == 2
    assert fault.notes[0].source.path == "lib/f.flin"


def test_lambda_at_file_level_has_no_context() -> None:
    """Its code may run in a handler, but no context reaches it."""
    assert places("_is_mine = n => n == session.userId") == [("FL310", 1, 22)]


def test_warnings_do_not_stop_a_program() -> None:
    """They are in `CompiledProgram.diagnostics`, in source order."""
    text = "route GET {\n  x = 1\n  return 2\n  3\n}"
    found = compile_files(text).diagnostics
    assert [(d.code, d.severity, d.source.line_of(d.span.start)) for d in found] == [
        ("FL213", "warning", 2),
        ("FL214", "warning", 4),
    ]


def test_same_place_is_reported_once() -> None:
    """A parameter used in many ways is one fault per use, not more."""
    assert places("fn f() { x.a.b.c + x[1] }") == [("FL202", 1, 10), ("FL202", 1, 20)]


# --- what the user sees ----------------------------------------

FOLDER = Path(__file__).parent / "diagnostics" / "names"
PROGRAMS = sorted(FOLDER.glob("*.flin"))


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda path: path.stem)
def test_snapshot(program: Path, update_snapshots: bool) -> None:
    """What the user sees for a faulty program is the stored text."""
    path = "app/_middleware.flin" if "FL307" in program.name else "app/api/test.flin"
    files = {path: program.read_text(encoding="utf-8")}
    try:
        found = compile_files(files).diagnostics
    except CompileError as error:
        found = error.diagnostics
    shown = render(found, color=False)
    snapshot = program.with_suffix(".txt")
    if update_snapshots:
        snapshot.write_text(shown, encoding="utf-8")
    assert shown == snapshot.read_text(encoding="utf-8")
    assert program.name[:5] in {d.code for d in found}


def test_snapshot_exists_for_every_code() -> None:
    """Each code of names, routes and entities has a program that shows it."""
    shown = {program.name[:5] for program in PROGRAMS}
    codes = {code for code in CATALOG if "FL200" < code < "FL500"}
    # FL303 and FL306 compare files with their paths (runtime), FL305 is syntax.
    assert codes - shown == {"FL303", "FL305", "FL306"}


def test_very_many_unknown_names_take_bounded_time() -> None:
    """What nobody is shown costs no search for similar names."""
    text = "route GET {\n" + "x = nmae\n" * 20_000 + "}"
    start = time.process_time()
    found = faults_of(text)
    assert time.process_time() - start < 5
    assert len(found) == FAULTS_MAX
    assert {diagnostic.code for diagnostic in found} == {"FL202"}
