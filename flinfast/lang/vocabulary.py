"""The words and types of tokens of FLIN, as sets and tables; no rules.

Used by the passes from the lexer to the grammar, and by what is generated from them (keyword lists
of editors and of `flinfast explain`).
"""

from __future__ import annotations

from typing import Final


def types(names: str) -> frozenset[str]:
    """The set of some types of tokens, given with spaces between them."""
    return frozenset(names.split())


# Spelling -> token; reserved everywhere but after `.` and before `:` in a body.
HARD_KEYWORDS: Final = {
    "if": "IF",
    "else": "ELSE",
    "for": "FOR",
    "in": "IN",
    "while": "WHILE",
    "match": "MATCH",
    "return": "RETURN",
    "break": "BREAK",
    "continue": "CONTINUE",
    "fn": "FN",
    "function": "FN",
    "true": "TRUE",
    "false": "FALSE",
    "none": "NONE",
    "null": "NONE",
    "nil": "NONE",
    "entity": "ENTITY",
    "enum": "ENUM",
    "save": "SAVE",
    "delete": "DELETE",
    "destroy": "DESTROY",
    "restore": "RESTORE",
    "and": "AND",
    "or": "OR",
    "not": "NOT",
}
# What people who know other languages write -> what they look for.
_FUNCTION: Final = "a function is written `fn name(parameters) { ... }`"
_NO_WAITING: Final = "leave it out: a call that has to wait does so by itself"
_NO_IMPORTS: Final = "nothing is imported: functions of `lib/` and entities are known everywhere"
TYPED: Final = "a variable with a type is written `name: type = value`"
_FAILURE: Final = "answer with `error(status, message)`, or return early"
_JSON: Final = "write `parse_json(text)` and `to_json(value)`"
_LOOP: Final = "write `for item in list { ... }`"
_LATER: Final = "nothing runs by itself: a handler that waits calls `sleep(1.second)`"
_ASKED: Final = "what was sent is in `body`, `query`, `params`, `headers` and `session`"
_ANSWER: Final = "the last value of a handler is its answer; others are `response { status: 201 }`"
_FETCH: Final = "write `http_get(url)`, `http_post(url, { json: value })`"
_SHARE: Final = "write `ws_send(id, value)` or `broadcast(room, value)`"
_RECORD: Final = "entities are written `entity Name { field: type }`"
_ROUTE: Final = "a route is written `route GET { ... }`, its path is that of its file"
VALUE_FUNCTION: Final = "a function value is written `x => ...`"
BLOCK: Final = "a block stands between `{` and `}`"
_QUERY: Final = "records are read with `Name.where(condition)` and written with `save record`"
FOREIGN: Final = {
    "True": "write `true`",
    "False": "write `false`",
    "None": "write `none`",
    "undefined": "write `none`",
    "void": "write `none`",
    **dict.fromkeys(("def", "defp", "func", "fun", "proc"), _FUNCTION),
    "lambda": VALUE_FUNCTION,
    **dict.fromkeys(("defmodule", "module", "namespace"), "functions stand in files of `lib/`"),
    **dict.fromkeys(("async", "await"), _NO_WAITING),
    **dict.fromkeys(("begin", "end"), BLOCK),
    **dict.fromkeys(("router", "app", "express", "fastify"), _ROUTE),
    **dict.fromkeys(("get", "post", "put", "patch"), _ROUTE),
    **dict.fromkeys(("db", "conn", "cursor", "prisma", "Repo"), _QUERY),
    **dict.fromkeys(("import", "from", "export", "require", "include", "use"), _NO_IMPORTS),
    **dict.fromkeys(("int", "bool", "string", "float", "number", "text"), TYPED),
    **dict.fromkeys(("throw", "raise", "panic"), _FAILURE),
    **dict.fromkeys(("class", "struct", "model", "interface", "table"), _RECORD),
    "new": "a record is made with `Name { field: value }`",
    "this": "there are no objects with methods: use a variable or an entity",
    "self": "there are no objects with methods: use a variable or an entity",
    "elif": "write `else if`",
    "elseif": "write `else if`",
    "elsif": "write `else if`",
    "unless": "write `if !condition { ... }`",
    "until": "write `while !condition { ... }`",
    "foreach": _LOOP,
    "do": "a block stands between `{` and `}`; a loop is `while condition { ... }`",
    "when": "write `if condition { ... }`",
    "pass": "a block may be empty: `{ }`",
    "echo": "the last value of a handler is its answer; `print(value)` writes to the log",
    "static": "what handlers share is declared `shared name = value`",
    "global": "what handlers share is declared `shared name = value`",
    "with": "leave it out: what a handler opens is closed by itself",
    "typeof": "write `type_of(value)`, or `value is text`",
    "instanceof": "write `value is Name`",
    "isset": "write `value != none`",
    "package": _NO_IMPORTS,
    "range": _LOOP,
    "JSON": _JSON,
    "json": _JSON,
    "Date": "write `now()`, or `parse_time(text)`",
    "datetime": "write `now()`, or `parse_time(text)`",
    "Object": "maps have `m.keys()`, `m.values()` and `m.entries()`",
    "Array": "a list is written `[1, 2]`; `x is list` tests for one",
    "Promise": _NO_WAITING,
    "process": "write `env(name)` for a variable of the environment",
    "os": "write `env(name)` for a variable of the environment",
    "str": "write `to_text(value)`",
    "String": "write `to_text(value)`; a text has methods: `value.upper()`",
    "as": "write `to_int(value)`, `to_number(value)` or `to_text(value)`",
    "del": "write `delete record`, or `m.delete_key(key)`",
    "extends": "an entity has the fields that stand in it",
    "current_user": "who is logged in is `session.user`",
    "assert": "`expect` stands in tests; a handler answers with `error(status, message)`",
    **dict.fromkeys(
        ("parseInt", "Number", "parseFloat"), "write `to_int(text)`, `to_number(text)`"
    ),
    **dict.fromkeys(("setTimeout", "setInterval"), _LATER),
    **dict.fromkeys(("req", "ctx"), _ASKED),
    **dict.fromkeys(("res", "jsonify", "render", "status"), _ANSWER),
    **dict.fromkeys(("fetch", "axios", "requests"), _FETCH),
    **dict.fromkeys(("io", "socket", "emit", "send", "reply"), _SHARE),
    "Math": "write `floor(x)`, `max(x, value)`, `random()`",
    "switch": "write `match value { pattern -> result }`",
    "case": "write `match value { pattern -> result }`",
    "finally": "a failing handler undoes what it did by itself",
    "console": "`log_info(value)` writes to the log",
    "guards": "write a line `guard name` for each",
    "on": "`on connect`, `on message` and `on close` stand inside `ws { ... }`",
}
_FIRST: Final = "write `.where(condition).first`, or `.find(id)`"
# Methods of other languages -> what to write instead.
FOREIGN_METHODS: Final = {
    **dict.fromkeys(("toUpperCase", "upcase", "strtoupper"), "did you mean `upper`?"),
    **dict.fromkeys(("toLowerCase", "downcase", "strtolower"), "did you mean `lower`?"),
    **dict.fromkeys(("toString", "to_string", "to_s"), "did you mean `to_text`?"),
    **dict.fromkeys(("toISOString", "isoformat"), "`to_text` gives ISO 8601 text"),
    **dict.fromkeys(("getTime", "valueOf"), "did you mean `timestamp`?"),
    **dict.fromkeys(("hasOwnProperty", "has_own_property"), "did you mean `has_key`?"),
    **dict.fromkeys(("strip", "lstrip", "rstrip"), "did you mean `trim`?"),
    "startswith": "did you mean `starts_with`?",
    "endswith": "did you mean `ends_with`?",
    "isdigit": "did you mean `is_numeric`?",
    "items": "did you mean `entries`?",
    "then": _NO_WAITING,
    "status": "write `response { status: 201, body: value }`",
    **dict.fromkeys(("test", "match"), "a text is checked by `@pattern` in rules of `validate`"),
    **dict.fromkeys(("emit", "send", "broadcast_to", "publish"), _SHARE),
    **dict.fromkeys(("save", "commit"), "write `save record`"),
    **dict.fromkeys(("insert", "build"), "write `save Name { field: value }`"),
    **dict.fromkeys(("extend", "addAll"), "write `list = list + other`"),
    "on": "handlers are written `ws { on message(data) { ... } }`",
    **dict.fromkeys(("delete", "remove", "destroy"), "write `delete record`"),
    "update": "assign the fields of a record, then `save record`",
    **dict.fromkeys(("order_by", "orderBy", "sort_by"), 'write `.order(field, "desc")`'),
    **dict.fromkeys(("findOne", "find_one", "findFirst", "find_by", "findBy"), _FIRST),
    **dict.fromkeys(("findMany", "filter_by", "select", "query"), "write `.where(condition)`"),
    **dict.fromkeys(("objects", "findAll", "find_all"), "did you mean `all`?"),
}
# Guards and modifiers of other frameworks -> what to write instead.
FOREIGN_GUARDS: Final = {
    **dict.fromkeys(
        ("logged_in", "login_required", "authenticated", "login"), "write `guard auth`"
    ),
    **dict.fromkeys(("admin", "is_admin", "admin_only"), 'write `guard role("admin")`'),
}
_REFERENCE: Final = "a field of the type of an entity refers to a record: `author: User`"
FOREIGN_MODIFIERS: Final = {
    **dict.fromkeys(("not_null", "notnull", "notNull", "non_null"), "did you mean `@required`?"),
    **dict.fromkeys(("primary_key", "primary", "id", "auto_increment"), "every record has an `id`"),
    **dict.fromkeys(("foreign_key", "references", "belongs_to", "relation"), _REFERENCE),
    **dict.fromkeys(("nullable", "optional", "null"), "a value that may be none: `name: text?`"),
}
# Words without a meaning, which are no names either -> what to do.
RESERVED: Final = dict.fromkeys(
    ("try", "catch"), "a fault ends the handler and undoes what it did: test what may fail"
)

KEYWORDS: Final = frozenset(HARD_KEYWORDS.values())
WORDS: Final = KEYWORDS | {"NAME", "TYPE_NAME"}

# Contextual keyword -> (token, construct that waits for its `{`, what must follow); it is one only
# where a statement starts.
_NAMES: Final = types("NAME TYPE_NAME")
_BODY: Final = types("LBRACE")
_OPERANDS: Final = WORDS - types("IN AND OR ELSE") | types(
    "NUMBER TEXT TEXT_OPEN BANG MINUS LPAREN LBRACKET LBRACE"
)
_DECLARABLE: Final = WORDS | {"LBRACE", "LBRACKET"}
CONTEXTUAL: Final = {
    "route": ("ROUTE", "block", WORDS | {"LBRACE", "TEXT", "PATH"}),
    "ws": ("WS", "ws", types("LBRACE NAME")),
    "on": ("ON", "block", WORDS),
    "guard": ("GUARD", "", WORDS),
    "guards": ("GUARDS", "", _BODY),
    "guard_definition": ("GUARD_DEFINITION", "block", WORDS),
    "middleware": ("MIDDLEWARE", "block", _BODY),
    "validate": ("VALIDATE", "entity", _BODY),
    "test": ("TEST", "test", types("TEXT")),
    "expect": ("EXPECT", "", _OPERANDS),
    "assert": ("EXPECT", "", _OPERANDS),
    "let": ("DECLARE", "", _DECLARABLE),
    "const": ("DECLARE", "", _DECLARABLE),
    "var": ("DECLARE", "", _DECLARABLE),
    "shared": ("DECLARE", "", _NAMES),
    "server": ("FN_PREFIX", "", types("FN")),
    "async": ("FN_PREFIX", "", types("FN")),
    "type": ("TYPE", "", types("TYPE_NAME")),
}

# --- tokens as the lexer gives them

RAW_CLOSER_OF: Final = {
    "LBRACE": "RBRACE",
    "LPAREN": "RPAREN",
    "LBRACKET": "RBRACKET",
    "TEXT_OPEN": "TEXT_CLOSE",
    "INTERP_OPEN": "INTERP_CLOSE",
}
CLOSERS: Final = frozenset(RAW_CLOSER_OF.values())

# After one of these an operand is complete: a line end or an adjacent word ends the statement.
OPERAND_ENDS: Final = CLOSERS | types(
    "NAME TYPE_NAME NUMBER TEXT TRUE FALSE NONE INCREMENT DECREMENT LABEL PATH CONTINUE"
)
# What starts a statement or member right after a complete operand on the same line ...
STARTERS: Final = types(
    "NAME TYPE_NAME NUMBER TEXT TEXT_OPEN IF FOR WHILE MATCH RETURN BREAK CONTINUE FN TRUE FALSE "
    "NONE ENTITY ENUM SAVE DELETE DESTROY RESTORE NOT BANG LABEL ELLIPSIS LBRACE"
)
# ... and on a line of its own.
LINE_STARTERS: Final = STARTERS | types("LPAREN LBRACKET MINUS PLUS MINUS_MINUS")
ENTRY_STARTERS: Final = (WORDS - types("IN AND OR ELSE")) | types("TEXT NUMBER ELLIPSIS")

# --- tokens as the grammar takes them

# Opener -> its closer.
CLOSER_OF: Final = {
    "LBRACE": "RBRACE",
    "LDO": "RBRACE",
    "LMAP": "RBRACE",
    "LPAT": "RBRACE",
    "LBRACKET": "RBRACKET",
    "LINDEX": "RBRACKET",
    "LPATLIST": "RBRACKET",
    "LPAREN": "RPAREN",
    "LCALL": "RPAREN",
    "LPARAM": "RPAREN",
    "TEXT_OPEN": "TEXT_CLOSE",
    "INTERP_OPEN": "INTERP_CLOSE",
}
COMMA_GROUPS: Final = types("LCALL LPARAM LBRACKET LPAT LPATLIST")
SEPARATED_GROUPS: Final = types("LBRACE LDO LMAP")
# What may follow any complete operand.
AFTER_OPERAND: Final = types(
    "AND AT COALESCE CONCAT DIVIDE DOT EQ GE GT IN IS LCALL LE LINDEX LT MINUS MOD NE NOT_IN "
    "OPTIONAL_DOT OR PIPE PLUS POWER QUESTION RANGE TIMES"
)
BEFORE_STATEMENT: Final = SEPARATED_GROUPS | {"SEP"}

# Each of these sets of expected tokens means one thing to people.
AN_EXPRESSION: Final = types("NUMBER TEXT NAME LPAREN")
A_PATTERN: Final = types("NAME LPATLIST LPAT")
A_TYPE: Final = types("NAME TYPE_NAME LBRACKET LPAREN SEMANTIC")

# How a type of token is called in messages; anything else is not worth naming.
SPELLING: Final = {
    "NAME": "a name",
    "TYPE_NAME": "a capitalised name",
    "KEY": "a name",
    "NUMBER": "a number",
    "TEXT": "a text",
    "ARROW": "`->`",
    "FAT_ARROW": "`=>`",
    "ASSIGN": "`=`",
    "ASSIGN_OP": "`=`",
    "COLON": "`:`",
    "COMMA": "`,`",
    "BAR": "`|`",
    "IN": "`in`",
    "ELSE": "`else`",
    "THEN": "`then`",
    "FN": "`fn`",
    "FOR": "`for`",
    "WHILE": "`while`",
    "LPARAM": "`(`",
    "LCALL": "`(`",
    "LMAP": "`{`",
    "RPAREN": "`)`",
    "RBRACKET": "`]`",
    "RBRACE": "`}`",
    "INTERP_CLOSE": "`}`",
    "GT": "`>`",
}
