"""First half of name resolution: what the files of a project declare for each other.

Builds the `ProjectTable` (entities, enums, type aliases, shared functions and guards), brings
types and modifiers into their canonical form, and reports what is declared twice or in the wrong
kind of file. Bodies are the business of `resolve`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final

from flinfast.lang import ast
from flinfast.lang.abi import Value
from flinfast.lang.constant import NotConstantError, constant
from flinfast.lang.modifier import ENDLESS, MODIFIERS, canonical, check_arguments, is_endless
from flinfast.lang.program import FieldInfo, TypeInfo
from flinfast.lang.report import Note, Report
from flinfast.lang.source import Source, Span
from flinfast.lang.symbol import (
    AUTO_FIELDS,
    CONTEXT_NAMES,
    EntitySymbol,
    EnumSymbol,
    FileNames,
    FunctionSymbol,
    ProjectTable,
)
from flinfast.lang.vocabulary import FOREIGN_MODIFIERS

TYPE_NAMES: Final = {
    **{name: name for name in ("text", "int", "number", "bool", "time", "duration", "file")},
    **{name: name for name in ("bytes", "any", "list", "map")},
    "string": "text",
    "integer": "int",
    "float": "number",
    "decimal": "number",
    "boolean": "bool",
    "datetime": "time",
    "array": "list",
    "tuple": "list",
}
_NONE_NAMES: Final = frozenset({"none", "null", "nil"})
_ARITY: Final = {"list": (0, 1), "map": (0, 2)}
ANY: Final = TypeInfo("any")
TYPE_PARTS_MAX: Final = 1000  # of one type without its aliases; a dozen is a lot for people
_NOTHING: Final[Mapping[str, TypeInfo]] = MappingProxyType({})
SHARED_KINDS: Final = frozenset({"lib", "entities"})  # their functions are visible everywhere
GUARD_KINDS: Final = frozenset({"guards", "middleware"})  # so are their guard definitions


class Declarations:
    """Fills a ProjectTable from files, reporting to `report`."""

    def __init__(self, table: ProjectTable, report: Report) -> None:
        self.table = table
        self.report = report
        self._endless: set[str] = set()  # aliases that lead back to themselves
        self._parts = 0  # of the type that is brought into its canonical form

    def collect(self, files: Iterable[FileNames]) -> None:
        """Enter all names, then all fields: fields may refer to any entity of any file."""
        files = list(files)
        for file in files:
            for item in file.tree.items:
                self._enter(file, item)
            self._check_blocks(file)
        by_path = {file.source.path: file for file in files}
        for symbol in self.table.entities.values():
            if symbol.source.path in by_path:
                self._fields_of(symbol, by_path[symbol.source.path])
        for name, (alias, source) in self.table.aliases.items():
            if source.path in by_path:
                given = {p.name: ANY for p in alias.parameters}
                self.type_of(alias.type, source, via=(name,), given=given)

    # --- names ----------------------------------------

    def _enter(self, file: FileNames, item: ast.Item | ast.Statement) -> None:
        table, source = self.table, file.source
        if isinstance(item, ast.EntityDecl):
            if self._enter_type(item.name, item.name_span, source, "entity"):
                table.entities[item.name] = EntitySymbol(item.name, source, item)
        elif isinstance(item, ast.EnumDecl):
            if self._enter_type(item.name, item.name_span, source, "enum"):
                variants = self._variants(item, source)
                table.enums[item.name] = EnumSymbol(item.name, source, item, variants)
        elif isinstance(item, ast.TypeAlias):
            if self._enter_type(item.name, item.span, source, "type"):
                table.aliases[item.name] = (item, source)
        elif isinstance(item, ast.FunctionDecl):
            shared = file.kind in SHARED_KINDS
            symbol = FunctionSymbol(item.name, source, item, shared)
            self._enter_function(symbol, file)
        elif isinstance(item, ast.GuardDefinition):
            symbol = FunctionSymbol(item.name, source, item, file.kind in GUARD_KINDS)
            self._enter_guard(symbol, file)
            if file.kind in SHARED_KINDS:
                self._wrong_file("guard_definition", item.name_span, file, "`guards/`")

    def _enter_type(self, name: str, span: Span, source: Source, what: str) -> bool:
        table = self.table
        if name in TYPE_NAMES:
            self.report.error(
                "FL405",
                f"`{name}` is a built-in type",
                source,
                span,
                f"no {what} can have this name",
            )
            return False
        first: tuple[Source, Span] | None = None
        if name in table.entities:
            first = (table.entities[name].source, table.entities[name].declaration.name_span)
        elif name in table.enums:
            first = (table.enums[name].source, table.enums[name].declaration.name_span)
        elif name in table.aliases:
            first = (table.aliases[name][1], table.aliases[name][0].span)
        if first is None:
            return True
        note = Note("first declared here", *first)
        self.report.error(
            "FL405", f"`{name}` is declared twice", source, span, "declared again", notes=[note]
        )
        return False

    def _variants(self, item: ast.EnumDecl, source: Source) -> tuple[str, ...]:
        names: dict[str, Span] = {}
        for variant in item.variants:
            if variant.name in names:
                note = Note("first declared here", source, names[variant.name])
                self.report.error(
                    "FL403",
                    f"variant `{variant.name}` is declared twice",
                    source,
                    variant.span,
                    "declared again",
                    notes=[note],
                )
            elif variant.payload or variant.value is not None:
                what = "a payload" if variant.payload else "a value of its own"
                self.report.error(
                    "FL407",
                    f"variant `{variant.name}` has {what}",
                    source,
                    variant.span,
                    "a variant's value is its name",
                    help=f"write `{variant.name}` alone, and keep the data in a field beside it",
                )
            names.setdefault(variant.name, variant.span)
        return tuple(names)

    def _enter_function(self, symbol: FunctionSymbol, file: FileNames) -> None:
        self._check_name(symbol)
        known = file.functions.get(symbol.name)
        if symbol.is_shared:
            known = known or self.table.functions.get(symbol.name)
        if known is not None:
            self._declared_twice("FL211", "function", symbol, known)
            return
        file.functions[symbol.name] = symbol
        if symbol.is_shared:
            self.table.functions[symbol.name] = symbol

    def _enter_guard(self, symbol: FunctionSymbol, file: FileNames) -> None:
        known = file.guards.get(symbol.name)
        if symbol.is_shared:
            known = known or self.table.guards.get(symbol.name)
        if symbol.name in self.table.builtin_guards:
            self.report.error(
                "FL212",
                f"guard `{symbol.name}` is built in",
                symbol.source,
                symbol.declaration.name_span,
                "choose another name",
            )
        elif known is not None:
            self._declared_twice("FL212", "guard", symbol, known)
        else:
            file.guards[symbol.name] = symbol
            if symbol.is_shared:
                self.table.guards[symbol.name] = symbol

    def _check_name(self, symbol: FunctionSymbol) -> None:
        if symbol.name in CONTEXT_NAMES:
            self.report.error(
                "FL216",
                f"`{symbol.name}` comes with every request",
                symbol.source,
                symbol.declaration.name_span,
                "choose another name",
            )

    def _declared_twice(
        self, code: str, what: str, symbol: FunctionSymbol, first: FunctionSymbol
    ) -> None:
        note = Note("first declared here", first.source, first.declaration.name_span)
        self.report.error(
            code,
            f"{what} `{symbol.name}` is declared twice",
            symbol.source,
            symbol.declaration.name_span,
            "declared again",
            notes=[note],
        )

    # --- blocks of a file ----------------------------------------

    def _check_blocks(self, file: FileNames) -> None:
        first: dict[str, Span] = {}
        for item in file.tree.items:
            if isinstance(item, ast.Route):
                where = "" if item.path is None else f" {item.path}"
                key, span, code = f"route {item.method}{where}", item.method_span, "FL302"
                message = f"two `route {item.method}` blocks in one file"
            elif isinstance(item, ast.Ws):
                key, span, code = "ws", _head(item.span, 2), "FL301"
                message = "two `ws` blocks in one file"
                self._check_handlers(item, file)
            elif isinstance(item, ast.Middleware):
                key, span, code = "middleware", _head(item.span, 10), "FL307"
                message = "two `middleware` blocks in one file"
            else:
                continue
            self._check_place(key, span, file)
            if key in first:
                note = Note("first one here", file.source, first[key])
                self.report.error(code, message, file.source, span, "a second one", notes=[note])
            first.setdefault(key, span)

    def _check_handlers(self, ws: ast.Ws, file: FileNames) -> None:
        first: dict[str, Span] = {}
        for handler in ws.handlers:
            span = _head(handler.span, len("on ") + len(handler.event))
            if handler.event in first:
                note = Note("first one here", file.source, first[handler.event])
                self.report.error(
                    "FL304",
                    f"two `on {handler.event}` handlers in one `ws` block",
                    file.source,
                    span,
                    "a second one",
                    notes=[note],
                )
            first.setdefault(handler.event, span)

    def _check_place(self, key: str, span: Span, file: FileNames) -> None:
        block = key.split(" ", 1)[0]
        if block == "middleware" and file.kind != "middleware":
            self._wrong_file(block, span, file, "a file named `_middleware.flin`")
        elif block != "middleware" and file.kind != "route":
            self._wrong_file(block, span, file, "a file below `app/`")

    def _wrong_file(self, block: str, span: Span, file: FileNames, place: str) -> None:
        message = f"`{block}` in the wrong file"
        self.report.error("FL108", message, file.source, span, f"belongs in {place}")

    # --- fields ----------------------------------------

    def _fields_of(self, symbol: EntitySymbol, file: FileNames) -> None:
        prefix = f"default {symbol.name}"
        for info in self.fields(symbol.declaration.fields, file, prefix, in_entity=True):
            symbol.fields[info.name] = info

    def fields(
        self, declared: tuple[ast.Field, ...], file: FileNames, prefix: str, *, in_entity: bool
    ) -> tuple[FieldInfo, ...]:
        """Canonical form of the fields of an entity or `validate` block, without duplicates.

        Args:
            declared: As written.
            file: Their file.
            prefix: Start of the keys of default values.
            in_entity: Whether they belong to an entity.
        """
        first: dict[str, Span] = {}
        found: list[FieldInfo] = []
        for entry in declared:
            if entry.name in first:
                note = Note("first declared here", file.source, first[entry.name])
                self.report.error(
                    "FL403",
                    f"field `{entry.name}` is declared twice",
                    file.source,
                    entry.name_span,
                    "declared again",
                    notes=[note],
                )
                continue
            first[entry.name] = entry.name_span
            if in_entity and entry.name in AUTO_FIELDS:
                self.report.error(
                    "FL404",
                    f"every entity has a field `{entry.name}` already",
                    file.source,
                    entry.name_span,
                    "set by the database",
                    help="leave it out, or choose another name",
                )
                continue
            info = self._field(entry, file, prefix, in_entity=in_entity)
            file.fields[id(entry)] = info
            found.append(info)
        return tuple(found)

    def _field(
        self, entry: ast.Field, file: FileNames, prefix: str, *, in_entity: bool
    ) -> FieldInfo:
        kind = self.type_of(entry.type, file.source)
        modifiers: dict[str, tuple[Value, ...]] = {}
        default = default_of(entry)
        for modifier in entry.modifiers:
            name = canonical(modifier.name)
            if name in modifiers or (name == "default" and entry.default is not None):
                self.report.error(
                    "FL406",
                    f"`@{modifier.name}` is given twice for `{entry.name}`",
                    file.source,
                    modifier.span,
                    "given again",
                )
                continue
            values = self._modifier(modifier, name, kind, file.source, in_entity=in_entity)
            if values is not None:
                modifiers[name] = values
        modifiers.pop("default", None)
        is_none = default is None or (isinstance(default, ast.Literal) and default.value is None)
        return FieldInfo(
            name=entry.name,
            type=kind,
            modifiers=tuple(modifiers.items()),
            default_key=None if is_none else f"{prefix}.{entry.name}",
            line=file.source.line_of(entry.span.start),
        )

    def _modifier(
        self, modifier: ast.Modifier, name: str, kind: TypeInfo, source: Source, *, in_entity: bool
    ) -> tuple[Value, ...] | None:
        """Constant arguments of a modifier; None when it was reported."""
        spec = MODIFIERS.get(name)
        if spec is None:
            span = _head(modifier.span, len(modifier.name) + 1)
            help = FOREIGN_MODIFIERS.get(modifier.name, "")
            known = () if help else _SPELLINGS
            shown = f"@{modifier.name}"
            self.report.unknown("FL402", "modifier", shown, source, span, known, help=help)
            return None
        fault = ""
        values: tuple[Value, ...] = ()
        if name == "default":
            fault = check_arguments(name, (None,) * len(modifier.arguments))
        else:
            try:
                values = tuple(constant(argument) for argument in modifier.arguments)
            except NotConstantError:
                fault = "expected literals as arguments"
            if name == "one_of" and len(values) == 1 and type(values[0]) is tuple:
                values = values[0]
            fault = fault or check_arguments(name, values)
        if not fault and spec.entity_only and not in_entity:
            fault = "only works on fields of entities"
        if not fault and spec.types and kind.name not in spec.types | {"any", "union"}:
            fault = f"works on {' and '.join(sorted(spec.types))}, not on {kind.name}"
        if fault:
            self.report.error(
                "FL406", f"bad use of `@{modifier.name}`", source, modifier.span, fault
            )
            return None
        if is_endless(name, values):
            help = "write it so that a text can be read in one way only: no repetition within one"
            self.report.error(
                "FL408", "this pattern may never end", source, modifier.span, ENDLESS, help=help
            )
            return None
        return values

    # --- types ----------------------------------------

    def type_of(
        self,
        ref: ast.TypeRef,
        source: Source,
        via: tuple[str, ...] = (),
        given: Mapping[str, TypeInfo] = _NOTHING,
    ) -> TypeInfo:
        """Canonical form of a type; reports unknown names.

        Args:
            ref: As written.
            source: Its file.
            via: Aliases that led here; one of them again means a type that contains itself.
            given: Type parameters of the innermost of them.
        """
        self._parts = self._parts + 1 if via else 0
        if self._parts > TYPE_PARTS_MAX:
            self._too_large(ref, source)
            return ANY
        if ref.name in given and not ref.arguments:
            kind = given[ref.name]
            return TypeInfo(kind.name, kind.arguments, kind.optional or ref.optional)
        name = ref.name.removeprefix("semantic ").strip()
        if name == "union":
            return self._union(ref, source, via, given)
        plain = TYPE_NAMES.get(name)
        if plain is not None:
            arguments = tuple(self.type_of(a, source, via, given) for a in ref.arguments)
            fewest, most = _ARITY.get(plain, (0, 0))
            if name == "tuple":
                arguments = ()
            if not fewest <= len(arguments) <= most:
                self.report.error(
                    "FL401", f"`{name}` takes {most} types", source, ref.span, "too many types"
                )
                return ANY
            return TypeInfo(plain, arguments, ref.optional)
        if name in _NONE_NAMES:
            return TypeInfo("any", (), True)
        if (name in self.table.entities or name in self.table.enums) and not ref.arguments:
            return TypeInfo(name, (), ref.optional)
        if name in self.table.aliases:
            return self._alias(ref, name, source, via, given)
        if self.table.is_complete:
            known = [*TYPE_NAMES, *self.table.entities, *self.table.enums, *self.table.aliases]
            self.report.unknown(
                "FL401",
                "type",
                name,
                source,
                ref.span,
                known,
                help=_unknown_help(name),
            )
        return ANY

    def _alias(
        self,
        ref: ast.TypeRef,
        name: str,
        source: Source,
        via: tuple[str, ...],
        given: Mapping[str, TypeInfo],
    ) -> TypeInfo:
        alias, home = self.table.aliases[name]
        arguments = [self.type_of(argument, source, via, given) for argument in ref.arguments]
        wanted = len(alias.parameters)
        if len(arguments) != wanted:
            message = f"`{name}` takes {wanted or 'no'} type{'' if wanted == 1 else 's'}"
            self.report.error("FL401", message, source, ref.span, f"got {len(arguments)}")
            return ANY
        if name in via:
            if not self._endless & set(via):
                message = f"type `{name}` contains itself"
                self.report.error("FL401", message, home, alias.span, "never ends")
            self._endless |= set(via)
            return ANY
        inner = {p.name: a for p, a in zip(alias.parameters, arguments, strict=True)}
        kind = self.type_of(alias.type, home, (*via, name), inner)
        if _is_large(kind):
            self._too_large(ref, source)
            return ANY
        return TypeInfo(kind.name, kind.arguments, kind.optional or ref.optional)

    def _too_large(self, ref: ast.TypeRef, source: Source) -> None:
        message = f"a type of more than {TYPE_PARTS_MAX} parts"
        self.report.error("FL009", message, source, ref.span, "aliases multiply here")

    def _union(
        self,
        ref: ast.TypeRef,
        source: Source,
        via: tuple[str, ...],
        given: Mapping[str, TypeInfo],
    ) -> TypeInfo:
        members = [a for a in ref.arguments if a.name not in _NONE_NAMES]
        optional = ref.optional or len(members) < len(ref.arguments)
        kinds = tuple(self.type_of(member, source, via, given) for member in members)
        if len(kinds) == 1:
            return TypeInfo(kinds[0].name, kinds[0].arguments, optional or kinds[0].optional)
        return TypeInfo("union", kinds, optional)


def _is_large(kind: TypeInfo) -> bool:
    """Whether a type has more parts than TYPE_PARTS_MAX; looks at no more than these."""
    pending, count = [kind], 0
    while pending and count <= TYPE_PARTS_MAX:
        count += 1
        pending += pending.pop().arguments
    return count > TYPE_PARTS_MAX


def _unknown_help(name: str) -> str:
    """What to do about a type that no file declares, when no name is close."""
    if name == "money":
        return "keep the smallest unit, such as cents, in an `int`, and the currency in a `text`"
    return "declare it with `entity`, `enum` or `type`" if name[:1].isupper() else ""


def default_of(entry: ast.Field) -> ast.Expr | None:
    """The default value of a field, from `= value` or `@default(value)`."""
    if entry.default is not None:
        return entry.default
    for modifier in entry.modifiers:
        if modifier.name.lower() == "default" and modifier.arguments:
            return modifier.arguments[0]
    return None


def _head(span: Span, length: int) -> Span:
    """The first `length` characters of a span: the keyword of a block."""
    return Span(span.start, min(span.start + length, span.end))


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)


_SPELLINGS: Final = frozenset(f"@{s}" for name in MODIFIERS for s in (name, _camel(name)))
