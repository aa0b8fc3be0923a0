"""What to write instead, at a syntax error that shows a habit of another language.

Only words: what is reported, and where reading goes on, is decided before (`lang.recovery`).
"""

from __future__ import annotations

from typing import Any, Final

from flinfast.lang.vocabulary import BLOCK, FOREIGN, STARTERS, TYPED, VALUE_FUNCTION

_LOOK_BACK: Final = 12  # tokens of a line in which a foreign word may stand
_NAMES: Final = frozenset({"NAME", "TYPE_NAME"})
_FOLLOWS_WORD: Final = STARTERS | {"LPAREN", "LBRACKET"}
_TYPES: Final = frozenset(name for name, help in FOREIGN.items() if help == TYPED)
_UPDATES: Final = {"COALESCE": "??", "POWER": "**", "MOD": "%", "AND": "&&", "OR": "||"}
# Code and type of the token that does not fit -> what to write.
_INSTEAD: Final = {
    **dict.fromkeys((("FL102", "COLON"), ("FL102", "SEP")), BLOCK),
    ("FL102", "ELSE_BLOCK"): "write `condition ? value : other`",
    ("FL102", "LCALL"): "a route has no parameters: what was sent is in `body` and `query`",
    ("FL116", "BAR"): VALUE_FUNCTION,
    ("FL102", "FAT_ARROW"): "a function is written `fn name(parameters) { ... }`",
    ("FL105", "FOR"): "write `list.map(x => ...)`, or `list.filter(x => ...)`",
    ("FL105", "FAT_ARROW"): "an entry of a map is written `key: value`",
    ("FL101", "ARROW"): "an arm stands in `match value { pattern -> result }`",
    **dict.fromkeys(
        [(code, sign) for code in ("FL101", "FL105") for sign in ("TIMES", "POWER")],
        "the rest of the arguments is `...name`",
    ),
    ("FL101", "COALESCE"): "a value that may be none has a type such as `text?`",
    ("FL101", "PLUS"): "to go on with a sum, end the line before with `+`",
    ("FL101", "AT"): "a route is written `route GET { ... }`, its path is that of its file",
}
# Type of the token before and of the one that does not fit -> what to write.
_AFTER: Final = {
    ("FN", "NAME"): VALUE_FUNCTION,
    ("ASSIGN", "LMAP"): FOREIGN["interface"],
    ("NAME", "LINDEX"): "a list has a type such as `[text]`",
    ("OPTIONAL_DOT", "LBRACKET"): "write `(value ?? [])[0]`",
    ("BANG", "RBRACE"): "leave the `!` out",
}
_PARAMETER: Final = "a parameter with a type is written `name: type`"
_RESULT: Final = "the type of a result stands after `->`"
_GUARDS: Final = FOREIGN["guards"]
_WITH_STATUS: Final = "write `return response { status: 201, body: value }`"
# Event -> what its handler gets.
_OF_EVENTS: Final = {
    "connect": "the connection is `ws`: its id is `ws.connection_id`",
    "message": "a message is one value: `on message(data) { data.name }`",
    "close": "how it ended is one value: `on close(info) { info.code }`",
}
_PARTS: Final = "parts of a message are checked by `validate(data, { ... })`"
_FILTERS: Final = frozenset({"filter", "filter_by", "get", "exclude", "find_by", "all"})
_RULES: Final = "rules of a field are modifiers: `title: text @required @min(3)`"
_OF_RULES: Final = frozenset({"DOT", "GT", "GE", "LT", "LE", "EQ", "LCALL"})


def hint(code: str, tokens: list[Any], index: int, text: str) -> str:
    """Help for a syntax error, or "".

    Args:
        code: Of the diagnostic.
        tokens: Of the file, as the grammar takes them.
        index: Of the token that does not fit; one beyond the last for the end of the file.
        text: Of the file.
    """
    nearby = [token for token in tokens[max(index - 4, 0) : index + 4] if not _is_virtual(token)]
    token = tokens[index] if index < len(tokens) else None
    place = next((n for n, near in enumerate(nearby) if near is token), len(nearby))
    before = nearby[place - 1] if place else None
    kind = "" if token is None else token.type
    if before is not None:
        if code == "FL116" and kind == "ASSIGN" and before.type in _UPDATES:
            return f"write `x = x {_UPDATES[before.type]} ...`"
        if code == "FL116" and kind == "GT" and before.type == "LT":
            return "write `!=`"
        if kind == "ASSIGN" and before.type == "COLON":
            return "a variable is declared with `name = value`"
        if code == "FL112" and before.value == "is":
            return "write `!= none`"
    line = _line(tokens, index, text)
    help = _shape(kind, nearby, place, line) or _pair(nearby, place) or _foreign(line)
    is_typed = before is not None and place > 1 and nearby[place - 2].type == "DECLARE"
    if (
        token is not None
        and not help
        and kind in _NAMES
        and (is_typed or token.value not in _TYPES)
    ):
        help = FOREIGN.get(token.value, "")
    return help or _INSTEAD.get((code, kind), "")


def _shape(kind: str, nearby: list[Any], place: int, line: list[Any]) -> str:
    """For what the tokens around show: types that come first, decorators, several values."""
    before, after = (nearby[n] if 0 <= n < len(nearby) else None for n in (place - 1, place + 1))
    if kind == "AT":
        is_word = after is not None and after.type == "NAME" and len(nearby) < place + 3
        return f"a guard is written `guard {after.value}`" if is_word and after is not None else ""
    if before is None:
        return ""
    if kind == "ARROW" and before.end == nearby[place].index:
        return "a member is read with `.`: `user.name`"
    words = {token.type for token in line}
    help = _of_event(kind, nearby[:place])
    if help:
        return help
    if kind == "COMMA" or line[0].value == "guards":
        if "GUARD" in words or line[0].value == "guards":
            return _GUARDS
        return _WITH_STATUS if "RETURN" in words and before.type != "NUMBER" else ""
    if kind == "ASSIGN" and "ARROW" in words:
        return "a statement in an arm stands between `{` and `}`"
    if kind == "ASSIGN" and place > 2 and nearby[place - 2].type == "LCALL":
        return _of_entity(nearby[place - 3], before)
    if kind == "NAME" and "LPARAM" in words:
        return _RESULT if before.type == "RPAREN" else _PARAMETER
    if kind == "NAME" and nearby[place].value in _TYPES and after is not None:
        return f"write `{after.value}: {nearby[place].value}`" if after.type == "NAME" else ""
    if kind in _OF_RULES and place > 2 and nearby[place - 2].type == "COLON":
        return _RULES if nearby[place - 3].type == "KEY" else ""
    return _AFTER.get((before.type, kind), "")


def _of_event(kind: str, before: list[Any]) -> str:
    """For `on message(user, text)`, `on message(data: Chat)` and `on message({ text })`."""
    types = [token.type for token in before]
    start = types.index("ON") if "ON" in types else len(types)
    if types[start + 2 : start + 3] != ["LCALL"] or "RPAREN" in types[start:]:
        return ""
    name = before[start + 1].value
    return _PARTS if kind == "KEY" and name == "message" else _OF_EVENTS.get(name, "")


def _of_entity(callee: Any, name: Any) -> str:
    """For `Note(title=...)` and `Note.filter(title=...)`."""
    if callee.type == "TYPE_NAME":
        return f"a record is made with `{callee.value} {{ {name.value}: value }}`"
    return f"write `.where({name.value} == ...)`" if callee.value in _FILTERS else ""


def _is_virtual(token: Any) -> bool:
    """Whether it only separates two statements of one line."""
    return bool(token.type == "SEP" and not token.value)


def _line(tokens: list[Any], index: int, text: str) -> list[Any]:
    """The tokens of a line before the one after the token that does not fit."""
    found: list[Any] = []
    end = -1
    for token in reversed(tokens[max(index - _LOOK_BACK, 0) : index + 2]):
        if _is_virtual(token):
            continue
        if end >= 0 and text.find("\n", token.end, end) >= 0:
            if token.index < tokens[min(index, len(tokens) - 1)].index:
                break
            found.clear()  # the next token stands on another line
        found.append(token)
        end = token.index
    return found[::-1]


def _foreign(line: list[Any]) -> str:
    """For the last word of another language that has something after it, as a keyword has."""
    for place in range(len(line) - 2, -1, -1):
        word = line[place]
        if (
            word.type in _NAMES
            and word.value in FOREIGN
            and word.value not in _TYPES
            and line[place + 1].type in _FOLLOWS_WORD
            and (not place or line[place - 1].type not in ("DOT", "OPTIONAL_DOT"))
        ):
            return FOREIGN[word.value]
    return ""


def _pair(nearby: list[Any], place: int) -> str:
    """For the comma of `a, b = 1, 2` and of `return 404, "text"`."""
    around = nearby[max(place - 2, 0) : place + 3]
    kinds = [token.type for token in around]
    if kinds[:3] == ["RETURN", "NUMBER", "COMMA"]:
        return f"write `return error({around[1].value}, ...)`"
    kinds, around = kinds[-4:], around[-4:]
    if kinds[:3] == ["NAME", "COMMA", "NAME"] and kinds[3:] in (["ASSIGN"], ["COLON"]):
        return f"write `[{around[0].value}, {around[2].value}] = ...`"
    return ""
