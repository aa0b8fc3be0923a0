"""How a builtin is declared, checked and found.

A builtin is a Python function whose signature is its FLIN signature: parameter names are FLIN's,
annotations say which kinds are accepted, defaults make a parameter optional. From it come the
`Builtin` entry that the compiler reads, the argument checks (compiled the first time a program
uses the function), the method tables of the kinds, and docs/language/builtins.md.

Two leading parameters are special and not part of the FLIN signature: `services` gives what the
program is bound to, `context` the running handler's context.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct
from msgspec.structs import replace

from flinfast.errors import RuntimeFault
from flinfast.lang.abi import Builtin
from flinfast.native import dispatch
from flinfast.runtime.kinds import (
    KIND_BY_TYPE,
    Value,
    argument_fault,
    depth_fault,
    is_rows,
)
from flinfast.runtime.parameter import (
    CO_VARARGS,
    KINDS,
    Function,
    Items,
    Kind,
    ListRef,
    Map,
    MapRef,
    Number,
    Parameter,
)
from flinfast.values import Time

if TYPE_CHECKING:
    from flinfast.runtime.services import Services


class Variant(Struct):
    """One implementation of a builtin; `reverse` has one for text and one for lists.

    Attributes:
        name: FLIN name.
        function: The Python function, unchecked.
        parameters: Its FLIN parameters.
        family: Method table of the first parameter, or "" when it takes any kind or none.
        needs_services: Whether it has to be bound.
        context: Whether it takes the running handler's context.
        factory: Whether `function(services)` returns the callable, which checks by itself.
        mutates: Whether it changes its first argument in place; never a property then.
        is_method: Whether it belongs to the kind of its first parameter, see `method`.
        result: Name of the FLIN type of the result, or "any".
        checked: The checked callable of a pure one; None before its first use.
        native: The same for a first argument of exactly one of the types of its kind, without
            checks of that; it gives NotImplemented when others are not what it takes.
    """

    name: str
    function: Callable[..., Any]
    parameters: tuple[Parameter, ...]
    family: str
    needs_services: bool = False
    context: bool = False
    factory: bool = False
    mutates: bool = False
    is_method: bool = False
    result: str = "any"
    checked: Callable[..., Value] | None = None
    native: Callable[..., Value] | None = None

    @property
    def minimum(self) -> int:
        """Fewest arguments."""
        return sum(not p.optional and not p.rest for p in self.parameters)

    @property
    def maximum(self) -> int | None:
        """Most arguments; None when there is no limit."""
        return None if any(p.rest for p in self.parameters) else len(self.parameters)

    @property
    def is_pure(self) -> bool:
        """Whether it works without services and context."""
        return not (self.needs_services or self.context or self.factory)

    @property
    def is_property(self) -> bool:
        """Whether `value.name` without parentheses means this call."""
        return self.is_method and not self.mutates and self.minimum == 1

    def takes(self, count: int) -> bool:
        """Whether it can be called with that many arguments."""
        return self.minimum <= count and (self.maximum is None or count <= self.maximum)

    def bind(self, services: Services | None) -> Callable[..., Value]:
        """The checked callable; takes the context first when `context` is set."""
        if self.factory:
            return self.function(services)  # type: ignore[no-any-return]
        if not self.is_pure:
            return _checked(self, services)
        if self.checked is None:
            self.checked = _checked(self, None)
        return self.checked

    def bind_to(self, kind: type) -> Callable[..., Value]:
        """The fastest callable of a pure one for a first argument of this type."""
        if self.native is not None and kind in self.parameters[0].kind.types:
            return self.native
        return self.bind(None)


class RegisteredBuiltin(Struct):
    """A global function of FLIN: what the compiler knows of it and how to get it."""

    spec: Builtin
    variants: tuple[Variant, ...]

    def bind(self, services: Services | None) -> Callable[..., Value]:
        """The callable of a program; `services` may be None for pure ones."""
        if len(self.variants) == 1 and self.variants[0].native is None:
            return self.variants[0].bind(services)
        return _by_type(self.spec.name, self.variants)

    def accepts(self, count: int) -> bool:
        """Whether it can be called with that many arguments."""
        return any(variant.takes(count) for variant in self.variants)


REGISTRY: Final[dict[str, RegisteredBuiltin]] = {}
METHODS: Final[dict[str, dict[str, Variant]]] = {
    name: {} for name in ("text", "number", "time", "bytes", "list", "map")
}
PROPERTIES: Final[dict[str, dict[str, Callable[[Value], Value]]]] = {
    name: {} for name in ("text", "number", "time", "bytes", "list", "bool")
}
# Properties of services: family to names; `OperatorSet` binds them.
BOUND_PROPERTIES: Final[dict[str, set[str]]] = {name: set() for name in PROPERTIES}


def builtin(
    *aliases: str,
    name: str = "",
    parameters: tuple[str, ...] | None = None,
    context: bool = False,
    properties_of: tuple[str, ...] = (),
    mutates: bool = False,
    is_method: bool = False,
    native: Callable[..., Value] | None = None,
    **flags: Any,
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Register a function as a builtin; the first line of its docstring is the summary.

    Args:
        aliases: Other names of the same function.
        name: FLIN name, when it is not the function's own.
        parameters: Makes it a factory: the function takes `services` and returns the callable,
            which has these parameters and checks its arguments itself.
        context: For factories: whether the callable takes the context first.
        properties_of: Further kinds on which `value.name` means this call.
        mutates: The first argument is changed in place.
        is_method: See `method`.
        native: See `Variant`.
        flags: `ws_only`, `test_only`, `waits`, `writes`, `reads`, `joins`, `sends` and `result`
            of the `Builtin` entry.
    """

    def register(function: Callable[..., Any]) -> Callable[..., Any]:
        own = name or function.__name__.rstrip("_")
        if parameters is None:
            variant = _read_signature(own, function)
        else:
            variant = _read_factory(own, function, parameters)
            variant.context = context
        variant.mutates = mutates
        variant.is_method = is_method
        variant.native = native
        variant.result = flags.setdefault("result", variant.result)
        summary = (function.__doc__ or "").strip().partition("\n")[0]
        spec = Builtin(
            name=own,
            parameters=tuple(p.spelling for p in variant.parameters),
            summary=summary,
            context=variant.context,
            **flags,
        )
        _add(spec, variant, properties_of)
        for alias in aliases:
            other = replace(variant, name=alias)
            _add(replace(spec, name=alias), other, properties_of)
        return function

    return register


def method(*aliases: str, **options: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Register a builtin that belongs to the kind of its first parameter.

    Only these can be written without parentheses (`text.len`): reading a member of data that a
    client sent must never do more than look at that data.
    """
    return builtin(*aliases, is_method=True, **options)


class BoundBuiltins(dict[str, Callable[..., Any]]):
    """The builtins of one program, bound when they are first asked for.

    Args:
        services: What they are bound to; None gives the pure ones only.
    """

    def __init__(self, services: Services | None) -> None:
        super().__init__()
        self._services = services

    def __missing__(self, name: str) -> Callable[..., Any]:
        """Bind `name`; KeyError when there is no such builtin (or it needs services)."""
        entry = REGISTRY[name]
        if self._services is None and not all(v.is_pure for v in entry.variants):
            raise KeyError(name)
        bound = self[name] = entry.bind(self._services)
        return bound

    def get(self, name: str, default: Any = None) -> Any:
        """As a mapping's `get`, binding on the way."""
        try:
            return self[name]
        except KeyError:
            return default

    def __contains__(self, name: object) -> bool:
        return name in REGISTRY


def specs() -> Mapping[str, Builtin]:
    """What the compiler has to know: name to entry, internal ones included."""
    return {name: entry.spec for name, entry in REGISTRY.items()}


# --- reading a signature ----------------------------------------


def _read_signature(name: str, function: Callable[..., Any]) -> Variant:
    """From the code object, not through `inspect`: this runs 200 times at start."""
    code = function.__code__
    names = code.co_varnames[: code.co_argcount]
    defaults = function.__defaults__ or ()
    required = len(names) - len(defaults)
    needs_services = names[:1] == ("services",)
    context = "context" in names[:2]
    read = []
    for place in range(needs_services + context, len(names)):
        default = defaults[place - required] if place >= required else None
        read.append(_read_parameter(function, names[place], place >= required, False, default))
    if code.co_flags & CO_VARARGS:
        rest = code.co_varnames[code.co_argcount + code.co_kwonlyargcount]
        read.append(_read_parameter(function, rest, False, True, None))
    family = read[0].kind.family if read and not read[0].rest else ""
    variant = Variant(name, function, tuple(read), family, needs_services, context)
    result = function.__annotations__["return"].removesuffix(" | None")
    variant.result = KINDS[result].title if result in KINDS else _RESULTS.get(result, "any")
    return variant


_RESULTS: Final = {"None": "none", "Reply": "response"}


def _read_parameter(
    function: Callable[..., Any], name: str, optional: bool, rest: bool, default: Value
) -> Parameter:
    kind = KINDS[function.__annotations__[name].removesuffix(" | None")]
    return Parameter(name.rstrip("_"), kind, optional, rest, default)


def _read_factory(name: str, function: Callable[..., Any], names: tuple[str, ...]) -> Variant:
    read = tuple(
        Parameter(text.strip(".?"), KINDS["Value"], text.endswith("?"), text.startswith("..."))
        for text in names
    )
    return Variant(name, function, read, "", factory=True)


def _add(spec: Builtin, variant: Variant, properties_of: tuple[str, ...]) -> None:
    known = REGISTRY.get(spec.name)
    if known is None:
        REGISTRY[spec.name] = RegisteredBuiltin(spec, (variant,))
    else:
        REGISTRY[spec.name] = _merge(known, spec, variant)
    if variant.is_method and variant.is_pure:
        METHODS[variant.family][spec.name] = variant
    if variant.is_property and variant.family in PROPERTIES:
        if variant.is_pure:
            PROPERTIES[variant.family][spec.name] = variant.native or variant.function
        else:
            BOUND_PROPERTIES[variant.family].add(spec.name)
    for kind in properties_of:
        PROPERTIES[kind][spec.name] = variant.function


def _merge(known: RegisteredBuiltin, spec: Builtin, variant: Variant) -> RegisteredBuiltin:
    """Add an overload; kinds of first parameters never repeat, and overloads are pure."""
    variants = (*known.variants, variant)
    families = [v.family for v in variants]
    if (
        len(set(families)) != len(families)
        or "" in families
        or not all(v.is_pure for v in variants)
    ):
        raise ValueError(f"expected distinct first parameters, got a second `{spec.name}`")
    longest = max(variants, key=lambda v: (v.maximum is None, len(v.parameters))).parameters
    minimum = min(v.minimum for v in variants)
    first = replace(longest[0], name="value")
    merged = tuple(
        replace(p, optional=not p.rest and (p.optional or index >= minimum)).spelling
        for index, p in enumerate((first, *longest[1:]))
    )
    earlier = known.spec.summary
    summary = earlier if spec.summary in earlier else f"{earlier} {spec.summary}"
    result = spec.result if spec.result == known.spec.result else "any"
    return RegisteredBuiltin(
        replace(known.spec, parameters=merged, summary=summary, result=result), variants
    )


# --- argument checks ----------------------------------------


def _checked(variant: Variant, services: Services | None) -> Callable[..., Value]:
    """Wrap a function in argument checks, compiled from its parameters.

    For `starts_with(text: str, prefix: str)` this is

        def starts_with(text, prefix):
            if type(text) is not _t0_0: text = _c0(text)
            if type(prefix) is not _t1_0: prefix = _c1(prefix)
            try: return _function(text, prefix)
            except (OverflowError, RecursionError, MemoryError) as error:
                raise _limit('starts_with', error) from None
    """
    names: dict[str, Any] = {
        "_function": variant.function,
        "_services": services,
        "_limit": limit_fault,
    }
    head = ["context"] if variant.context else []
    passed = ["_services"] if variant.needs_services else []
    passed += head
    checks: list[str] = []
    for index, parameter in enumerate(variant.parameters):
        python_name = f"{parameter.name}_" if parameter.name in _KEYWORDS else parameter.name
        _write_parameter(index, parameter, python_name, head, passed, checks)
        names[f"_d{index}"] = parameter.default
        names[f"_c{index}"] = _converter(variant.name, index + 1, parameter)
        for number, accepted in enumerate(parameter.kind.types):
            names[f"_t{index}_{number}"] = accepted
    source = "\n".join(
        [
            f"def {_identifier(variant.name)}({', '.join(head)}):",
            *checks,
            f"    try: return _function({', '.join(passed)})",
            "    except (OverflowError, RecursionError, MemoryError) as error:",
            f"        raise _limit({variant.name!r}, error) from None",
        ]
    )
    code = compile(source, f"<builtin {variant.name}>", "exec")
    exec(code, names)  # made of identifiers of this package only
    checked: Callable[..., Value] = names[_identifier(variant.name)]
    return checked


def _write_parameter(
    index: int,
    parameter: Parameter,
    name: str,
    head: list[str],
    passed: list[str],
    checks: list[str],
) -> None:
    if parameter.rest:
        head.append(f"*{name}")
        passed.append(f"*{name}")
        if parameter.kind.title != "any":
            placed = f"enumerate({name}, {index + 1})"
            checks.append(f"    {name} = [_c{index}(item, place) for place, item in {placed}]")
        return
    head.append(f"{name}=_d{index}" if parameter.optional else name)
    passed.append(name)
    tests = [f"type({name}) is not _t{index}_{n}" for n in range(len(parameter.kind.types))]
    if parameter.optional and parameter.default is None:
        tests.insert(0, f"{name} is not None")
    if parameter.kind.title != "any":
        checks.append(f"    if {' and '.join(tests) or 'True'}: {name} = _c{index}({name})")


def _converter(function: str, position: int, parameter: Parameter) -> Callable[[Value], Value]:
    kind = parameter.kind

    def convert(value: Value, place: int = position) -> Value:
        if type(value) in kind.types:
            return value
        converted = None if kind.convert is None else kind.convert(value)
        if converted is None:
            raise argument_fault(function, place, kind.expected or kind.title, value)
        return converted

    return convert


def limit_fault(function: str, error: BaseException) -> RuntimeFault:
    """Fault FL508 for what Python raises when a computation outgrows the machine."""
    if isinstance(error, RecursionError):
        return depth_fault()
    return RuntimeFault(f"`{function}`: result is too large", code="FL508")


_KEYWORDS: Final = frozenset({"from", "in", "is", "not", "with", "as"})


def _identifier(name: str) -> str:
    return f"{name}_" if name in _KEYWORDS else name


ARGUMENTS_MAX: Final = 4  # of a call that finds its function by type at once


def _by_type(name: str, variants: tuple[Variant, ...]) -> Callable[..., Value]:
    """A callable that picks a variant, or its native form, by the type of its first argument."""
    by_family = {v.family: v for v in variants}
    chosen = {kind: by_family.get(family) for kind, family in FAMILY_BY_TYPE.items()}
    tables = tuple(
        {kind: v.bind_to(kind) for kind, v in chosen.items() if v is not None and v.takes(count)}
        for count in range(1, ARGUMENTS_MAX + 1)
    )
    expected = " or ".join(by_family)

    def other(args: tuple[Value, ...], named: Mapping[str, Value]) -> Value:
        variant = variants[0]
        if len(variants) > 1:
            if not args:
                raise arity_fault(name, 0, named)
            found = by_family.get(family_of(args[0]))
            if found is None:
                raise argument_fault(name, 1, expected, args[0])
            variant = found
        return call_checked(name, variant.bind(None), args, named)

    return dispatch.function(name, tables, other, limit_fault)


FAMILY_BY_TYPE: Final[dict[type, str]] = {
    str: "text",
    int: "number",
    float: "number",
    Time: "time",
    bytes: "bytes",
    list: "list",
    range: "list",
    dict: "map",
}


def family_of(value: Value) -> str:
    """Name of the method table of a value, or "" when its kind has none."""
    family = FAMILY_BY_TYPE.get(type(value))
    if family is not None:
        return family
    if type(value) in KIND_BY_TYPE:
        return ""
    if is_rows(value):
        return "list"
    return "map" if isinstance(value, dict) or hasattr(value, "to_map") else ""


def call_checked(
    name: str,
    function: Callable[..., Value],
    args: tuple[Value, ...],
    named: Mapping[str, Value],
) -> Value:
    """Call a Python callable; wrong arguments are fault FL509 of `name`, not a TypeError."""
    try:
        return function(*args, **named)
    except TypeError as error:
        trace = error.__traceback__
        if trace is None or trace.tb_next is not None:
            raise  # from inside the function
        raise arity_fault(name, len(args), named) from None


def arity_fault(name: str, count: int, named: Mapping[str, Value]) -> RuntimeFault:
    """Fault FL509: a function cannot be called with these arguments."""
    entry = REGISTRY.get(name)
    shown = f"({', '.join(entry.spec.parameters)})" if entry is not None else ""
    extra = f" and {', '.join(f'`{key}:`' for key in named)}" if named else ""
    plural = "" if count == 1 else "s"
    return RuntimeFault(
        f"cannot call `{name}{shown}` with {count} argument{plural}{extra}", code="FL509"
    )


__all__ = [
    "CO_VARARGS",
    "FAMILY_BY_TYPE",
    "KINDS",
    "METHODS",
    "PROPERTIES",
    "REGISTRY",
    "BoundBuiltins",
    "Function",
    "Items",
    "Kind",
    "ListRef",
    "Map",
    "MapRef",
    "Number",
    "Parameter",
    "RegisteredBuiltin",
    "Value",
    "Variant",
    "arity_fault",
    "builtin",
    "call_checked",
    "family_of",
    "limit_fault",
    "method",
    "specs",
]
