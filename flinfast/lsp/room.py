"""Rooms that a project's source mentions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from flinfast.lang import ast
from flinfast.lsp.names import nodes_of

ROOM_FUNCTIONS: Final = frozenset(
    {
        *("broadcast", "broadcast_others", "ws_join", "ws_leave", "ws_send"),
        *("ws_clients", "ws_count"),
    }
)


@dataclass(frozen=True, slots=True)
class Room:
    """One way in which a room is named.

    Attributes:
        prefix: Its constant start, such as "document:".
        code: As written, such as `"document:" + params.id`.
        path: A file that names it.
    """

    prefix: str
    code: str
    path: str


def rooms_of(files: Iterable[tuple[str, str, ast.Program]]) -> list[Room]:
    """Rooms that are named by a text or start with one, each once.

    Args:
        files: Path, text and tree of each.
    """
    found: dict[str, Room] = {}
    for path, text, tree in files:
        for argument in _arguments(tree):
            prefix = _prefix(argument)
            if prefix:
                code = text[argument.span.start : argument.span.end]
                found.setdefault(code, Room(prefix, code, path))
    return list(found.values())


def _arguments(tree: ast.Program) -> Iterator[ast.Expr]:
    for node in nodes_of(tree, ast.Call):
        callee = node.callee
        if isinstance(callee, ast.Name) and callee.name in ROOM_FUNCTIONS and node.arguments:
            yield node.arguments[0].value


def _prefix(node: ast.Expr) -> str:
    if isinstance(node, ast.Literal):
        return node.value if type(node.value) is str else ""
    if isinstance(node, ast.Interpolation):
        return node.parts[0] if node.parts and isinstance(node.parts[0], str) else ""
    if isinstance(node, ast.Binary) and node.operator in ("+", "++"):
        return _prefix(node.left)
    return ""
