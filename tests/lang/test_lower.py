"""What lowered code looks like from outside: positions, names, fast paths, relays, templates."""

from __future__ import annotations

import cProfile
import dis
import pstats
import sys
import traceback
from collections.abc import Callable
from types import CodeType, SimpleNamespace
from typing import Any

import pytest

from flinfast.errors import RuntimeFault
from tests.lang.compiling import bind, bind_one, compile_files
from tests.lang.fake_abi import Context, FakeAbi, Message


def fault_of(run: Callable[[], Any]) -> traceback.StackSummary:
    """FLIN frames of the fault that a call ends in."""
    with pytest.raises(RuntimeFault) as caught:
        run()
    frames = traceback.extract_tb(caught.value.__traceback__)
    return traceback.StackSummary([f for f in frames if f.filename.endswith(".flin")])


def codes_of(code: CodeType) -> list[CodeType]:
    """Code objects inside one, itself included."""
    found = [code]
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            found += codes_of(constant)
    return found


def used(function: Any) -> set[str]:
    """Names of ours that a closure reaches through its cells, its lambdas included."""
    return {name for code in codes_of(function.__code__) for name in code.co_freevars}


# --- positions ----------------------------------------


@pytest.mark.parametrize(
    ("text", "line", "columns"),
    [
        ("route GET {\n    a = 1\n    b = a / 0\n    b\n}", 3, (8, 13)),
        ("route GET {\n    x = none\n    print(x.name)\n}", 3, (10, 16)),
        ("route GET {\n    x = none\n    é = 'ü'  x.name\n    é\n}", 3, (13, 19)),
        ("route GET {\n  if true {\n    f = none\n    [1,\n     f()]\n  }\n}", 5, (5, 8)),
        ("route GET { x = [none]\n  [1, 2].map(y => y +\n    x[0]) }", 2, (18, None)),
    ],
)
def test_fault_has_the_line_and_columns_of_the_source(
    text: str, line: int, columns: tuple[int, int | None]
) -> None:
    """0-based character columns of the expression that failed, also after wide characters."""
    _, closures = bind_one(text)
    frame = fault_of(lambda: closures["route GET"](Context()))[-1]
    assert (frame.filename, frame.lineno) == ("app/api/test.flin", line)
    source = text.splitlines()[line - 1]
    assert frame.colno is not None
    assert frame.end_colno is not None
    # Python counts UTF-8 bytes in code objects.
    start = len(source.encode()[: frame.colno].decode())
    assert start == columns[0]
    if columns[1] is not None:
        assert len(source.encode()[: frame.end_colno].decode()) == columns[1]


def test_traceback_names_functions_and_lines_of_the_source() -> None:
    """Frames are called what the user calls them."""
    text = (
        "fn outer(x) {\n"
        "    inner(x)\n"
        "}\n"
        "fn inner(x) {\n"
        "    [1].map(y => {\n"
        "        z = 1\n"
        "        z / x\n"
        "    })\n"
        "}\n"
        "route DELETE {\n"
        "    outer(0)\n"
        "}\n"
    )
    _, closures = bind_one(text)
    frames = fault_of(lambda: closures["route DELETE"](Context()))
    assert [(f.name, f.lineno) for f in frames] == [
        ("route DELETE", 11),
        ("outer", 2),
        ("inner", 5),
        ("<lambda>", 7),
    ]


def test_every_instruction_has_a_line_of_the_source() -> None:
    """Debuggers and profilers never leave the file."""
    text = "route GET {\n  for x in [1] {\n    if x { print(x) }\n  }\n  match 1 { 1 -> 2 }\n}"
    _, closures = bind_one(text)
    code = closures["route GET"].__code__
    lines = {line for _, _, line in code.co_lines() if line is not None}
    assert lines <= set(range(1, 7))
    assert {2, 3, 5} <= lines


def test_debugger_steps_through_the_source() -> None:
    """Line events name the FLIN file and its lines, in the order in which they run."""
    text = "fn twice(n) {\n  n * 2\n}\n"
    text += "route GET {\n  a = twice(1)\n  if a > 1 {\n    a = 3\n  }\n  a\n}"
    _, closures = bind_one(text)
    steps: list[int] = []

    def trace(frame: Any, event: str, _argument: Any) -> Any:
        if not frame.f_code.co_filename.endswith(".flin"):
            return None
        if event == "line":
            steps.append(frame.f_lineno)
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        closures["route GET"](Context())
    finally:
        sys.settrace(before)
    assert [line for place, line in enumerate(steps) if steps[place - 1 : place] != [line]] == [
        5, 2, 6, 7, 9,
    ]  # fmt: skip


def test_profiler_names_functions_of_the_source() -> None:
    """cProfile shows where time goes by FLIN file, line and name."""
    _, closures = bind_one("fn twice(n) {\n  n * 2\n}\nroute GET {\n  twice(1)\n}")
    profile = cProfile.Profile()
    try:
        profile.runcall(closures["route GET"], Context())
    except ValueError:
        pytest.skip("another profiler is active")
    shown = {key for key in pstats.Stats(profile).stats if key[0].endswith(".flin")}  # type: ignore[attr-defined]
    assert {(name, line) for _, line, name in shown} == {("twice", 1), ("route GET", 4)}


def test_locals_have_the_names_of_the_source() -> None:
    """A debugger shows variables as they are called in FLIN, even Python's own words."""
    text = "route GET { class = 1\n total = [class]\n total.x() }"
    _, closures = bind_one(text)
    with pytest.raises(RuntimeFault) as caught:
        closures["route GET"](Context())
    trace = caught.value.__traceback__
    while trace is not None and trace.tb_frame.f_code.co_name != "route GET":
        trace = trace.tb_next
    assert trace is not None
    shown = trace.tb_frame.f_locals
    assert (shown["class"], shown["total"]) == (1, [1])


# --- what closures reach ----------------------------------------


def test_closures_look_nothing_up_by_name() -> None:
    """Everything is a cell or a local: no global is read while a handler runs."""
    text = (
        "entity Note { text: text }\n"
        "LIMIT = 5\n"
        "fn f(a: int, b = []) { a * 2 + len(b) }\n"
        "route POST {\n"
        "    n = Note.find(params.id)\n"
        '    if n == none || n.text == body.text { return error(404, "no") }\n'
        '    save Note { text: "{n.text} {LIMIT}" }\n'
        "    [f(1), body.items.map(x => x.y ?? { ...n, z: [...body.l] })]\n"
        "}\n"
    )
    _, closures = bind_one(text)
    for name in ("route POST", "f"):
        for code in codes_of(closures[name].__code__):
            found = {i.opname for i in dis.get_instructions(code)}
            assert not found & {"LOAD_GLOBAL", "LOAD_NAME", "STORE_GLOBAL"}


@pytest.mark.parametrize(
    "body",
    [
        "a + b - 2",
        "a * 3",
        "-a",
        "a < b && b >= 0 || a == b",
        "if a > 1 { b } else { a }",
        't + "x" ++ t',
        '"{t} {t}"',
        't == "x"',
        "t < t",
        "a == none",
        "t.len + l.len",
        "x = 0 for i in 0..a { x += i } x",
        "x = 0.5 x = x * 2.0 + x x",
        "t in { k: 1 }",
        "l[1:]",
        't || "other"',
        "!t",
    ],
)
def test_typed_paths_call_no_operator(body: str) -> None:
    """Operands of evident kinds cost what they cost in Python."""
    _, closures = bind_one(f"fn f(a: int, b: int, t: text, l: list) {{ {body} }}")
    names = {name for name in used(closures["f"]) if name.startswith("$op_")}
    assert names <= {"$op_mod", "$op_mul"}  # a product may pass the limit of ints
    assert "$b_len" not in used(closures["f"])


@pytest.mark.parametrize(
    "body",
    [
        "n * 2",
        "2 * n",
        "n * n",
        "-n * 3",
        "n * 2 * 0",
        "x = n  x *= 2  x",
        "for x in [n] { return x * 2 }  0",
        "for x in [n] { x += 1  return 2 * x }  0",
        "m = { k: n }  m.k *= 2  m",
        "m = [n]  m[0] *= 2  m",
        "(x => x * 2)(n)",
        "f = x => x * 2  f(n)",
        "[n].map(x => x * 2)",
        "i = n  i = i * 2 - i",
        "i = 0  for j in n..n + 1 { i = j * 2 }  i",
        "i = 3  while i < n { i = i * i }  i",
    ],
)
def test_no_product_passes_the_limit_of_ints(body: str) -> None:
    """Wherever it stands, and whatever is known of its operands."""
    _, closures = bind_one(f"fn f(n: int) {{ {body} }}  fn g(n) {{ {body} }}")
    for name in ("f", "g"):
        with pytest.raises(RuntimeFault, match="14000 bits"):
            closures[name](None, 1 << 13_999)


@pytest.mark.parametrize(
    "body",
    [
        "s = 0  for i in 0..n { s += i * i * 3 }  s",
        "i = 1  while i < n { i = i + 5 }  i * i",
        "low = 0  high = l.len - 1  while low < high { low = floor((low + high) / 2) + 1 }  low",
        "s = 0  for x, i in l { s = i * 2 }  s",
        "f = x => x * 2  f(l.len) + f(7)",
    ],
)
def test_products_and_quotients_of_what_is_counted_call_nothing(body: str) -> None:
    """An index, a size, and what moves in small steps, cannot pass any limit."""
    _, closures = bind_one(f"fn f(n: int, l: list) {{ {body} }}")
    names = used(closures["f"])
    assert not names & {"$op_mul", "$op_div", "$b_floor"}


def test_member_of_a_map_literal_is_a_plain_get() -> None:
    """A variable that only ever holds maps needs no check."""
    _, closures = bind_one('fn f() { m = { a: 1 }\n m.b = 2\n [m.a, m["b"]] }')
    assert closures["f"](None) == [1, 2]
    assert used(closures["f"]) == set()


@pytest.mark.parametrize(
    ("operator", "expected"), [("+", 9), ("-", 5), ("<", False), (">=", True), ("==", False)]
)
def test_operand_that_turns_out_to_be_an_int_calls_no_operator(
    operator: str, expected: Any
) -> None:
    """A value of unknown kind beside an int is asked for its type, which is cheaper than a call."""
    abi: Any = FakeAbi()
    calls: list[str] = []
    plain = abi.ops
    counted = {n: _counted(calls, n, getattr(plain, n)) for n in ("add", "sub", "lt", "ge", "eq")}
    names = [name for name in dir(plain) if not name.startswith("_")]
    abi.ops = SimpleNamespace(**{n: getattr(plain, n) for n in names} | counted)
    text = f"fn f(a, b: int) {{ a {operator} b }} fn g(a: int, b) {{ a {operator} b }}"
    closures = compile_files(text).files[0].bind(abi)
    for name in ("f", "g"):
        assert closures[name](None, 7, 2) is expected or closures[name](None, 7, 2) == expected
    assert calls == []
    closures["f"](None, 7.5, 2)
    closures["g"](None, 7, 2.5)
    assert len(calls) == 2


class Thing:
    """An object with members, as records and sessions are."""

    def __init__(self, **members: Any) -> None:
        self.members = members

    def flin_get(self, name: str) -> Any:
        return self.members[name]


def _counted(calls: list[str], name: str, function: Any) -> Any:
    def counted(*arguments: Any) -> Any:
        calls.append(name)
        return function(*arguments)

    return counted


@pytest.mark.parametrize("operator", ["+", "-", "<", ">", "==", "!="])
def test_guarded_operands_are_evaluated_once_from_left_to_right(operator: str) -> None:
    """Whatever the fast path looks like, and although the second operand changes the first."""
    text = f"""
        fn f(log, a, b) {{
            x = a
            next_value = () => {{ log.push("b")  x = 100  b }}
            first = () => {{ log.push("a")  x }}
            [first() {operator} next_value(), x {operator} next_value()]
        }}
    """
    operators: dict[str, Any] = {
        "+": lambda a, b: a + b,
        "-": lambda a, b: a - b,
        "<": lambda a, b: a < b,
        ">": lambda a, b: a > b,
        "==": lambda a, b: a == b,
        "!=": lambda a, b: a != b,
    }
    plain = operators[operator]
    _, closures = bind_one(text)
    for a, b in [(7, 2), (2, 2), (7.5, 2), (2, 7.5)]:
        log: list[str] = []
        assert closures["f"](None, log, a, b) == [plain(a, b), plain(100, b)]
        assert log == ["a", "b", "b"]


@pytest.mark.parametrize(
    "body",
    [
        "[v.a, v.b]",
        "g = () => [v.a, v.b]  g()",
        "for v in [v] { return [v.a, v.b] }",
        "w = v\n[w.a, w.b]",
        'v = v\n[v.a, v["b"]]',
        "(x => { [x.a, x.b] })(v)",
        "match v { x -> [x.a, x.b] }",
        "found = []  for x in [v, { a: 1, b: 2 }] { found = [x.a, x.b] + found }  found[2:]",
    ],
)
def test_members_of_maps_and_of_objects_are_read_alike(body: str) -> None:
    """A variable that is asked for several members is looked at once, and never wrongly."""
    _, closures = bind_one(f"fn f(v) {{ {body} }}")
    assert closures["f"](None, {"a": 1, "b": [2]}) == [1, [2]]
    assert closures["f"](None, Thing(a=1, b=[2])) == [1, [2]]


def test_constants_of_the_file_are_folded() -> None:
    """A literal that is never assigned again is a constant in every handler."""
    _, closures = bind_one('ROOM = "general"\nroute GET { "room:" + ROOM }')
    code = closures["route GET"].__code__
    assert "room:general" in code.co_consts or code.co_freevars == ()
    assert closures["route GET"](Context()) == "room:general"


def test_default_of_a_parameter_does_not_cost_an_argument_check() -> None:
    """A literal default is Python's own."""
    _, closures = bind_one('fn f(a, b = 2, c = "x") { [a, b, c] }')
    assert closures["f"].__defaults__ == (None, 2, "x")


def test_path_parameter_is_an_evident_text() -> None:
    """`params.id` of `[id].flin` is read directly and joined without a conversion."""
    files = {"app/[id].flin": 'ws { on close { broadcast("doc:" + params.id, 1) } }'}
    abi, found = bind(files)
    closure = found["app/[id].flin"]["ws close"]
    assert used(closure) == {"$b_broadcast"}
    closure(Context(params={"id": "7"}))
    assert abi.calls == [("broadcast", "doc:7", 1)]


# --- messages ----------------------------------------


def on_message(code: str, message: Message, more: str = "") -> FakeAbi:
    abi, closures = bind_one(f"ws {{ on message(data) {{\n{code}\n}} }}\n{more}")
    closures["ws message"](Context(), message)
    return abi


@pytest.mark.parametrize(
    "code",
    [
        'broadcast("r", data)',
        "broadcast_all(data)",
        'broadcast_others("r", data)',
        'ws_send("r", data)',
        'broadcast(data: data, room: "r")',
        "data |> broadcast_all",
        'x = {}  x.a = 1  broadcast("r", data)',
        'if true { [1].each(x => broadcast("r", data)) }',
    ],
)
def test_message_that_is_only_passed_on_is_never_decoded(code: str) -> None:
    """What is sent is the message as it came in."""
    message = Message({"a": 1})
    abi = on_message(code, message)
    assert message.decoded == 0
    assert any(part is message for part in (*abi.calls[-1], *_named(abi.calls[-1])))


def _named(call: tuple[Any, ...]) -> list[Any]:
    return list(call[-1].values()) if isinstance(call[-1], dict) else []


def test_message_that_is_read_is_decoded_once_and_still_passed_on() -> None:
    """Reading members does not cost an encoding."""
    message = Message({"room": "a", "text": "x"})
    abi = on_message('broadcast(data.room || "general", data)  print(data.text)', message)
    assert message.decoded == 1
    assert abi.calls[0] == ("broadcast", "a", message)


@pytest.mark.parametrize(
    "code",
    [
        "data.seen = true  broadcast_all(data)",
        'data.user.name = "x"  broadcast_all(data)',
        "d = data  d.seen = true  broadcast_all(data)",
        "data.list.push(1)  broadcast_all(data)",
        "push(data.list, 1)  broadcast_all(data)",
        "data.list |> push(1)  broadcast_all(data)",
        "change(data)  broadcast_all(data)",
        "data = { a: 1 }  broadcast_all(data)",
        "f = x => { x.a = 1 }  f(data)  broadcast_all(data)",
        'data["k"] = 1  broadcast_all(data)',
        "{ list } = data  list.push(2)  broadcast_all(data)",
        "broadcast_all([data])",
    ],
)
def test_message_that_may_have_changed_is_sent_as_it_is_now(code: str) -> None:
    """Whatever could change the decoded value makes the handler send the value."""
    message = Message({"list": [], "user": {}})
    abi = on_message(code, message, "fn change(x) { x.a = 1 }")
    assert not any(part is message for part in abi.calls[-1])


def test_send_to_the_current_connection_takes_the_short_way() -> None:
    """`ws_send(ws.connection_id, x)` needs no look-up of the connection."""
    message = Message({"a": 1})
    abi = on_message("ws_send(ws.connection_id, data)  ws_send(ws.connection_id, 5)", message)
    assert abi.calls == [("_ws_send_current", message), ("_ws_send_current", 5)]
    assert message.decoded == 0


# --- queries ----------------------------------------

NOTE = "entity Note { user_id: int  text: text  read: bool }\n"


@pytest.mark.parametrize(
    ("condition", "template"),
    [
        ("read", ("truthy", ("field", "read"))),
        ("!read", ("not", ("truthy", ("field", "read")))),
        ('text == "a"', ("eq", ("field", "text"), ("const", "a"))),
        ("body.x != user_id", ("ne", ("param", 0), ("field", "user_id"))),
        ("id > 5", ("gt", ("field", "id"), ("const", 5))),
        ("5 <= id", ("le", ("const", 5), ("field", "id"))),
        ("text in body.list", ("in", ("field", "text"), ("param", 0))),
        (
            'text not in ["a"]',
            ("not", ("in", ("field", "text"), ("param", 0))),
        ),
        (
            "text.contains(body.q)",
            ("truthy", ("call", "contains", ("field", "text"), ("param", 0))),
        ),
        (
            'starts_with(text, "a")',
            ("truthy", ("call", "starts_with", ("field", "text"), ("const", "a"))),
        ),
        ('text.lower == "a"', ("eq", ("call", "lower", ("field", "text")), ("const", "a"))),
        (
            "text.trim().length > 2",
            ("gt", ("call", "len", ("call", "trim", ("field", "text"))), ("const", 2)),
        ),
        (
            "text == body.t || body.t == none",
            ("or", ("eq", ("field", "text"), ("param", 0)), ("truthy", ("param", 1))),
        ),
        (
            "read && to_int(session.userId) == user_id",
            ("and", ("truthy", ("field", "read")), ("eq", ("param", 0), ("field", "user_id"))),
        ),
        (
            "n => n.read && n.text == body.t",
            ("and", ("truthy", ("field", "read")), ("eq", ("field", "text"), ("param", 0))),
        ),
    ],
)
def test_condition_becomes_a_template(condition: str, template: tuple[Any, ...]) -> None:
    """Fields stay, what does not depend on the row is one parameter each."""
    abi, closures = bind_one(f"{NOTE}route GET {{ Note.where({condition}) }}")
    assert abi.entities["Note"].prepared == [template]
    closures["route GET"](Context(body={"list": ["a"], "q": "a", "t": "t"}))
    assert abi.entities["Note"].prepared == [template]  # made once, when the file is bound


@pytest.mark.parametrize(
    "condition",
    [
        "user_id + 1 > body.x",
        'text[0] == "a"',
        "if read then true else false",
        "n => n.user_id % 2 == 0",
        "n => { x = n.read  x }",
        "n => n.text == other()",
        "text is text",
    ],
)
def test_other_conditions_run_per_row(condition: str) -> None:
    """What no template can say is a function of the row."""
    abi, closures = bind_one(
        f'{NOTE}fn other() {{ "a" }}\nroute GET {{ Note.where({condition}).count }}'
    )
    assert abi.entities["Note"].prepared == []
    note = abi.entities["Note"]
    note.save(note.construct({"user_id": 3, "text": "a", "read": True}))
    note.save(note.construct({"user_id": 4, "text": "a", "read": True}))
    assert closures["route GET"](Context(body={"x": 3})) in (1, 2)


def test_same_condition_is_prepared_once_per_file() -> None:
    """Two handlers with one condition share its reusable form."""
    route = "{ Note.where(read == false).count }"
    abi, _ = bind_one(f"{NOTE}route GET {route}\nroute POST {route}")
    assert len(abi.entities["Note"].prepared) == 1


def test_parameters_of_a_condition_are_evaluated_in_order_and_once() -> None:
    """Left to right, before the scan."""
    abi, closures = bind_one(
        f"{NOTE}fn note(log, x) {{ push(log, x)  x }}\n"
        "route GET {\n"
        "  log = []\n"
        "  Note.where(user_id > note(log, 1) && user_id < note(log, 9) && read == note(log, true))"
        ".count\n"
        "  log\n"
        "}"
    )
    note = abi.entities["Note"]
    for n in range(4):
        note.save(note.construct({"user_id": n, "text": "", "read": True}))
    assert closures["route GET"](Context()) == [1, 9, True]
