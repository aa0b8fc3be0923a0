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
_TYPED: Final = "a variable with a type is written `name: type = value`"
_FAILURE: Final = "answer with `error(status, message)`, or return early"
_RECORD: Final = "entities are written `entity Name { field: type }`"
FOREIGN: Final = {
    "True": "write `true`",
    "False": "write `false`",
    "None": "write `none`",
    "undefined": "write `none`",
    "void": "write `none`",
    **dict.fromkeys(("def", "func", "fun", "lambda", "proc"), _FUNCTION),
    **dict.fromkeys(("async", "await"), _NO_WAITING),
    **dict.fromkeys(("import", "from", "export", "require", "include", "use"), _NO_IMPORTS),
    **dict.fromkeys(("int", "bool", "string", "float", "number", "text"), _TYPED),
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
    "foreach": "write `for item in list { ... }`",
    "switch": "write `match value { pattern -> result }`",
    "case": "write `match value { pattern -> result }`",
    "finally": "a failing handler undoes what it did by itself",
    "console": "`log_info(value)` writes to the log",
    "guards": "write a line `guard name` for each",
    "on": "`on connect`, `on message` and `on close` stand inside `ws { ... }`",
}
RESERVED: Final = frozenset({"try", "catch"})  # no meaning yet, and no names either

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
