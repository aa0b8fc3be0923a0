"""Keywords, contextual words included, and the names that come with every request."""

from __future__ import annotations

from typing import Final

from flinfast.manual.entry import Entry

# Word -> (how it is written, what it does, example, other spellings).
_Row = tuple[str, str, str, str]

_STATEMENTS: Final[dict[str, _Row]] = {
    "if": (
        "if condition { ... } else { ... }",
        "Runs one of two blocks. As a value it is the last expression of the block that ran; "
        "`if c then a else b` is the short form.",
        'fn size(n) {\n    if n > 9 { "many" } else if n > 0 { "few" } else { "none" }\n}',
        "",
    ),
    "else": (
        "if condition { ... } else { ... }",
        "The other half of an `if`.",
        'fn sign(n) { if n < 0 then "-" else "+" }',
        "",
    ),
    "then": (
        "if condition then value else value",
        "Chooses between two values; both are needed.",
        'fn label(n) { if n == 1 then "item" else "items" }',
        "",
    ),
    "for": (
        "for item in items { ... }",
        "Runs a block for every item of a list, query, range or text, or every key of a map. "
        "`for item, index in items` counts along, `for [key, value] in map` gives both.",
        "fn total(orders) {\n    sum = 0\n    for order, i in orders { sum += order.price * i }\n"
        "    sum\n}",
        "",
    ),
    "in": (
        "item in items",
        "Tells whether a list has an item, a text a part or a map a key; `not in` is the "
        "opposite. After `for` it stands before what is gone through.",
        'fn is_weekend(day) { day in ["sat", "sun"] }',
        "",
    ),
    "while": (
        "while condition { ... }",
        "Runs a block as long as a condition holds; `while let pattern = value` as long as the "
        "value is not none and fits.",
        "fn halvings(n) {\n    count = 0\n    while n > 1 {\n        n = n / 2\n"
        "        count += 1\n    }\n    count\n}",
        "",
    ),
    "match": (
        "match value { pattern -> result }",
        "Takes the first arm whose pattern fits: a literal, `a | b`, a name, a list, a map, an "
        "enum variant, or `_` for everything.",
        'fn describe(n) {\n    match n {\n        0 -> "none"\n        1 | 2 -> "few"\n'
        '        _ -> "many"\n    }\n}',
        "",
    ),
    "return": (
        "return value",
        "Ends a handler, function or guard with a value, or without one.",
        'route GET {\n    if params.id == "0" { return error(404, "No such page") }\n'
        "    { id: params.id }\n}",
        "",
    ),
    "break": (
        "break",
        "Leaves the innermost loop, or the one with a label: `break 'outer`.",
        "fn first_even(numbers) {\n    found = none\n    for n in numbers {\n"
        "        if n % 2 == 0 { found = n break }\n    }\n    found\n}",
        "",
    ),
    "continue": (
        "continue",
        "Goes on with the next turn of the innermost loop, or of the one with a label.",
        "fn odd(numbers) {\n    kept = []\n    for n in numbers {\n"
        "        if n % 2 == 0 { continue }\n        kept.push(n)\n    }\n    kept\n}",
        "",
    ),
    "let": (
        "let name = value",
        "Declares a variable in this block, even when one of that name exists outside.",
        "fn double(n) {\n    let twice = n * 2\n    twice\n}",
        "var",
    ),
    "const": (
        "const name = value",
        "Declares a variable that never changes.",
        "const LIMIT = 50\n\nroute GET { { limit: LIMIT } }",
        "",
    ),
    "shared": (
        "shared name = value",
        "Declares a file-level variable that handlers may change. It lives in the memory of one "
        "process and is gone with it.",
        "shared visits = 0\n\nroute GET {\n    visits += 1\n    { visits: visits }\n}",
        "",
    ),
    "true": ("true", "The bool that holds.", "fn yes() { true }", ""),
    "false": ("false", "The bool that does not hold.", "fn no() { false }", ""),
    "none": (
        "none",
        "Nothing there: an absent key, an unset field, a record that was not found. Falsy; "
        "`a ?? b` replaces it.",
        'fn name_of(user) { user?.name ?? "guest" }',
        "null nil",
    ),
    "and": (
        "a && b",
        "The first operand when it is falsy, else the second. `and` is another spelling.",
        "fn both(a, b) { a && b }",
        "&&",
    ),
    "or": (
        "a || b",
        "The first operand when it is truthy, else the second: the usual way to a default. `or` "
        "is another spelling.",
        'fn room_of(data) { data.room || "general" }',
        "||",
    ),
    "not": (
        "!a",
        "Tells whether a value is falsy; `a not in b` is the opposite of `in`.",
        "fn is_new(item, seen) { item not in seen }",
        "!",
    ),
    "is": (
        "value is type",
        "Tells whether a value is of a type or a record of an entity.",
        "fn is_count(value) { value is int && value >= 0 }",
        "",
    ),
    "save": (
        "save record",
        "Inserts a record or updates it, at the end of the handler's transaction, and gives it "
        "back with its `id`. A failing check of a field answers 400 with the fields, a taken "
        "`@unique` value 409.",
        "entity Note { text: text @required }\n\n"
        "route POST {\n    note = Note { text: body.text }\n    save note\n    note\n}",
        "",
    ),
    "delete": (
        "delete record",
        "Hides a record from queries; `restore` brings it back, `with_deleted` shows it.",
        "entity Note { text: text }\n\n"
        "route DELETE {\n    note = Note.find(params.id)\n    if note { delete note }\n}",
        "",
    ),
    "destroy": (
        "destroy record",
        "Removes a record and its history for good.",
        "entity Note { text: text }\n\n"
        "route DELETE {\n    note = Note.find(params.id)\n    if note { destroy note }\n}",
        "",
    ),
    "restore": (
        "restore record",
        "Brings a deleted record back.",
        "entity Note { text: text }\n\n"
        "route POST {\n    note = Note.with_deleted.where(id == to_int(params.id)).first\n"
        "    if note { restore note }\n}",
        "",
    ),
}

_DECLARATIONS: Final[dict[str, _Row]] = {
    "route": (
        "route METHOD { ... }",
        "Answers requests of one method at the path of the file. The value of the block is the "
        "answer, as JSON; without a value it is 204.",
        "route GET { { id: params.id } }\n\nroute POST {\n    guard auth\n"
        "    validate { text: text @required }\n    response { status: 201, body: body.text }\n}",
        "",
    ),
    "ws": (
        "ws { on connect { ... } on message(data) { ... } on close { ... } }",
        "Serves WebSockets at the path of the file. Guards decide before the upgrade. A "
        "connection's handlers run one at a time, in order.",
        'ws {\n    on connect { ws_join("room:" + params.id) }\n'
        '    on message(data) { broadcast("room:" + params.id, data) }\n'
        '    on close { log_info("left") }\n}',
        "",
    ),
    "on": (
        "on connect { ... }",
        "A handler of a `ws` block: `on connect`, `on message(data)` or `on close`.",
        "ws {\n    on message(data) { ws_send(ws.connection_id, data) }\n}",
        "",
    ),
    "guard": (
        "guard name(arguments)",
        "Lets a request pass or refuses it: for all handlers of the file when it stands at file "
        "level, for one when it stands first in its block. An error in a guard refuses.",
        'guard auth\n\nroute GET { { ok: true } }\n\nroute DELETE {\n    guard role("admin")\n'
        "    { ok: true }\n}",
        "",
    ),
    "guards": (
        "guards { name: arguments }",
        "Several guards in one body; `guard name(arguments)` is the usual form.",
        'guards { auth: required, role: "admin" }\n\nroute GET { { ok: true } }',
        "",
    ),
    "guard_definition": (
        "guard_definition name(parameters) { ... }",
        "Defines a guard. A value of `false`, or an answer such as `error(403, text)`, refuses; "
        "everything else lets the request pass. In `guards/` every file can use it.",
        "guard_definition premium {\n"
        '    if session.plan != "premium" { return error(403, "Premium only") }\n}\n\n'
        "guard premium\n\nroute GET { { ok: true } }",
        "",
    ),
    "middleware": (
        "middleware { ... next() ... }",
        "Stands in `_middleware.flin` and runs around every request to its folder and those below, "
        "outer folders first. Without `next()` or an answer the request is refused.",
        'middleware {\n    next()\n    response.headers["X-App"] = "tea"\n}',
        "",
    ),
    "validate": (
        "validate { name: type @modifiers }",
        "Checks and converts the body before the handler runs; a body that does not fit is "
        "answered with 400 and the faults by field.",
        "route POST {\n    validate {\n        name: text @required @minLength(3)\n"
        "        age: int @min(0)\n    }\n    body\n}",
        "",
    ),
    "entity": (
        "entity Name { field: type @modifiers = default }",
        "Declares records that the database keeps. Every record also has `id`, `created_at`, "
        "`updated_at`, `deleted_at` and `version`.",
        "entity Ticket {\n    title: text @required @minLength(3)\n"
        '    state: text = "open"\n    owner_id: int @index\n}',
        "",
    ),
    "enum": (
        "enum Name { Variant, Variant }",
        "Declares a type of a few names; the value of a variant is its name as text.",
        "enum State { Open, Closed }\n\nentity Door { state: State = State.Open }",
        "",
    ),
    "type": (
        "type Name = type",
        "Gives a type another name.",
        "type Tags = [text]\n\nentity Post { tags: Tags }",
        "",
    ),
    "fn": (
        "fn name(parameters) -> type { ... }",
        "Declares a function; its value is the last expression. Functions in `lib/` and "
        "`entities/` are known in every file. Types are optional, and checked where given.",
        "fn greet(name: text, polite = true) -> text {\n"
        '    if polite then "Dear " + name else name\n}',
        "function",
    ),
    "server": (
        "server fn name(parameters) { ... }",
        "Marks a function that must not reach client code; on a server it equals `fn`.",
        "server fn secret() { 42 }",
        "",
    ),
    "async": (
        "async fn name(parameters) { ... }",
        "Accepted before `fn`; every function may wait, so it changes nothing.",
        "async fn later() { sleep(1.second) }",
        "",
    ),
    "test": (
        'test "name" { ... }',
        "Declares a test of the program.",
        'fn double(n) { n * 2 }\n\ntest "doubles" { expect double(2) == 4 }',
        "",
    ),
    "expect": (
        "expect condition, text",
        "Ends a test when the condition is falsy; the text says what it was about, and may be left "
        "out.",
        'fn double(n) { n * 2 }\n\ntest "doubles" {\n'
        '    expect double(2) == 4\n    expect double(0) == 0, "nothing stays nothing"\n}',
        "assert",
    ),
    "try": ("try", "A reserved word without a meaning: a failing handler leaves no trace, and its "
            "caller gets an error.", "", ""),
    "catch": ("catch", "A reserved word without a meaning, as `try`.", "", ""),
}  # fmt: skip

_CONTEXT: Final[dict[str, _Row]] = {
    "params": (
        "params.name",
        "The parameters of the path, as text: `[id].flin` gives `params.id`. In routes, guards, "
        "middleware and `ws` handlers.",
        "route GET { { id: to_int(params.id) } }",
        "",
    ),
    "query": (
        "query.name",
        "The query string: the first value of a name as text, none without one; "
        "`query.all(name)` gives every value.",
        'route GET { { page: to_int(query.page ?? "1"), tags: query.all("tag") } }',
        "",
    ),
    "body": (
        "body.name",
        "The body of the request: JSON or form fields as a map, else text or bytes; none without "
        "one. After `validate` it has the declared types. Not in `ws` handlers.",
        "route POST {\n    validate { text: text @required }\n    { got: body.text }\n}",
        "",
    ),
    "headers": (
        "headers.name",
        "The headers of the request; names compare without case, an underscore stands for a "
        'hyphen, and `headers["x-id"]` works too.',
        'route GET { { agent: headers["user-agent"] } }',
        "",
    ),
    "cookies": (
        "cookies.name",
        "The cookies of the request, as text. `set_cookie` sets one.",
        'route GET { { theme: cookies.theme ?? "light" } }',
        "",
    ),
    "session": (
        "session.name",
        "What the server keeps for this visitor. `session.user = record` logs in and gives "
        "`session.userId` and `session.userName`; `session.destroy()` logs out. In `ws` handlers "
        "it is as it was at the upgrade.",
        "route POST {\n    session.theme = body.theme\n    { theme: session.theme }\n}",
        "",
    ),
    "request": (
        "request.name",
        "The request: `method path ip user url host scheme id headers query body_raw`. Middleware "
        "and guards may set `request.user`.",
        "route GET { { path: request.path, ip: request.ip } }",
        "",
    ),
    "response": (
        "response { status: 200, body: value, headers: {} }",
        "A full answer; also `response.created(v)`, `.ok(v)`, `.no_content()`, `.not_found(text)`, "
        "`.json(v, status)`, `.html(text)` and `.text(text)`. In middleware, after `next()`, "
        "`response.status` and `response.headers` are those of the answer.",
        'route POST { response { status: 201, body: body, headers: { "X-Id": "7" } } }',
        "",
    ),
    "ws": (
        "ws.name",
        "In `ws` handlers the connection: `connection_id rooms path ip connected_at protocol "
        "close_code close_reason payload`, and `ws.state`, a map of its own for what the handlers "
        "remember.",
        "ws {\n    on connect { ws.state.count = 0 }\n    on message(data) {\n"
        "        ws.state.count += 1\n        ws_send(ws.connection_id, ws.state.count)\n    }\n}",
        "",
    ),
}


def _entries(rows: dict[str, _Row], kind: str, area: str) -> list[Entry]:
    return [
        Entry(name, kind, area, summary, (written,), example=example, aliases=tuple(other.split()))
        for name, (written, summary, example, other) in rows.items()
    ]


def entries() -> list[Entry]:
    """All entries of this file."""
    return [
        *_entries(_STATEMENTS, "keyword", "Statements and operators"),
        *_entries(_DECLARATIONS, "keyword", "Declarations"),
        *_entries(_CONTEXT, "context", "Known in every handler"),
    ]
