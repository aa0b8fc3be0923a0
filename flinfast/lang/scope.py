"""Scopes of names while a file is resolved, and what a name that is not in them can mean."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from flinfast.lang.source import Span
from flinfast.lang.symbol import (
    AVAILABLE,
    CONTEXT_NAMES,
    ContextSymbol,
    FieldSymbol,
    FileNames,
    FunctionScope,
    Symbol,
    Variable,
)

# Identifiers that Python treats specially even in a tree.
_RESERVED: Final = frozenset({"None", "True", "False", "__debug__", "__class__", "super"})


def python_name(name: str) -> str:
    """Python identifier of a FLIN name.

    Generated trees may hold any text as an identifier, so names stay what they are (in tracebacks
    and debuggers too); everything of ours contains a `$`, which no FLIN name does.
    """
    return f"{name}$" if name in _RESERVED else name


@dataclass(slots=True)
class Scope:
    """One block.

    Attributes:
        parent: The block around it.
        function: The function it is part of.
        in_loop: Whether a loop of that function is around it.
        entity: Entity whose fields are visible as bare names, or "".
        names: Variables declared here.
    """

    parent: Scope | None
    function: FunctionScope
    in_loop: bool = False
    entity: str = ""
    names: dict[str, Variable] = field(default_factory=dict)


class Names:
    """The scopes of one file: declares variables and finds what a name stands for."""

    def __init__(self, file: FileNames) -> None:
        self.file = file
        self.scope = Scope(None, file.file_scope)

    @property
    def function(self) -> FunctionScope:
        """The function that is being resolved."""
        return self.scope.function

    # --- variables ----------------------------------------

    def declare(self, name: str, span: Span, role: str) -> Variable:
        """A new variable in the innermost scope; hides one of the same name."""
        function = self.function
        variable = Variable(name, span, function, role, in_loop=self.scope.in_loop)
        counts = function.python_names
        count = counts[name] = counts.get(name, 0) + 1
        own = python_name(name)
        # A parameter keeps its name: it is what named arguments are passed by.
        variable.python = own if count == 1 or role == "parameter" else f"{own}${count}"
        self.scope.names[name] = variable
        self.file.variables.append(variable)
        return variable

    def find_variable(self, name: str, *, fields: bool = True) -> Variable | FieldSymbol | None:
        """The innermost variable, or field of a query if it may be one, of that name."""
        scope: Scope | None = self.scope
        while scope is not None:
            variable = scope.names.get(name)
            if variable is not None:
                return variable
            if scope.entity and fields:
                entity = self.file.table.entities[scope.entity]
                if name in entity.field_names:
                    return FieldSymbol(scope.entity, name)
            scope = scope.parent
        return None

    def read(self, variable: Variable) -> None:
        """Note a use of a variable's value."""
        variable.reads += 1
        self._capture(variable)

    def write(self, variable: Variable) -> None:
        """Note an assignment to an existing or new variable."""
        variable.writes += 1
        if variable.function is not self.function:
            self.function.outer_written[variable] = None
        self._capture(variable)

    def _capture(self, variable: Variable) -> None:
        if variable.function is self.function:
            return
        inner = list(self.function.path_to(variable.function))[-1]
        if inner.is_lambda:
            variable.is_captured = True
            inner.captured[variable] = None

    def ended(self, name: str, span: Span) -> Variable | None:
        """A variable of this function that had the name in a block that is over."""
        return next(
            (
                variable
                for variable in reversed(self.file.variables)
                if variable.name == name
                and variable.function is self.function
                and variable.span.end <= span.start
            ),
            None,
        )

    # --- everything else ----------------------------------------

    def find(self, name: str, *, fields: bool = True) -> Symbol | None:
        """What a name stands for, innermost first; None when nothing has it.

        Args:
            name: As written.
            fields: Whether it may be a field of the rows of a query.
        """
        found = self.find_variable(name, fields=fields)
        if found is not None:
            return found
        if name in CONTEXT_NAMES:
            return ContextSymbol(name)
        return self.find_global(name)

    def find_global(self, name: str) -> Symbol | None:
        """What a name stands for outside all variables."""
        table = self.file.table
        function = self.file.functions.get(name) or table.functions.get(name)
        if function is not None:
            return function
        if name in table.entities:
            return table.entities[name]
        if name in table.enums:
            return table.enums[name]
        if name in table.builtins and not name.startswith("_"):
            return table.builtins[name]
        return None

    def visible(self) -> Iterator[str]:
        """Names of variables, fields and context names that could have been meant."""
        scope: Scope | None = self.scope
        while scope is not None:
            yield from scope.names
            if scope.entity:
                yield from self.file.table.entities[scope.entity].field_names
            scope = scope.parent
        yield from AVAILABLE[self.function.kind] & CONTEXT_NAMES

    def callable_names(self) -> Iterator[str]:
        """Names of functions that could have been meant."""
        table = self.file.table
        yield from self.file.functions
        yield from table.functions
        yield from (name for name in table.builtins if not name.startswith("_"))

    def global_names(self) -> Iterator[str]:
        """Names that are visible everywhere."""
        yield from self.callable_names()
        yield from self.file.table.entities
        yield from self.file.table.enums
