"""Resolution of calls: functions, builtins, guards, queries, pipelines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from flinfast.lang import ast, resolve_rule
from flinfast.lang.abi import Builtin
from flinfast.lang.source import Span
from flinfast.lang.symbol import (
    IN_TEST,
    NEXT,
    UNKNOWN,
    EntitySymbol,
    FunctionScope,
    FunctionSymbol,
    Symbol,
    Variable,
)
from flinfast.lang.types import ANY, QUERY_RESULTS, entity_of, record
from flinfast.lang.vocabulary import FOREIGN_GUARDS, FOREIGN_METHODS

if TYPE_CHECKING:
    from flinfast.lang.resolve import Resolver

# Query methods whose bare names are fields of the entity (FLIN reference 6.1 and 6.2).
FIELD_METHODS: Final = frozenset(
    {"order", "sum", "avg", "min", "max", "group_by", "distinct", "with"}
)
# Methods whose lambdas get a record first.
_ROW_METHODS: Final = FIELD_METHODS | {
    *("where", "filter", "find", "map", "flat_map", "each", "some", "any", "every", "all"),
    *("count", "sort", "sort_by"),
}


_PASSWORD_CHECKS: Final = frozenset({"verify_password", "argon2_verify", "bcrypt_verify"})


@dataclass(frozen=True, slots=True)
class Signature:
    """What a function accepts.

    Attributes:
        names: Parameters that can be given by position or name.
        required: How many of them must be given.
        has_rest: Whether any number of further arguments is accepted.
    """

    names: tuple[str, ...]
    required: int
    has_rest: bool


def signature_of(symbol: FunctionSymbol | Builtin) -> Signature:
    """Signature of a function, guard definition or builtin."""
    if isinstance(symbol, Builtin):
        return _signature(symbol.parameters)
    parameters = symbol.declaration.parameters
    names = tuple(p.name for p in parameters if not p.rest)
    return Signature(names, 0, len(names) < len(parameters))


@lru_cache(maxsize=1024)  # more than there are builtins
def _signature(parameters: tuple[str, ...]) -> Signature:
    """Signature of a builtin with these parameters."""
    plain = [p for p in parameters if not p.startswith("...")]
    required = sum(not p.endswith("?") for p in plain)
    return Signature(tuple(p.rstrip("?") for p in plain), required, len(plain) < len(parameters))


def call(self: Resolver, node: ast.Call) -> None:
    """Resolve a call and check its arguments."""
    callee = node.callee
    if isinstance(callee, ast.Name):
        symbol = _callee(self, callee)
        if isinstance(symbol, FunctionSymbol | Builtin):
            if isinstance(symbol, Builtin) and symbol.name == resolve_rule.FUNCTION:
                resolve_rule.rules(self, node.arguments)
            else:
                _arguments(self, node.arguments)
            check_arguments(self, callee.name, node.arguments, signature_of(symbol), callee.span)
            if callee.name in _PASSWORD_CHECKS and isinstance(symbol, Builtin):
                _check_login(self, node, callee.span)
            return
    elif isinstance(callee, ast.Member):
        if _method(self, node, callee):
            return
    else:
        self.visit(callee)
    _arguments(self, node.arguments)


def _check_login(self: Resolver, node: ast.Call, span: Span) -> None:
    """Warn of a password check that does not say which account it is for."""
    if len(node.arguments) == 2 and self.root.kind != "test":
        self.warning(
            "FL221",
            "this password check can tell which accounts exist",
            span,
            "guesses are counted for accounts that exist only",
            help="give it what the account was looked up by: `verify_password(given, hash, name)`",
        )


def pipe(self: Resolver, node: ast.Pipe) -> None:
    """`value |> f(a)` is `f(value, a)`."""
    first = ast.Argument(node.value.span, node.value)
    target = node.target
    if isinstance(target, ast.Call):
        made = ast.Call(node.span, target.callee, (first, *target.arguments))
    else:
        made = ast.Call(node.span, target, (first,))
    self.file.pipes[id(node)] = made
    self.file.made.append(made)
    call(self, made)


def guard(self: Resolver, node: ast.Guard, scope: FunctionScope) -> None:
    """Resolve the use of a guard."""
    _arguments(self, node.arguments)
    symbol = self.file.guards.get(node.name) or self.table.guards.get(node.name)
    if symbol is not None:
        scope.edges.append((symbol, node.name_span))
        check_arguments(self, node.name, node.arguments, signature_of(symbol), node.name_span)
    elif node.name not in self.table.builtin_guards and self.table.is_complete:
        known = {*self.table.builtin_guards, *self.table.guards, *self.file.guards}
        help = f"define it: `guard_definition {node.name} {{ ... }}`"
        help = FOREIGN_GUARDS.get(node.name, help)
        self.unknown("FL201", "guard", node.name, node.name_span, known, help=help)


def check_arguments(
    self: Resolver,
    name: str,
    arguments: Sequence[ast.Argument],
    signature: Signature,
    span: Span,
) -> None:
    """Report a wrong number of arguments, and named arguments that do not exist."""
    positional = [a for a in arguments if a.name is None and not a.spread]
    spread = any(a.spread for a in arguments)
    given = set(signature.names[: len(positional)])
    is_known = True
    for argument in arguments:
        if argument.name is None:
            continue
        if argument.name not in signature.names:
            is_known = False
            label = f"`{name}` has no argument of this name"
            self.unknown(
                "FL207", "argument", argument.name, argument.span, signature.names, label=label
            )
        elif argument.name in given:
            message = f"argument `{argument.name}` is given twice"
            self.error("FL207", message, argument.span, "given again")
        given.add(argument.name)
    if spread:
        return
    most = len(signature.names)
    if len(positional) > most and not signature.has_rest:
        extra = positional[most]
        self.error("FL206", _count_message(name, signature, len(arguments)), extra.span, "too many")
        return
    missing = [n for n in signature.names[: signature.required] if n not in given]
    if missing and is_known:  # what is missing may just be misspelt
        label = f"`{missing[0]}` is missing"
        self.error("FL206", _count_message(name, signature, len(arguments)), span, label)


def _count_message(name: str, signature: Signature, got: int) -> str:
    most, least = len(signature.names), signature.required
    if signature.has_rest:
        wanted = f"at least {least}"
    elif least == most or not least:
        wanted = str(most) if least == most or not most else f"at most {most}"
    else:
        wanted = f"{least} to {most}"
    one = wanted in ("1", "at least 1", "at most 1")
    return f"`{name}` takes {wanted} argument{'' if one else 's'}, got {got}"


# --- callees ----------------------------------------


def _callee(self: Resolver, node: ast.Name) -> Symbol:
    """What is called by a plain name: never a field, as no record holds a function."""
    name = node.name
    found = self.names.find(name, fields=False)
    if found is None:
        self.file.symbols[id(node)] = UNKNOWN
        if self.table.is_complete:
            known = [*self.names.callable_names(), *_function_variables(self)]
            help = f"declare it: `fn {name}(...) {{ ... }}`"
            self.unknown("FL203", "function", name, node.span, known, help=help)
        return UNKNOWN
    symbol = self.find(node, fields=False)
    if isinstance(symbol, EntitySymbol):
        help = f"make a record with `{name} {{ ... }}`"
        self.error("FL203", f"`{name}` is an entity", node.span, "cannot be called", help=help)
    elif isinstance(symbol, Builtin):
        _check_place(self, symbol, node.span)
    return symbol


def _function_variables(self: Resolver) -> list[str]:
    return [v.name for v in self.file.variables if v.kind == "function"]


def _check_place(self: Resolver, symbol: Builtin, span: Span) -> None:
    """Report a builtin that does not work here."""
    if symbol.name == NEXT:
        self.need(NEXT, span)
        return
    if symbol.test_only:
        self.root.needs.setdefault(IN_TEST, span)
        if self.root.kind not in ("test", "function"):
            self.error(
                "FL312",
                f"`{symbol.name}` works inside tests only",
                span,
                "no test runs here",
                help="to ask another server, use `http_get` or `http_post`",
            )
        return
    if not symbol.ws_only:
        return
    self.root.needs.setdefault("ws", span)
    if self.root.kind not in ("ws", "function"):
        self.error(
            "FL311",
            f"`{symbol.name}` works inside `ws` handlers only",
            span,
            "no current connection here",
        )


# --- methods ----------------------------------------


def _method(self: Resolver, node: ast.Call, callee: ast.Member) -> bool:
    """Resolve `target.name(...)`; True when the arguments are resolved too."""
    target = callee.target
    if isinstance(target, ast.Name) and target.name == "Math" and self.names.find("Math") is None:
        builtin = self.table.builtins.get(callee.name)
        if builtin is not None and not callee.name.startswith("_"):
            self.file.symbols[id(callee)] = builtin
            _arguments(self, node.arguments)
            signature = signature_of(builtin)
            check_arguments(self, builtin.name, node.arguments, signature, callee.name_span)
            return True
    self.visit(target)
    kind = self.kinds.of(target)
    entity = entity_of(kind, "handle", "query")
    if entity and entity in self.table.entities:
        check_query_member(self, callee, entity)
        _query_arguments(self, node, callee.name, entity)
        return True
    return False


def check_query_member(self: Resolver, node: ast.Member, entity: str) -> None:
    """Report a method or property that entities and queries do not have."""
    name = node.name
    if name in QUERY_RESULTS or self.is_builtin_method(name) or name in _ROW_METHODS:
        return
    known = [*QUERY_RESULTS, *(n for n in self.table.builtins if self.is_builtin_method(n))]
    symbol = self.table.entities.get(entity)
    help = FOREIGN_METHODS.get(name, "")
    if symbol is not None and name in symbol.field_names:
        help = f"`{name}` is a field: take a record first, with `.find(id)` or `.first`"
    self.unknown(
        "FL203",
        "method",
        name,
        node.name_span,
        known,
        label=f"queries of `{entity}` have no method of this name",
        help=help,
    )


def _query_arguments(self: Resolver, node: ast.Call, name: str, entity: str) -> None:
    self.file.queries[id(node)] = entity
    if name == "where" and not node.arguments:
        message = "`where` takes 1 argument, got 0"
        self.error("FL206", message, node.span, "expected a condition")
    for place, argument in enumerate(node.arguments):
        value = argument.value
        if isinstance(value, ast.Lambda):
            kind = record(entity) if name in _ROW_METHODS else ANY
            self.lambda_of(value, kind)
        elif name == "where" and not argument.spread and argument.name is None:
            with self.block(entity=entity):
                self.visit(value)
            _check_hidden(self, value, entity)
        elif name in FIELD_METHODS and (place == 0 or name == "with"):
            _field_argument(self, value, entity)
        else:
            self.visit(value)


def _field_argument(self: Resolver, value: ast.Expr, entity: str) -> None:
    """`order(created_at)`, `order("created_at")`, `sum(price * quantity)`."""
    names = self.table.entities[entity].field_names
    if isinstance(value, ast.Literal) and isinstance(value.value, str):
        self.check_field(entity, value.value, value.span, names)
    elif isinstance(value, ast.Name):
        with self.block(entity=entity):
            if self.names.find(value.name) is None:
                self.file.symbols[id(value)] = UNKNOWN
                self.check_field(entity, value.name, value.span, names)
            else:
                self.visit(value)
    else:
        with self.block(entity=entity):
            self.visit(value)


def _check_hidden(self: Resolver, value: ast.Expr, entity: str) -> None:
    """Warn where a field hides a variable that was meant: `where(body == body.text)`.

    `where(name == name)` is true of every row that has a name.
    """
    pending: list[ast.Expr] = [value]
    while pending:
        node = pending.pop()
        if isinstance(node, ast.Binary):
            pending += [node.left, node.right]
            _check_twice(self, node, entity)
        elif isinstance(node, ast.Unary):
            pending.append(node.operand)
        elif isinstance(node, ast.Member) and isinstance(node.target, ast.Name):
            name = node.target.name
            hidden = self.names.find(name)
            is_field = name in self.table.entities[entity].field_names
            if is_field and hidden is not None and not isinstance(hidden, Builtin):
                self.warning(
                    "FL217",
                    f"`{name}` means the field of `{entity}` here",
                    node.target.span,
                    "hides the name outside",
                    help="copy the outer value to a variable with another name first",
                )


def _check_twice(self: Resolver, node: ast.Binary, entity: str) -> None:
    left, right = node.left, node.right
    if not isinstance(left, ast.Name) or not isinstance(right, ast.Name):
        return
    names = self.table.entities[entity].field_names
    if left.name not in names or right.name not in names:
        return
    find = self.names.find_variable
    hidden = next((s for s in (right, left) if isinstance(find(s.name), Variable)), None)
    if left.name == right.name:
        self.warning(
            "FL217",
            f"`{left.name}` is compared with itself: both are the field of `{entity}`",
            node.span,
            "the same on both sides",
            help="give the outer value another name",
        )
    elif hidden is not None:
        self.warning(
            "FL217",
            f"`{hidden.name}` means the field of `{entity}` here",
            hidden.span,
            "hides the variable outside",
            help="give the variable another name, or use a lambda",
        )


def _arguments(self: Resolver, arguments: Sequence[ast.Argument]) -> None:
    for argument in arguments:
        self.visit(argument.value)


__all__ = [
    "FIELD_METHODS",
    "Signature",
    "Variable",
    "call",
    "check_arguments",
    "check_query_member",
    "guard",
    "pipe",
    "signature_of",
]
