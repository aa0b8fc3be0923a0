"""How `on message(data)` uses its parameter.

A handler that only passes `data` on never has it decoded: what is sent is the message as it came.
That is right as long as nothing changes the decoded value before it is sent.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from flinfast.lang import ast
from flinfast.lang.abi import Builtin
from flinfast.lang.resolve_call import signature_of
from flinfast.lang.symbol import ContextSymbol, FileNames, FunctionSymbol, Variable, code_nodes
from flinfast.lang.types import BOOL, INT, NUMBER, TEXT, Kinds, entity_of

# Builtins that send a value as it is -> place of that value among the arguments.
RELAYS: Final = {"ws_send": 1, "broadcast": 1, "broadcast_others": 1, "broadcast_all": 0}
# Builtins and methods that change what they are given.
_MUTATING: Final = frozenset(
    {
        *("push", "pop", "shift", "unshift", "insert_at", "remove_at", "splice"),
        *("set", "delete_key", "clear", "append", "add", "remove", "insert"),
    }
)
_SCALARS: Final = frozenset({TEXT, INT, NUMBER, BOOL})


@dataclass(frozen=True, slots=True)
class MessageUse:
    """How a handler uses its message.

    Attributes:
        reads: Whether the decoded value is needed.
        relays: Whether passing it on may pass on the message itself.
    """

    reads: bool
    relays: bool


def message_use(kinds: Kinds, variable: Variable, body: ast.Block) -> MessageUse:
    """Find out how a handler uses the parameter of `on message`."""
    file = kinds.file
    nodes = code_nodes(file, body)
    relayed = {
        id(value) for node in nodes if isinstance(node, ast.Call) for value in _relayed(file, node)
    }
    uses = [
        node
        for node in nodes
        if isinstance(node, ast.Name) and file.symbols.get(id(node)) is variable
    ]
    reads = any(id(node) not in relayed for node in uses)
    relays = variable.writes == 0 and (not reads or not any(_changes(kinds, n) for n in nodes))
    return MessageUse(reads or not relays, relays)


def relayed_places(symbol: Builtin, arguments: Sequence[ast.Argument]) -> list[int]:
    """Which arguments of a builtin are sent as they are."""
    wanted = RELAYS.get(symbol.name)
    if wanted is None or any(argument.spread for argument in arguments):
        return []
    names = signature_of(symbol).names
    return [
        place
        for place, argument in enumerate(arguments)
        if (place if argument.name is None else names.index(argument.name)) == wanted
    ]


def _relayed(file: FileNames, node: ast.Call) -> list[ast.Expr]:
    """Arguments of a call that are sent as they are."""
    symbol = file.symbols.get(id(node.callee))
    if not isinstance(symbol, Builtin):
        return []
    return [node.arguments[place].value for place in relayed_places(symbol, node.arguments)]


def _changes(kinds: Kinds, node: ast.Node) -> bool:
    if isinstance(node, ast.Assign):
        target = node.target
        if isinstance(target, ast.Name):
            return False
        owner = target.target if isinstance(target, ast.Member | ast.Index) else target
        symbol = kinds.file.symbols.get(id(owner))
        return not (isinstance(symbol, ContextSymbol) or entity_of(kinds.of(owner), "record"))
    if not isinstance(node, ast.Call):
        return False
    callee = node.callee
    symbol = kinds.file.symbols.get(id(callee))
    if isinstance(symbol, Builtin):
        return symbol.name in _MUTATING
    if isinstance(callee, ast.Member) and not isinstance(symbol, FunctionSymbol):
        return callee.name in _MUTATING
    return any(kinds.of(argument.value) not in _SCALARS for argument in node.arguments)
