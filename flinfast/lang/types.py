"""Evident kinds of values: what an expression is, when the source alone shows it.

A kind is a text: "text", "int", "number", "bool", "none", "list" and "map" promise the exact
Python type (str, int, float, bool, NoneType, list, dict), so `lower` may emit Python operators.
"handle E", "query E" and "record E" name an entity; a record may also be none. "function" and
"range" are what they say. "any" promises nothing, and "" means not known yet.

No unification, no generics: one pass over assignments until nothing changes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

from flinfast.lang import ast
from flinfast.lang.abi import Builtin
from flinfast.lang.own_lambda import own_lambdas
from flinfast.lang.owned import ENTRIES, FieldKey, OwnedField, chain_of, owned_fields
from flinfast.lang.program import TypeInfo
from flinfast.lang.symbol import (
    AUTO_FIELDS,
    ContextSymbol,
    EntitySymbol,
    EnumSymbol,
    FieldSymbol,
    FileNames,
    FunctionSymbol,
    ItemOf,
    Origin,
    ProjectTable,
    Special,
    Variable,
    VariantSymbol,
)

UNSEEN: Final = ""
ANY: Final = "any"
TEXT: Final = "text"
INT: Final = "int"
NUMBER: Final = "number"
BOOL: Final = "bool"
NONE: Final = "none"
LIST: Final = "list"
MAP: Final = "map"
RANGE: Final = "range"
FUNCTION: Final = "function"
# Kinds of exactly one Python type; as annotations they are enforced.
PYTHON_TYPES: Final = {
    TEXT: "str",
    INT: "int",
    NUMBER: "float",
    BOOL: "bool",
    LIST: "list",
    MAP: "dict",
}
CHECKED: Final = frozenset(PYTHON_TYPES)
_NUMERIC: Final = frozenset({INT, NUMBER})
_OPEN_NUMBERS: Final = frozenset({INT, NUMBER, UNSEEN})
_SAME: Final[dict[Any, str]] = {}  # stands for the parts that are known already
_COUNTED: Final = frozenset({TEXT, LIST})
_PLAIN: Final = frozenset({TEXT, LIST, INT, NUMBER})  # `value.f()` is the builtin `f` on these
SIZE_NAMES: Final = frozenset({"len", "length", "count", "size"})  # FLIN reference 3.5

# Results of builtins that are of that exact kind for every argument, never none.
_RESULTS: Final = frozenset({TEXT, INT, BOOL, LIST, MAP})
_TEXT_PARTS: Final = frozenset({"split", "lines", "words", "chars"})  # give lists of texts

# What a method or property of an entity or query gives; see FLIN reference 6.1.
QUERY_RESULTS: Final[dict[str, str]] = {
    **dict.fromkeys(("all", "where", "order", "limit", "offset", "skip"), "query"),
    **dict.fromkeys(("with_deleted", "with"), "query"),
    **dict.fromkeys(("first", "last", "find", "create"), "record"),
    **dict.fromkeys(("count", "exists", "sum", "avg", "min", "max"), ANY),
    **dict.fromkeys(("group_by", "distinct", "history"), ANY),
}


def record(entity: str) -> str:
    """Kind of the records of an entity."""
    return f"record {entity}"


def entity_of(kind: str, *families: str) -> str:
    """Entity of a kind such as "query Post" if it is of one of the families, else ""."""
    if " " not in kind:
        return ""
    family, _, entity = kind.partition(" ")
    return entity if family in families else ""


def join(left: str, right: str) -> str:
    """The kind that covers both."""
    if left == right or not right:
        return left
    if not left:
        return right
    if left.rstrip("?") == right.rstrip("?"):
        return f"{left.rstrip('?')}?"
    if left.startswith("record ") and right == NONE:
        return left
    if right.startswith("record ") and left == NONE:
        return right
    return ANY


class Kinds:
    """Kinds of the expressions of one file.

    Reads the kinds of variables and functions as they are known at the time, so it serves while
    names are being resolved as well as afterwards. `freeze()` makes answers final and remembered.

    Attributes:
        file: The file.
        table: Its project.
        fields: Fields of maps that have kinds.
        parts: Kinds of the items of lists, such as "int" or "list int", where they are known: in
            code that is tried, see `lower_version`. An item is of kind "int?", as it may be none.
        specials: Functions that are written twice.
    """

    def __init__(self, file: FileNames) -> None:
        self.file = file
        self.table: ProjectTable = file.table
        self.fields: dict[FieldKey, OwnedField] = {}
        self.parts: dict[Variable, str] | None = None
        self.specials: dict[FunctionSymbol, Special] = {}
        self._known: dict[int, str] | None = None

    def freeze(self) -> None:
        """From now on variables keep their kinds."""
        self._known = {}

    @contextmanager
    def assuming(
        self, assumed: Mapping[Variable, str], parts: dict[Variable, str] | None = _SAME
    ) -> Iterator[None]:
        """Answer as if these variables held values of these kinds, and lists items of `parts`."""
        known, self._known = self._known, {}
        outer = self.parts
        if parts is not _SAME:
            self.parts = parts
        kinds = [(variable, variable.kind) for variable in assumed]
        for variable, kind in assumed.items():
            variable.kind = kind
        yield
        for variable, before in kinds:
            variable.kind = before
        self._known = known
        self.parts = outer

    @contextmanager
    def undecided(self) -> Iterator[None]:
        """Remember no answer, as kinds of variables are being found."""
        known, self._known = self._known, None
        yield
        self._known = known

    def special(self, node: ast.Call, symbol: FunctionSymbol) -> Special | None:
        """The special form of a function, if the arguments of a call evidently fit it."""
        found = self.specials.get(symbol)
        if found is None or len(node.arguments) != len(found.arguments):
            return None
        for argument, kind in zip(node.arguments, found.arguments, strict=True):
            if argument.name is not None or argument.spread:
                return None
            if kind and self.of(argument.value) not in (kind, UNSEEN):
                return None
        return found

    def of(self, node: ast.Expr) -> str:
        """Kind of an expression."""
        if self._known is not None:
            known = self._known.get(id(node))
            if known is not None:
                return known
        rule = _RULES.get(type(node))
        kind = ANY if rule is None else rule(self, node)
        if self._known is not None:
            self._known[id(node)] = kind
        return kind

    def of_origin(self, origin: Origin) -> str:
        """Kind of what an origin gives."""
        if isinstance(origin, str):
            return origin
        if isinstance(origin, ItemOf):
            return self._item(origin)
        return self.of(origin)

    def of_block(self, block: ast.Block) -> str:
        """Kind of a block's value: that of its last statement."""
        if not block.statements:
            return NONE
        last = block.statements[-1]
        if isinstance(last, ast.ExprStatement):
            return self.of(last.value)
        return NONE if isinstance(last, ast.Assign | ast.Destructure) else ANY

    # --- rules ----------------------------------------

    def _literal(self, node: ast.Literal) -> str:
        return _LITERALS[type(node.value)]

    def _name(self, node: ast.Name) -> str:
        symbol = self.file.symbols.get(id(node))
        if isinstance(symbol, Variable):
            return symbol.kind
        if isinstance(symbol, EntitySymbol):
            return f"handle {symbol.name}"
        if isinstance(symbol, VariantSymbol):
            return TEXT
        if isinstance(symbol, FunctionSymbol):
            return FUNCTION
        if isinstance(symbol, FieldSymbol):
            return self.field(symbol.entity, symbol.name)
        return ANY

    def field(self, entity: str, name: str) -> str:
        """Kind of a record's field: only references are evident, everything else may be none."""
        symbol = self.table.entities.get(entity)
        info = symbol.fields.get(name) if symbol is not None else None
        if info is not None and info.type.name in self.table.entities:
            return record(info.type.name)
        return ANY

    def _member(self, node: ast.Member) -> str:
        if isinstance(node.target, ast.Name):
            symbol = self.file.symbols.get(id(node.target))
            if isinstance(symbol, EnumSymbol):
                return TEXT
            if isinstance(symbol, ContextSymbol):
                return TEXT if self.is_path_parameter(symbol, node.name) else ANY
        if self.fields:
            owned = self.owned(node)
            if owned is not None:
                return owned.kind
        kind = self.of(node.target)
        if not kind:
            return UNSEEN
        if kind in _COUNTED and node.name in SIZE_NAMES and not node.optional:
            return INT
        entity = entity_of(kind, "handle", "query")
        if entity:
            return self._query_result(entity, node.name)
        entity = entity_of(kind, "record")
        return self.field(entity, node.name) if entity else ANY

    def owned(self, node: ast.Member | ast.Index) -> OwnedField | None:
        """The field that an expression reads, if it is certainly there; see `chain_of`."""
        target, name = chain_of(node)
        symbol = self.file.symbols.get(id(target))
        return self.fields.get((symbol, name)) if type(symbol) is Variable else None

    def owner(self, node: ast.Expr) -> Variable | None:
        """The variable of `map[key]` if its map is owned and its values have a kind."""
        if type(node) is not ast.Index or not self.fields:
            return None
        symbol = self.file.symbols.get(id(node.target))
        is_owned = type(symbol) is Variable and (symbol, ENTRIES) in self.fields
        return symbol if is_owned else None  # type: ignore[return-value]

    def entry(self, node: ast.Expr) -> str | None:
        """Kind of `map[key]` of an owned map if it is not none; None for anything else."""
        owner = self.owner(node)
        return None if owner is None else self.fields[owner, ENTRIES].kind

    def is_path_parameter(self, symbol: ContextSymbol, name: str) -> bool:
        """Whether `params.name` is certainly there."""
        return symbol.name == "params" and name in self.file.parameters

    def _query_result(self, entity: str, name: str) -> str:
        result = QUERY_RESULTS.get(name, ANY)
        return result if result == ANY else f"{result} {entity}"

    def _index(self, node: ast.Index) -> str:
        if self.parts is not None and self.of(node.key) in (INT, "int?"):
            part = self.part_of(node.target)
            if part:
                return "list?" if part.startswith("list ") else f"{part}?"
        owned = self.owned(node) if self.fields else None
        if owned is not None:
            return owned.kind
        entity = entity_of(self.of(node.target), "query")
        return record(entity) if entity else ANY

    def part_of(self, node: ast.Expr) -> str:
        """Kind of the items of a list or text, as far as it is in `parts`; or ""."""
        if self.parts is None:
            return ""
        if isinstance(node, ast.Index):
            outer = self.part_of(node.target)
            return outer[5:] if outer.startswith("list ") else ""
        symbol = self.file.symbols.get(id(node))
        if not isinstance(symbol, Variable):
            return ""
        return TEXT if symbol.kind == TEXT else self.parts.get(symbol, "")

    def sure(self, node: ast.Expr) -> str:
        """Kind of a number; Python refuses to compute with one that may be none, and is."""
        kind = self.of(node)
        return kind[:-1] if kind in ("int?", "number?") else kind

    def _call(self, node: ast.Call) -> str:
        callee = node.callee
        if isinstance(callee, ast.Member):
            target = self.of(callee.target)
            if not target:
                return UNSEEN
            entity = entity_of(target, "handle", "query")
            if entity:
                return self._query_result(entity, callee.name)
            if target in _COUNTED and callee.name in SIZE_NAMES and not node.arguments:
                return INT
            builtin = self.table.builtins.get(callee.name)
            if target in _PLAIN and builtin is not None:
                return self._builtin_result(builtin)
            return ANY
        if isinstance(callee, ast.Name):
            symbol = self.file.symbols.get(id(callee))
            if isinstance(symbol, FunctionSymbol):
                special = self.special(node, symbol) if self.specials else None
                return symbol.kind if special is None else special.result
            if isinstance(symbol, Builtin):
                if symbol.name == "floor" and len(node.arguments) == 1:
                    return self._floored(node.arguments[0].value)
                return self._builtin_result(symbol)
            if isinstance(symbol, Variable):
                return symbol.gives
        return ANY

    def _floored(self, node: ast.Expr) -> str:
        """Kind of `floor(node)`."""
        if is_floored(self, node):
            return INT
        is_open = isinstance(node, ast.Binary) and node.operator == "/" and not self.of(node.left)
        return UNSEEN if is_open else ANY

    def _builtin_result(self, symbol: Builtin) -> str:
        is_exact = symbol.result in _RESULTS and not symbol.test_only
        return symbol.result if is_exact else ANY

    def _unary(self, node: ast.Unary) -> str:
        if node.operator == "!":
            return BOOL
        kind = self.sure(node.operand)
        return kind if kind in _NUMERIC or not kind else ANY

    def _binary(self, node: ast.Binary) -> str:
        operator = node.operator
        if operator in _BOOLEAN_OPERATORS:
            return BOOL
        if operator == "++":
            return TEXT
        left, right = self.of(node.left), self.of(node.right)
        if operator in _ARITHMETIC and self.parts is not None:
            left, right = self.sure(node.left), self.sure(node.right)
        if operator in _ARITHMETIC and left == ANY and self.entry(node.left) in _OPEN_NUMBERS:
            left = self.entry(node.left) or UNSEEN  # one that is none is refused
        if operator in ("&&", "||"):
            return join(left, right)
        if operator == "??":
            entry = self.entry(node.left)
            return self._coalesce(left, right) if entry is None else join(entry, right)
        if operator == "+" and TEXT in (left, right):
            return TEXT
        if not left or not right:
            return UNSEEN
        if left not in _NUMERIC or right not in _NUMERIC:
            return LIST if operator == "+" and left == right == LIST else ANY
        if operator in ("+", "-", "*"):
            return INT if left == right == INT else NUMBER
        if operator == "/" and NUMBER in (left, right):
            return NUMBER
        return INT if operator == "%" and left == right == INT else ANY

    def _coalesce(self, left: str, right: str) -> str:
        if left == NONE:
            return right
        never_none = left in CHECKED
        return left if never_none else join(left, right)

    def _conditional(self, node: ast.Conditional) -> str:
        return join(self.of(node.then), self.of(node.otherwise))

    def _if(self, node: ast.IfExpr) -> str:
        kind = UNSEEN
        branch: ast.Block | ast.IfExpr | None = node
        while isinstance(branch, ast.IfExpr):
            kind = join(kind, self.of_block(branch.then))
            branch = branch.otherwise
        return join(kind, NONE if branch is None else self.of_block(branch))

    def _block_expr(self, node: ast.BlockExpr) -> str:
        return self.of_block(node.block)

    def _match(self, node: ast.Match) -> str:
        kind = UNSEEN
        for arm in node.arms:
            body = arm.body
            kind = join(kind, self.of_block(body) if isinstance(body, ast.Block) else self.of(body))
        return kind if _is_total(node) else join(kind, NONE)

    def _entity_literal(self, node: ast.EntityLiteral) -> str:
        return record(node.entity)

    def _save(self, node: ast.SaveExpr) -> str:
        return self.of(node.value) if node.verb == "save" else NONE

    def _pipe(self, node: ast.Pipe) -> str:
        call = self.file.pipes.get(id(node))
        return ANY if call is None else self.of(call)

    def _item(self, origin: ItemOf) -> str:
        """Kind of a loop variable."""
        iterable = origin.iterable
        kind = self.of(iterable)
        if not kind:
            return UNSEEN
        if origin.place == 1:
            return INT if kind in (LIST, TEXT, RANGE) and not origin.key_first else ANY
        if origin.key_first:
            return ANY
        if kind == RANGE:
            return INT
        if kind == TEXT or (kind == LIST and self.is_split(iterable)):
            return TEXT
        entity = entity_of(kind, "query")
        return record(entity) if entity else ANY

    def is_split(self, node: ast.Expr) -> bool:
        """Whether it is a list of texts that nothing else can get hold of."""
        if isinstance(node, ast.Name):
            symbol = self.file.symbols.get(id(node))
            if not isinstance(symbol, Variable) or symbol.writes != 1 or symbol.reads != 1:
                return False
            origin = symbol.sources[0]
            return isinstance(origin, ast.Call) and self.is_split(origin)
        if not isinstance(node, ast.Call):
            return False
        callee = node.callee
        if isinstance(callee, ast.Member):
            return callee.name in _TEXT_PARTS and self.of(callee.target) == TEXT
        symbol = self.file.symbols.get(id(callee))
        return isinstance(symbol, Builtin) and symbol.name in _TEXT_PARTS


def is_parallel(node: ast.Destructure) -> bool:
    """`[a, b] = [b, a]`: each name gets its value, and no list has to be made."""
    if not isinstance(node.pattern, ast.ListPattern) or not isinstance(node.value, ast.ListLiteral):
        return False
    names, items = node.pattern.items, node.value.items
    return len(names) == len(items) and all(
        isinstance(name, ast.BindPattern) and name.default is None and not item.spread
        for name, item in zip(names, items, strict=True)
    )


def is_floored(kinds: Kinds, node: ast.Expr) -> bool:
    """Whether it is the quotient of an evident int and an int literal above 0."""
    return (
        isinstance(node, ast.Binary)
        and node.operator == "/"
        and isinstance(node.right, ast.Literal)
        and type(node.right.value) is int
        and node.right.value > 0
        and kinds.of(node.left) == INT
    )


def _is_total(node: ast.Match) -> bool:
    return any(
        isinstance(pattern, ast.WildcardPattern) for arm in node.arms for pattern in arm.patterns
    )


_LITERALS: Final[dict[type, str]] = {
    str: TEXT,
    int: INT,
    float: NUMBER,
    bool: BOOL,
    type(None): NONE,
}
_ARITHMETIC: Final = frozenset({"+", "-", "*", "/", "%"})
_BOOLEAN_OPERATORS: Final = frozenset({"==", "!=", "<", "<=", ">", ">=", "in", "not_in"})


def _always(kind: str) -> Callable[[Kinds, Any], str]:
    return lambda _kinds, _node: kind


_RULES: Final[dict[type, Callable[[Kinds, Any], str]]] = {
    ast.Literal: Kinds._literal,
    ast.Interpolation: _always(TEXT),
    ast.Name: Kinds._name,
    ast.Member: Kinds._member,
    ast.Index: Kinds._index,
    ast.Call: Kinds._call,
    ast.Unary: Kinds._unary,
    ast.Binary: Kinds._binary,
    ast.TypeTest: _always(BOOL),
    ast.RangeExpr: _always(RANGE),
    ast.Pipe: Kinds._pipe,
    ast.Conditional: Kinds._conditional,
    ast.ListLiteral: _always(LIST),
    ast.MapLiteral: _always(MAP),
    ast.EntityLiteral: Kinds._entity_literal,
    ast.Lambda: _always(FUNCTION),
    ast.Match: Kinds._match,
    ast.IfExpr: Kinds._if,
    ast.BlockExpr: Kinds._block_expr,
    ast.SaveExpr: Kinds._save,
}


def annotated(declared: TypeInfo | None) -> str:
    """Kind that a declared type enforces, or ""."""
    if declared is None or declared.optional:
        return UNSEEN
    name = INT if declared.name == "duration" else declared.name
    return name if name in CHECKED else UNSEEN


def has_parts(declared: TypeInfo) -> bool:
    """Whether a declared type says what the items of a list, or keys and values of a map, are."""
    if declared.name == "union":
        return any(has_parts(member) for member in declared.arguments)
    if len(declared.arguments) == 2 and declared.arguments[0].name not in ("text", "any"):
        return True
    return bool(declared.arguments) and declared.arguments[-1].name != "any"


def infer(files: Iterable[FileNames]) -> dict[str, Kinds]:
    """Settle the kinds of all variables and functions of a project.

    Returns:
        Path of each file -> the kinds of its expressions, frozen.
    """
    readers = {file.source.path: Kinds(file) for file in files}
    variables = [(reader, v) for reader in readers.values() for v in reader.file.variables]
    functions = [
        (reader, function)
        for reader in readers.values()
        for function in (*reader.file.functions.values(), *reader.file.guards.values())
    ]
    for reader in readers.values():
        reader.fields = owned_fields(reader.file)
    lambdas = [
        (reader, *found) for reader in readers.values() for found in own_lambdas(reader.file)
    ]
    holders: list[tuple[Kinds, Variable | FunctionSymbol | OwnedField, list[Any]]] = [
        *((reader, f, f.sources) for reader in readers.values() for f in reader.fields.values()),
        *((reader, v, v.sources) for reader, v in variables),
        *((reader, f, f.results) for reader, f in functions),
    ]
    for _, holder, _ in holders:
        holder.kind = _declared_kind(holder)
    for _, variable, _ in lambdas:
        variable.gives = UNSEEN
    changed = True
    while changed:
        changed = False
        for reader, holder, origins in holders:
            if holder.kind == ANY or _declared_kind(holder):
                continue
            kind = holder.kind
            for origin in origins:
                kind = join(kind, reader.of_origin(origin))
            if kind != holder.kind:
                holder.kind, changed = kind, True
        for reader, variable, body in lambdas:
            kind = join(variable.gives, reader.of(body))
            if kind != variable.gives:
                variable.gives, changed = kind, True
    for _, variable, _ in lambdas:
        variable.gives = variable.gives or ANY
    for _, holder, _ in holders:
        holder.kind = holder.kind or ANY
    for reader in readers.values():
        reader.freeze()
    return readers


def _declared_kind(holder: Variable | FunctionSymbol | OwnedField) -> str:
    if isinstance(holder, OwnedField):
        return UNSEEN
    if isinstance(holder, Variable):
        return annotated(holder.annotation)
    if isinstance(holder.declaration, ast.FunctionDecl):
        return annotated(holder.result)
    return ANY


def known_members(table: ProjectTable, entity: str) -> set[str]:
    """Names that a record of the entity answers to."""
    symbol = table.entities.get(entity)
    names = {*AUTO_FIELDS, "history"}
    return names if symbol is None else names | set(symbol.fields)
