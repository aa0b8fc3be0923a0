"""Which handlers write, wait, read, send and join: nothing missed, hot paths seen through."""

from __future__ import annotations

from pathlib import Path

import pytest

from flinfast.lang.program import Effects, WsInfo
from tests.lang.compiling import info_of

ENTITIES = {
    "entities/all.flin": "entity User { name: text }\n"
    "entity Note { text: text  n: int }\n"
    "entity Post { owner: User  text: text }",
}


def effects_of(code: str, more: str = "") -> str:
    """Effects of a handler with this body, as the names of those that are true."""
    files = {**ENTITIES, "app/[id]/test.flin": f"ws {{ on message(data) {{\n{code}\n}} }}\n{more}"}
    ws = info_of(files).ws
    assert ws is not None
    assert ws.message is not None
    return shown(ws.message.effects)


def shown(effects: Effects) -> str:
    names = ("writes", "waits", "reads", "sends", "joins")
    return " ".join(name for name in names if getattr(effects, name))


@pytest.mark.parametrize(
    "code",
    [
        "data.text",
        "print(data.user.name + params.id)",
        "session.userName",
        "session.count = (session.count || 0) + 1",
        'log_info("{session.userName} {request.ip}")',
        "x = [1, 2].map(y => y * 2)  x",
        'if data.type in ["a"] { data.list.push(1) }',
        "{ a: now(), b: uuid(), c: to_int(data.n) }",
        'n = Note { text: "x" }  n.text',
        "match data { [a] -> a  { b } -> b  _ -> none }",
        "parse_json(data.text).keys()",
    ],
)
def test_handler_that_touches_nothing_has_no_effects(code: str) -> None:
    """Members of data, session and params, arithmetic, text and lists stay on the direct path."""
    assert effects_of(code) == ""


@pytest.mark.parametrize(
    ("code", "effects"),
    [
        ('broadcast("r", data)', "sends"),
        ("broadcast_all(data)", "sends"),
        ('broadcast_others("r", { a: session.userName })', "sends"),
        ("ws_send(ws.connection_id, data)", "sends"),
        ('ws_close("bye")', "sends"),
        ("ws_join(data.room)", "joins"),
        ('"room" |> ws_join', "joins"),
        ("Note.find(1)", "reads"),
        ("Note.where(n == data.n).count", "reads"),
        ("Note.all", "reads"),
        ("helper = Note", "reads"),
        ('save Note { text: "a" }', "writes reads"),
        ("delete data.x", "writes reads"),
        ('Note.create({ text: "a" })', "writes reads"),
        ("data.x@-1", "reads"),
        ("session.user", "reads"),
        ("request.user.name", "reads"),
        ('Post { text: "a" }', "reads"),
        ("sleep(5)", "waits"),
        ("hash_password(data.p)", "waits"),
        ("data.p.hash_password()", "waits"),
        ("data.url |> http_get", "waits"),
        ("[data.url].map(http_get)", "waits"),
    ],
)
def test_effects_of_what_is_written_in_a_handler(code: str, effects: str) -> None:
    """Every way to write, wait, read, send or join is found."""
    assert effects_of(f"x = 1\n{code}") == effects


def test_effects_come_through_functions() -> None:
    """A function's effects are its callers', however long the chain, recursion included."""
    more = "fn a(x) { b(x) }\nfn b(x) { if x { a(x) } else { c() } }\nfn c() { save Note {} }"
    assert effects_of("a(1)", more) == "writes reads"
    assert effects_of("[1].map(a)", more) == "writes reads"
    assert effects_of("1 |> a", more) == "writes reads"
    assert effects_of("print(1)", more) == ""


def test_effects_come_through_functions_of_other_files() -> None:
    """Functions of lib files count like one's own."""
    files = {
        **ENTITIES,
        "lib/b.flin": 'fn notify(x) { store(x) broadcast("r", x) }',
        "lib/c.flin": "fn store(x) { save Note { text: x } }",
        "app/a.flin": "route POST { notify(body.x) }",
    }
    (route,) = info_of(files).routes
    assert shown(route.handler.effects) == "writes reads sends"


def test_lambda_counts_where_it_is_written() -> None:
    """Whoever calls it later, the handler that makes it is judged by it."""
    assert effects_of("f = () => { save Note {} }") == "writes reads"
    assert effects_of('[1].each(x => broadcast("r", x))') == "sends"
    more = "fn each(list, f) { for x in list { f(x) } }"
    assert effects_of('each([1], x => ws_join("r"))', more) == "joins"
    assert effects_of("each([1], x => x)", more) == ""


def test_call_of_an_unknown_function_counts_as_every_lambda_of_the_file() -> None:
    """A function kept in a shared variable may be any lambda of the file."""
    more = "shared hooks = { a: none }\nroute POST { hooks.a = () => { save Note {} }  1 }"
    assert effects_of("hooks.a()", more) == "writes reads"
    assert effects_of("f = hooks.a  f()", more) == "writes reads"
    assert effects_of("print(hooks.a)", more) == "reads"  # references, see below


def test_shared_variable_may_keep_records() -> None:
    """Reading a reference of a record kept by another handler reads the database."""
    files = {"app/a.flin": "shared last = none\nws { on message(data) { print(last.owner) } }"}
    ws = info_of(files).ws
    assert ws is not None
    assert ws.message is not None
    assert shown(ws.message.effects) == ""  # there are no references in this project
    assert effects_of("print(last.owner)", "shared last = none") == "reads"


def test_guard_definitions_and_middleware_have_effects() -> None:
    """Their own and those of what they call."""
    files = {
        **ENTITIES,
        "app/_middleware.flin": "guard_definition known() { User.find(1) }\n"
        "middleware { sleep(1) next() }",
    }
    info = info_of(files)
    assert info.middleware is not None
    assert shown(info.middleware.effects) == "waits"
    assert [shown(g.effects) for g in info.guard_definitions] == ["reads"]


def joins(text: str) -> bool:
    ws = info_of(text).ws
    assert isinstance(ws, WsInfo)
    return ws.uses_join


def test_rooms_are_explicit_when_any_handler_can_join() -> None:
    """Directly, or through a function; a join in code that `ws` never calls does not count."""
    assert not joins('ws { on connect { broadcast("r", 1) } }')
    assert joins("ws { on connect { } on message(d) { if d.join { ws_join(d.room) } } }")
    assert joins('ws { on connect { enter() } }\nfn enter() { ws_join("r") }')
    assert not joins('ws { on connect { } }\nfn enter() { ws_join("r") }')


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("chat", "writes reads sends"),
        ("notifications", "writes reads"),
        ("documents", "writes reads sends joins"),
        ("stream", "sends"),
    ],
)
def test_effects_of_the_examples(name: str, message: str) -> None:
    """The programs that users start from are judged as they should be."""
    root = Path(__file__).parents[2] / "examples" / name
    files = {
        path.relative_to(root).as_posix(): path.read_text(encoding="utf-8")
        for folder in ("entities", "lib", "app")
        for path in sorted((root / folder).rglob("*.flin"))
    }
    found = Effects()
    for path in files:
        if path.startswith("app/"):
            ordered = {k: v for k, v in files.items() if k != path} | {path: files[path]}
            ws = info_of(ordered).ws
            for handler in (ws.connect, ws.message, ws.close) if ws else ():
                found = found | (handler.effects if handler else Effects())
    wanted = Effects(**dict.fromkeys(message.split(), True))
    assert found | wanted == found
    assert not found.waits
