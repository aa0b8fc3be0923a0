"""What to write instead, at a syntax error that shows a habit of another language.

Only words: what is reported, and where reading goes on, is decided before (`lang.recovery`).
"""

from __future__ import annotations

from typing import Any, Final

from flinfast.lang.vocabulary import FOREIGN, STARTERS, TYPED

_LOOK_BACK: Final = 12  # tokens of a line in which a foreign word may stand
_NAMES: Final = frozenset({"NAME", "TYPE_NAME"})
_FOLLOWS_WORD: Final = STARTERS | {"LPAREN", "LBRACKET"}
_TYPES: Final = frozenset(name for name, help in FOREIGN.items() if help == TYPED)
_UPDATES: Final = {"COALESCE": "??", "POWER": "**", "MOD": "%", "AND": "&&", "OR": "||"}
# Code and type of the token that does not fit -> what to write.
_INSTEAD: Final = {
    ("FL102", "COLON"): "a block stands between `{` and `}`",
    ("FL102", "FAT_ARROW"): "a function is written `fn name(parameters) { ... }`",
    ("FL105", "FOR"): "write `list.map(x => ...)`, or `list.filter(x => ...)`",
    ("FL105", "FAT_ARROW"): "an entry of a map is written `key: value`",
    ("FL101", "ARROW"): "a member is read with `.`: `user.name`",
    ("FL101", "PLUS"): "to go on with a sum, end the line before with `+`",
    ("FL101", "AT"): "a route is written `route GET { ... }`, its path is that of its file",
}


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
    help = _pair(nearby, place) or _foreign(_line(tokens, index, text))
    is_typed = before is not None and place > 1 and nearby[place - 2].type == "DECLARE"
    if (
        token is not None
        and not help
        and kind in _NAMES
        and (is_typed or token.value not in _TYPES)
    ):
        help = FOREIGN.get(token.value, "")
    return help or _INSTEAD.get((code, kind), "")


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
