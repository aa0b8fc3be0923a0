"""What happens at a syntax error: the words for it, and where reading goes on.

A mixin for the parser. Reading goes on at the end of the innermost statement, member, argument or
item, so that one slip costs one of them. Rules: every call makes progress, so parsing ends; brackets
are balanced already (`lang.brackets`), so nothing here looks for a missing one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from typing import Any, Final

from flinfast.lang import ast
from flinfast.lang.lexer import make_token
from flinfast.lang.source import Source, Span

DEPTH_MAX: Final = 150  # nodes from the file down to the deepest one; later passes recurse

_OPENERS: Final = frozenset(
    "LBRACE LDO LMAP LPAT LPATLIST LBRACKET LINDEX LPAREN LCALL LPARAM TEXT_OPEN INTERP_OPEN".split()
)
_CLOSERS: Final = frozenset({"RBRACE", "RBRACKET", "RPAREN", "TEXT_CLOSE", "INTERP_CLOSE"})
_COMMA_GROUPS: Final = frozenset({"LCALL", "LPARAM", "LBRACKET", "LPAT", "LPATLIST"})
_SEPARATED_GROUPS: Final = frozenset({"LBRACE", "LDO", "LMAP"})

Report = Callable[..., None]


class Recovery:
    """Put this before `sly.Parser` among the bases."""

    _lrtable: Any
    statestack: list[int]
    symstack: list[Any]
    state: int
    parse: Callable[[Any], Any]

    def __init__(self, source: Source, tokens: list[Any], report: Report) -> None:
        self.source = source
        self.report = report
        self._tokens = tokens
        self._next = 0  # index of the token after the lookahead
        self._failed_at = -1  # index of the last token an error was met at

    def run(self) -> list[Any]:
        """Items of the file; what could not be read is left out."""
        return self.parse(self._stream()) or []

    def _stream(self) -> Any:
        tokens = self._tokens
        while self._next < len(tokens):
            self._next += 1
            yield tokens[self._next - 1]

    def error(self, token: Any) -> Any:
        """SLY calls this at a token that no production takes; gives the token to go on with."""
        index = self._next - 1 if token is not None else len(self._tokens)
        self._describe(index)
        depth, opener = self._unwind()
        if self._failed_at == index:
            index += 1  # the same token again: it cannot be where reading goes on
        self._failed_at = index
        index = self._skip(index, depth, opener)
        self._next = index + 1
        if index < len(self._tokens):
            return self._tokens[index]
        end = len(self.source.text)
        return make_token("$end", "", end, end)

    def _unwind(self) -> tuple[int, str]:
        """Drop the unfinished construct and put an `error` in its place.

        Returns:
            How many open groups were dropped, and the opener of the group that is innermost now.
        """
        actions = self._lrtable.lr_action
        depth = 0
        while "error" not in actions[self.statestack[-1]]:
            self.statestack.pop()
            depth += self.symstack.pop().type in _OPENERS
        place = self.symstack[-1].end if hasattr(self.symstack[-1], "end") else 0
        symbol = make_token("error", None, place, place)
        self.state = actions[self.statestack[-1]]["error"]
        self.statestack.append(self.state)
        self.symstack.append(symbol)
        for symbol in reversed(self.symstack[:-1]):
            if symbol.type in _OPENERS:
                return depth, symbol.type
        return depth, ""

    def _skip(self, index: int, depth: int, opener: str) -> int:
        """Index of the token that ends the faulty construct, `depth` groups further out."""
        tokens = self._tokens
        while index < len(tokens):
            kind = tokens[index].type
            if kind in _OPENERS:
                depth += 1
            elif kind in _CLOSERS:
                if depth == 0:
                    return index
                depth -= 1
            elif depth == 0 and (
                (kind == "SEP" and (not opener or opener in _SEPARATED_GROUPS))
                or (kind == "COMMA" and opener in _COMMA_GROUPS)
            ):
                return index
            index += 1
        return index

    # --- words

    def _describe(self, index: int) -> None:
        """Report the fault at the token with this index."""
        token = self._tokens[index] if index < len(self._tokens) else None
        previous = self._tokens[index - 1] if index else None
        if token is None:
            end = previous.end if previous is not None else 0
            token = make_token("$end", "", end, end)
        expected = frozenset(self._lrtable.lr_action[self.state]) - {"error"}
        self.report(
            "FL101", f"unexpected {token.type} {sorted(expected)}", Span(token.index, token.end), ""
        )


def check_depth(items: list[Any], report: Report) -> tuple[Any, ...]:
    """The items of a file without those nested too deeply for the passes that recurse."""
    kept = []
    for item in items:
        deep = _too_deep(item)
        if deep is None:
            kept.append(item)
        else:
            report(
                "FL009",
                f"this is nested more than {DEPTH_MAX} levels deep",
                Span(deep.span.start, min(deep.span.end, deep.span.start + 1)),
                "",
                "give the inner parts names, or move them into functions",
            )
    return tuple(kept)


def _too_deep(item: ast.Node) -> ast.Node | None:
    """The first node at depth DEPTH_MAX, or None."""
    level: list[Any] = [item]
    for _ in range(DEPTH_MAX):
        deeper: list[Any] = []
        for node in level:
            for name in _child_names(type(node)):
                child = getattr(node, name)
                if isinstance(child, ast.Node):
                    deeper.append(child)
                elif type(child) is tuple:
                    deeper.extend(part for part in child if isinstance(part, ast.Node))
        if not deeper:
            return None
        level = deeper
    node: ast.Node = level[0]
    return node


_CHILDREN: dict[type[Any], tuple[str, ...]] = {}


def _child_names(kind: type[Any]) -> tuple[str, ...]:
    """Fields of a node class that may hold nodes."""
    names = _CHILDREN.get(kind)
    if names is None:
        leaves = ("Span", "str", "bool", "str | None", "int | float | str | bool | None")
        names = tuple(f.name for f in fields(kind) if f.type not in leaves)
        _CHILDREN[kind] = names
    return names
