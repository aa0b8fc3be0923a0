"""What a compiled project says of itself, and how it is bound."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from flinfast.errors import CompileError, RuntimeFault
from flinfast.lang.program import (
    Effects,
    EnumInfo,
    FieldInfo,
    GuardInfo,
    TypeInfo,
    compile_project,
)
from flinfast.values import NO_VALUE
from tests.lang.compiling import bind, bind_one, compile_files, info_of, project
from tests.lang.fake_abi import GUARDS, Context, FakeAbi, builtin_table

TEXT, INT = TypeInfo("text"), TypeInfo("int")


def test_project_without_files_is_a_program() -> None:
    """Nothing to compile is no fault."""
    program = compile_project([], builtins={}, guards=())
    assert (program.files, program.diagnostics) == ((), ())


def test_empty_file_is_a_program() -> None:
    """So is a file without anything in it."""
    info = info_of("")
    assert (info.path, info.kind, info.routes, info.ws) == ("app/api/test.flin", "route", (), None)


def test_routes_guards_and_validation_are_described() -> None:
    """Everything the router needs, with lines and keys."""
    text = (
        "guard auth\n"
        'guard role( "admin",\n  "owner" )\n'
        "route POST {\n"
        "    guard owner(params.id)\n"
        "    validate { name: text @required @minLength(2)  age: int? = 3 }\n"
        "    1\n"
        "}\n"
        'route GET "/other/:id" { 2 }\n'
    )
    info = info_of({"app/[id].flin": text})
    assert info.guards == (
        GuardInfo("auth", "guard 0", 1, "auth"),
        GuardInfo("role", "guard 1", 2, 'role( "admin", "owner" )'),
    )
    post, get = info.routes
    assert (post.method, post.line, post.path) == ("POST", 4, None)
    assert [g.source for g in post.guards] == ["owner(params.id)"]
    assert post.validate == (
        FieldInfo("name", TEXT, (("required", ()), ("min_length", (2,))), None, 6),
        FieldInfo("age", TypeInfo("int", (), True), (), "default route POST.age", 6),
    )
    assert (get.method, get.path, get.validate) == ("GET", "/other/:id", None)
    assert post.handler.effects == Effects()
    assert len({post.handler.key, get.handler.key, post.guards[0].key}) == 3


def test_guard_closure_gives_its_arguments() -> None:
    """Positional and named ones, evaluated with the request's context."""
    _, closures = bind_one(
        'guard role("admin", "x")\n'
        "guard rate_limit(10, seconds: 5 * 2)\n"
        "guard owner(session.userId)\n"
        "guard auth\n"
    )
    context = Context(session={"userId": "7"})
    assert [closures[f"guard {n}"](context) for n in range(4)] == [
        (("admin", "x"), {}),
        ((10,), {"seconds": 10}),
        (("7",), {}),
        ((), {}),
    ]


def test_guard_definition_without_parameters_needs_no_parentheses() -> None:
    """As FLIN reference 4.1 has it."""
    for text in ("guard_definition premium { none }", "guard_definition premium() { none }"):
        (definition,) = info_of(text).guard_definitions
        assert definition.name == "premium"


def test_guard_definition_takes_context_and_arguments() -> None:
    """It gives its answer, or none when it passes."""
    info = info_of('guard_definition level(n, title = "Level") { none }')
    assert [g.name for g in info.guard_definitions] == ["level"]
    _, closures = bind_one(
        'guard_definition level(n, title = "Level") {\n'
        '  if (request.level || 0) < n { return "{title} {n} required" }\n'
        "}"
    )
    closure = closures["guard_definition level"]
    assert closure(Context(request={"level": 1}), 3) == "Level 3 required"
    assert closure(Context(request={"level": 5}), 3, "x") is None


def test_entities_and_enums_are_described() -> None:
    """Types without aliases, modifiers in snake_case, keys of defaults."""
    text = (
        "enum Status { Open, Closed }\n"
        "type Tags = [text]\n"
        "type Maybe = Tags | none\n"
        "entity Ticket {\n"
        "    title: string @required @minLength(3) @max_length(80)\n"
        "    status: Status = Status.Open\n"
        "    owner: User\n"
        "    tags: Tags\n"
        "    more: Maybe\n"
        "    any_map: [text: int | none]\n"
        "    mixed: int | text\n"
        "    size: decimal @default(0.5) @min(-1)\n"
        '    kind: text @one_of(["a", "b"]) = none\n'
        "    note: semantic text\n"
        "}\n"
        "entity User { name: text }\n"
    )
    info = info_of({"entities/a.flin": text})
    assert info.enums == (EnumInfo("Status", 1, "entities/a.flin", ("Open", "Closed")),)
    ticket = info.entities[0]
    assert (ticket.name, ticket.line, ticket.path) == ("Ticket", 4, "entities/a.flin")
    shown = {f.name: (f.type, f.modifiers, f.default_key) for f in ticket.fields}
    key = "default Ticket."
    tags = TypeInfo("list", (TEXT,))
    assert shown == {
        "title": (TEXT, (("required", ()), ("min_length", (3,)), ("max_length", (80,))), None),
        "status": (TypeInfo("Status"), (), key + "status"),
        "owner": (TypeInfo("User"), (), None),
        "tags": (tags, (), None),
        "more": (TypeInfo("list", (TEXT,), True), (), None),
        "any_map": (TypeInfo("map", (TEXT, TypeInfo("int", (), True))), (), None),
        "mixed": (TypeInfo("union", (INT, TEXT)), (), None),
        "size": (TypeInfo("number"), (("min", (-1,)),), key + "size"),
        "kind": (TEXT, (("one_of", ("a", "b")),), None),
        "note": (TEXT, (), None),
    }


def test_default_values_are_made_fresh() -> None:
    """Each call gives a value of its own."""
    _, closures = bind_one("entity A { l: list = []  t: time = now  n: int = 1 + 2 }")
    make = closures["default A.l"]
    assert make() == []
    assert make() is not make()
    assert closures["default A.n"]() == 3


def test_ws_block_is_described() -> None:
    """Handlers that are there, and None for those that are not."""
    info = info_of("ws {\n  guard auth\n  on message(data) {\n    ws_join(data.room)\n  }\n}")
    ws = info.ws
    assert ws is not None
    assert ws.message is not None
    assert (ws.line, ws.message.line, ws.connect, ws.close) == (1, 3, None, None)
    assert [g.key for g in ws.guards] == ["ws guard 0"]
    assert ws.uses_join


def test_functions_and_tests_are_described() -> None:
    """Functions by name, tests by title."""
    info = info_of('fn a() { 1 }\nfn b() { 2 }\ntest "adds up" { a() }')
    assert info.functions == ("a", "b")
    assert [(t.name, t.handler.line) for t in info.tests] == [("adds up", 3)]


def test_kind_of_file_is_kept() -> None:
    """`FileInfo.kind` is what the project said."""
    files = {
        "app/_middleware.flin": "middleware { next() }",
        "lib/a.flin": "",
        "guards/b.flin": "",
    }
    kinds = {f.info.path: f.info.kind for f in compile_files(files).files}
    assert kinds == {
        "app/_middleware.flin": "middleware",
        "lib/a.flin": "lib",
        "guards/b.flin": "guards",
    }


# --- binding ----------------------------------------


def test_files_come_in_the_order_in_which_they_are_bound() -> None:
    """Whose functions are used at load time comes first, whatever the order of the sources."""
    files = {
        "app/a.flin": "TOP = first(1)\nroute GET { TOP }",
        "lib/a.flin": "fn first(n) { second(n) + BASE }\nBASE = second(10)",
        "lib/b.flin": "fn second(n) { n * 2 }",
    }
    paths = [f.info.path for f in compile_files(files).files]
    assert paths == ["lib/b.flin", "lib/a.flin", "app/a.flin"]
    _, found = bind(files)
    assert found["app/a.flin"]["route GET"](Context()) == 22


def test_functions_of_lib_files_may_use_each_other_in_a_circle() -> None:
    """They are looked up when they are called."""
    files = {
        "lib/a.flin": "fn even(n) { if n == 0 { true } else { odd(n - 1) } }",
        "lib/b.flin": "fn odd(n) { if n == 0 { false } else { even(n - 1) } }",
        "app/a.flin": "route GET { [even(10), odd(10)] }",
    }
    _, found = bind(files)
    assert found["app/a.flin"]["route GET"](Context()) == [True, False]


def test_context_reaches_functions_of_other_files() -> None:
    """The hidden first argument goes along every call."""
    files = {
        "lib/a.flin": 'fn who() { "{session.userName} {inner()}" }\nfn inner() { params.id }',
        "app/[id].flin": "route GET { [who(), [1].map(x => who())] }",
    }
    _, found = bind(files)
    context = Context(session={"userName": "Ada"}, params={"id": "7"})
    assert found["app/[id].flin"]["route GET"](context) == ["Ada 7", ["Ada 7"]]


def test_bindings_of_one_program_do_not_share_state() -> None:
    """Each bind() has file-level variables of its own."""
    (file,) = compile_files("shared n = 0\nroute POST { n += 1\nn }").files
    first, second = file.bind(FakeAbi()), file.bind(FakeAbi())
    assert [first["route POST"](Context()) for _ in range(3)] == [1, 2, 3]
    assert second["route POST"](Context()) == 1


def test_fault_of_file_level_code_leaves_bind() -> None:
    """With its place."""
    (file,) = compile_files("x = none\ny = x.a\nroute GET { y }").files
    with pytest.raises(RuntimeFault) as caught:
        file.bind(FakeAbi())
    trace = caught.value.__traceback__
    lines = []
    while trace is not None:
        lines.append((trace.tb_frame.f_code.co_filename, trace.tb_lineno))
        trace = trace.tb_next
    assert ("app/api/test.flin", 2) in lines


def test_handler_without_value_gives_the_sentinel() -> None:
    """NO_VALUE, not none (FLIN reference 8.3)."""
    _, closures = bind_one("route POST { session.a = 1 }\nroute GET { none }")
    assert closures["route POST"](Context()) is NO_VALUE
    assert closures["route GET"](Context()) is None


def test_ws_handlers_give_nothing() -> None:
    """The value of their last expression is nobody's."""
    text = "ws { on connect { 5 } on message(d) { if d { return 1 } 2 } on close { { a: 1 } } }"
    _, closures = bind_one(text)
    message: Any = type("Message", (), {"value": True})()
    assert closures["ws connect"](Context()) is None
    assert closures["ws message"](Context(), message) is None
    assert closures["ws close"](Context()) is None


def test_compilation_is_deterministic() -> None:
    """The same sources give the same code, bit for bit."""
    files = {"app/a.flin": "route GET { x = [1].map(y => { y })\n { a: x, b: body.c || 1 } }"}
    first, second = compile_files(files), compile_files(files)
    assert [f.code for f in first.files] == [f.code for f in second.files]


# --- the programs of the introduction ----------------------------------------

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.mark.parametrize("name", ["chat", "notifications", "stream", "documents"])
def test_examples_compile_without_a_warning(name: str) -> None:
    """Every program that users start from is clean."""
    folder = EXAMPLES / name
    files = {
        p.relative_to(folder).as_posix(): p.read_text(encoding="utf-8")
        for p in sorted(folder.rglob("*.flin"))
    }
    program = compile_files(files)
    assert len(program.files) == len(files)
    assert program.diagnostics == ()


@pytest.mark.parametrize("name", ["chat", "notifications", "stream", "documents"])
def test_examples_compile_when_their_lines_are_joined(name: str) -> None:
    """A program on one line is the same program."""
    folder = EXAMPLES / name
    files = {}
    for path in sorted((folder / "app").rglob("*.flin")):
        text = re.sub(r"//[^\n]*", "", path.read_text(encoding="utf-8"))
        files[path.relative_to(folder).as_posix()] = " ".join(text.split())
    shared = {
        p.relative_to(folder).as_posix(): p.read_text(encoding="utf-8")
        for p in sorted(folder.rglob("*.flin"))
        if not p.is_relative_to(folder / "app")
    }
    program = compile_files({**shared, **files})
    whole = {p: (EXAMPLES / name / p).read_text(encoding="utf-8") for p in files}
    for joined, usual in zip(program.files, compile_files({**shared, **whole}).files, strict=True):
        assert [_shape(c) for c in _inner(joined.code)] == [_shape(c) for c in _inner(usual.code)]


def _shape(code: Any) -> tuple[Any, ...]:
    """What code does, whatever its lines; bytecode itself may differ where lines do."""
    plain = tuple(c for c in code.co_consts if not hasattr(c, "co_code"))
    return (code.co_name, code.co_varnames, code.co_freevars, code.co_names, plain)


def _inner(code: Any) -> list[Any]:
    found = [code]
    for constant in code.co_consts:
        if hasattr(constant, "co_code"):
            found += _inner(constant)
    return found


def test_faults_are_a_compile_error_only() -> None:
    """The one exception of the compiler carries them all."""
    with pytest.raises(CompileError) as caught:
        compile_project(project("guard x\nguard y"), builtins=builtin_table(), guards=GUARDS)
    assert [d.code for d in caught.value.diagnostics] == ["FL201", "FL201"]


# --- one compilation after the other ----------------------------------------

FIRST = {
    "entities/note.flin": "entity Note { text: text }",
    "lib/a.flin": "fn twice(n: int) -> int { n * 2 }\nfn room() { ws.connection_id }",
    "app/a.flin": "route GET { twice(body.n) }",
    "app/b.flin": "fn own() { Note.all }\nroute GET { own() }\nroute POST { unused = 1\n2 }",
    "app/c.flin": "enum Status { Open }\nws { on message(d) { broadcast(room(), d) } }",
}
EDITS: list[dict[str, str | None]] = [
    {},
    {"app/a.flin": "route GET { twice(3) }"},
    {"app/a.flin": "route GET { room() }"},  # a fault: `ws` is not there
    {"app/a.flin": "route GET { twice( }"},  # a fault of syntax
    {"app/a.flin": "route GET { Note.where(text == Status.Open) }"},
    {"lib/a.flin": 'fn twice(n) { save Note { text: n } }\nfn room() { "r" }'},
    {"app/d.flin": "fn own() { twice(1) }\nroute GET { own() }"},
    {"app/b.flin": None},
    {"app/c.flin": "enum Status { Closed }"},  # now app/a.flin has a fault
    {"app/a.flin": "route GET { Status.Closed }"},
    {"entities/note.flin": "entity Note { text: text  n: int }"},
    {"app/c.flin": "route GET { 1 }", "app/a.flin": "route GET { 2 }"},
    {"app/c.flin": "guard nope"},
    {"app/c.flin": "guard_definition nope() { none }\nguard nope"},
]


def outcome(files: dict[str, str], kept: dict[str, Any] | None) -> Any:
    """Everything a compilation gives, or its faults."""
    try:
        program = compile_project(
            project(files), builtins=builtin_table(), guards=GUARDS, kept=kept
        )
    except CompileError as error:
        return [(d.code, d.source.path, d.span, d.severity) for d in error.diagnostics]
    warnings = [(d.code, d.source.path, d.span) for d in program.diagnostics]
    return ([(f.info, f.code) for f in program.files], warnings)


def test_kept_state_changes_nothing() -> None:
    """After every edit the result is that of a compilation from scratch."""
    kept: dict[str, Any] = {}
    files = dict(FIRST)
    for edit in EDITS:
        for path, text in edit.items():
            if text is None:
                del files[path]
            else:
                files[path] = text
        assert outcome(files, kept) == outcome(files, None)
        assert outcome(files, kept) == outcome(files, None)


def test_files_that_did_not_change_are_not_compiled_again() -> None:
    """Only the edited file is new; a shared file makes all of them new."""

    def compiled(files: dict[str, str]) -> dict[str, Any]:
        program = compile_project(
            project(files), builtins=builtin_table(), guards=GUARDS, kept=kept
        )
        return {f.info.path: f for f in program.files}

    kept: dict[str, Any] = {}
    first = compiled(FIRST)
    second = compiled({**FIRST, "app/a.flin": "route GET { 5 }"})
    assert {p for p in first if first[p] is not second[p]} == {"app/a.flin"}
    third = compiled({**FIRST, "entities/note.flin": "entity Note { n: int }"})
    assert not any(first[p] is third[p] for p in first)
