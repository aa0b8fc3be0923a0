"""Write the TextMate grammar of FLIN from the compiler's tables.

`python editors/generate.py` rewrites editors/vscode/syntaxes/flin.tmLanguage.json;
tests/editors/test_textmate.py fails when it is out of date, and when its colours disagree with the
compiler's tokens.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from flinfast.lang.build import METHODS
from flinfast.lang.declare import TYPE_NAMES
from flinfast.lang.symbol import CONTEXT_NAMES
from flinfast.lang.vocabulary import CONTEXTUAL, HARD_KEYWORDS
from flinfast.runtime.builtins import REGISTRY

HERE = Path(__file__).resolve().parent
GRAMMAR = HERE / "vscode" / "syntaxes" / "flin.tmLanguage.json"

NAME = r"[A-Za-z_\u0080-\uffff][A-Za-z0-9_\u0080-\uffff]*"
# Before a word that has a meaning; a `.` is read together with the name after it.
ALONE = r"(?<![\w\u0080-\uffff])"
END = r"(?![\w\u0080-\uffff])"

CONSTANTS = ("TRUE", "FALSE", "NONE")
DECLARATIONS = ("ENTITY", "ENUM", "FN")
OPERATORS = ("AND", "OR", "NOT", "IN")
RECORDS = ("SAVE", "DELETE", "DESTROY", "RESTORE")


def _any(words: Iterable[str]) -> str:
    return "(?:" + "|".join(sorted(words, key=lambda w: (-len(w), w))) + ")"


def _words(*tokens: str) -> str:
    return _any(word for word, token in HARD_KEYWORDS.items() if token in tokens)


def _contextual(*tokens: str) -> str:
    return _any(word for word, (token, _, _) in CONTEXTUAL.items() if token in tokens)


def _match(pattern: str, scope: str) -> dict[str, Any]:
    return {"match": pattern, "name": f"{scope}.flin"}


def _captures(pattern: str, *scopes: str) -> dict[str, Any]:
    captures = {
        str(number): {"name": f"{scope}.flin"} for number, scope in enumerate(scopes, 1) if scope
    }
    return {"match": pattern, "captures": captures}


def _rest_of_contextual() -> str:
    """Contextual words that no rule of its own below names."""
    named = {"route", "on", "guard", "guard_definition", "test", "type", "ws", "guards"}
    named |= {"middleware", "validate"}
    return _any(set(CONTEXTUAL) - named)


def _declarations() -> list[dict[str, Any]]:
    """Words that mean something only where they stand."""
    declared = "keyword.declaration"
    return [
        _captures(
            rf"{ALONE}(route)\s+({_any(METHODS)}|[A-Z]+){END}", declared, "constant.language.method"
        ),
        _captures(rf"{ALONE}(on)\s+({NAME})(?=\s*[({{])", declared, "entity.name.function.event"),
        _captures(rf"{ALONE}(guard_definition)\s+({NAME})", declared, "entity.name.function.guard"),
        _captures(rf"{ALONE}(guard)\s+({NAME}){END}(?!\s*=)", declared, "entity.name.tag.guard"),
        _captures(rf"{ALONE}(ws|guards|middleware|validate)(?=\s*\{{)", declared),
        _captures(rf"{ALONE}(response)(?=\s*\{{)", "keyword.other"),
        _captures(rf"{ALONE}(test)(?=\s*\")", declared),
        _captures(
            rf"{ALONE}({_words('ENTITY')}|{_words('ENUM')}|type)\s+([A-Z]\w*)",
            declared,
            "entity.name.type",
        ),
        _captures(
            rf"{ALONE}({_words('FN')})\s+({NAME})(?=\s*\()", declared, "entity.name.function"
        ),
        _captures(rf"{ALONE}({_rest_of_contextual()})(?=\s+[\w{{\[])", declared),
    ]


def _keywords() -> list[dict[str, Any]]:
    """Words that mean the same wherever they stand, but after a `.`."""
    others = {*CONSTANTS, *DECLARATIONS, *OPERATORS, *RECORDS}
    control = set(HARD_KEYWORDS.values()) - others
    return [
        _match(rf"{ALONE}{_words(*CONSTANTS)}{END}", "constant.language"),
        _match(rf"{ALONE}{_words(*OPERATORS)}{END}", "keyword.operator.word"),
        _match(rf"{ALONE}{_words(*RECORDS)}{END}", "keyword.other.record"),
        _match(rf"{ALONE}{_words(*DECLARATIONS)}{END}", "keyword.declaration"),
        _match(rf"{ALONE}{_words(*control)}{END}", "keyword.control"),
        _match(rf"{ALONE}(?:then)(?=\s)(?!\s*[=.(])", "keyword.control"),
        _match(rf"{ALONE}is(?=\s+[A-Za-z])", "keyword.operator.word"),
    ]


def _grammar_rules() -> dict[str, Any]:
    builtins = _any(name for name in REGISTRY if not name.startswith("_"))
    return {
        "comments": {
            "patterns": [
                _match(r"//.*$", "comment.line.double-slash"),
                {"begin": r"/\*", "end": r"\*/", "name": "comment.block.flin"},
            ]
        },
        "texts": {"patterns": _texts()},
        "numbers": {
            "patterns": [
                _match(r"\b0[xX][0-9a-fA-F_]+\b", "constant.numeric.hex"),
                _match(
                    r"\b[0-9][0-9_]*(?:\.[0-9][0-9_]*)?(?:[eE][+-]?[0-9]+)?", "constant.numeric"
                ),
            ]
        },
        "labels": _captures(
            r"('[A-Za-z_]\w*)(?=\s*:\s*(?:for|while)\b)"
            r"|(?<=break |continue )('[A-Za-z_]\w*)(?![^'\n]*')",
            "entity.name.label",
            "entity.name.label",
        ),
        "modifiers": _match(rf"(?<![\w)\]])@{NAME}", "storage.modifier"),
        "members": {
            "patterns": [
                _captures(rf"(?:(?<!\.)\.|\?\.)({NAME})(?=\s*\()", "entity.name.function.member"),
                _captures(rf"(?:(?<!\.)\.|\?\.)({NAME})", "variable.other.property"),
            ]
        },
        "declarations": {"patterns": _declarations()},
        "keys": _match(rf"(?<!\? ){ALONE}{NAME}(?=\s*:(?!:))", "variable.other.property.key"),
        "types": _captures(
            rf"(?:(?<=:)|(?<=->)|(?<=\bis))\s*(\[*)({_any(TYPE_NAMES)}){END}(?!\()",
            "",
            "support.type",
        ),
        "words": {"patterns": _keywords()},
        "calls": {
            "patterns": [
                _match(rf"{ALONE}{builtins}(?=\s*\()", "support.function"),
                _match(rf"{ALONE}[a-z_]\w*(?=\()", "entity.name.function.call"),
            ]
        },
        "names": {
            "patterns": [
                _match(rf"{ALONE}{_any(CONTEXT_NAMES)}{END}", "variable.language"),
                _match(rf"{ALONE}[A-Z]\w*", "entity.name.type"),
                _match(rf"{ALONE}{NAME}", "variable.other"),
            ]
        },
        "operators": _match(
            r"\.\.\.|\.\.=?|\*\*|\+\+|--|->|=>|==|!=|<=|>=|&&|\|\||\|>|\?\?|\?:|[-+*/%=<>!?@|]",
            "keyword.operator",
        ),
        "braces": {
            "begin": r"\{",
            "end": r"\}",
            "beginCaptures": {"0": {"name": "punctuation.section.block.begin.flin"}},
            "endCaptures": {"0": {"name": "punctuation.section.block.end.flin"}},
            "patterns": [{"include": "$self"}],
        },
    }


def _texts() -> list[dict[str, Any]]:
    def interpolation(begin: str) -> dict[str, Any]:
        return {
            "begin": begin,
            "end": r"\}",
            "name": "meta.interpolation.flin",
            "beginCaptures": {"0": {"name": "punctuation.section.interpolation.begin.flin"}},
            "endCaptures": {"0": {"name": "punctuation.section.interpolation.end.flin"}},
            "contentName": "source.flin",
            "patterns": [{"include": "$self"}],
        }

    escape = _match(r"\\(?:u\{[0-9a-fA-F]*\}|.)", "constant.character.escape")
    return [
        {
            "begin": '"',
            "end": '"|(?=$)',
            "name": "string.quoted.double.flin",
            # `{{` is text, and so is a brace that no expression can follow.
            "patterns": [
                escape,
                {"match": r"\{\{"},
                interpolation(r"\{(?=[\w(\[!\-'`])"),
            ],
        },
        {
            "begin": "`",
            "end": "`",
            "name": "string.quoted.template.flin",
            "patterns": [escape, interpolation(r"\$\{")],
        },
        {
            "match": r"'(?:[^'\\]|\\.)*'",
            "name": "string.quoted.single.flin",
            "captures": {"0": {"patterns": [escape]}},
        },
        {
            "match": rf"(?<={_any(METHODS)} )/[^\s{{]*",
            "name": "string.unquoted.path.flin",
        },
    ]


ORDER = (
    *("comments", "labels", "texts", "numbers", "modifiers", "members", "declarations"),
    *("types", "keys", "words", "calls", "names", "operators", "braces"),
)


def grammar() -> dict[str, Any]:
    """The whole grammar."""
    return {
        "$schema": (
            "https://raw.githubusercontent.com/martinring/tmlanguage/master/tmlanguage.json"
        ),
        "name": "FLIN",
        "scopeName": "source.flin",
        "fileTypes": ["flin"],
        "patterns": [{"include": f"#{name}"} for name in ORDER],
        "repository": _grammar_rules(),
    }


def grammar_text() -> str:
    """The file as it is stored."""
    return json.dumps(grammar(), indent=2, ensure_ascii=True) + "\n"


def patterns(rules: Any = None) -> Iterable[str]:
    """Every regular expression of the grammar."""
    found = grammar() if rules is None else rules
    if isinstance(found, dict):
        for key, value in found.items():
            if key in ("match", "begin", "end"):
                yield value
            else:
                yield from patterns(value)
    elif isinstance(found, list):
        for item in found:
            yield from patterns(item)


def main() -> None:
    """Rewrite the grammar."""
    GRAMMAR.write_text(grammar_text(), encoding="utf-8")
    sys.stdout.write(f"{GRAMMAR.relative_to(HERE.parent)}\n")


if __name__ == "__main__":
    main()
