"""The page of all builtins, docs/language/builtins.md, made from the registry.

`python -m flinfast.runtime.reference` prints it; a test compares it with the file.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Final

from flinfast.runtime.builtins import AREAS, REGISTRY
from flinfast.runtime.registry import PROPERTIES, Parameter, Variant

TITLES: Final = {
    "text": "Text",
    "list": "Lists",
    "map": "Maps",
    "number": "Numbers and durations",
    "time": "Time",
    "bytes": "Bytes",
    "value": "Any value, JSON",
    "validate": "Validation",
    "ws": "WebSocket",
    "response": "Responses and middleware",
    "stream": "Event streams",
    "http": "HTTP client",
    "file": "Files",
    "security": "Security",
    "cipher": "Encryption",
    "totp": "Second factors",
    "log": "Logging",
    "process": "Process and tools",
    "test": "Tests",
}
_INTRODUCTION: Final = """\
# Built-in functions

All of them are global; nothing is imported.
Every function also works as a method of its first argument and in a pipeline:
`trim(s)`, `s.trim()` and `s |> trim` are the same.
Functions marked *property* may be written without parentheses: `s.trim`.
On a map, `m.name` always reads a key, so call `m.len()` or `len(m)`.
A trailing `?` marks a parameter that may be left out, `...` any number of further ones.
A wrong argument is fault FL504, which names function, position, expected and given type.
Functions marked *waits* suspend the handler; what it wrote and sent before is committed first.
"""


def builtins_page() -> str:
    """The page as Markdown."""
    parts = [_INTRODUCTION]
    for area in AREAS:
        name = area.__name__.rpartition(".")[2]
        parts.append(f"## {TITLES[name]}\n")
        parts += notes_of(area)
        parts.append("| function | result | |\n|---|---|---|")
        parts.append("\n".join(_row(names) for names in grouped(area)) + "\n")
    return "\n".join(parts).rstrip("\n") + "\n"


def notes_of(area: ModuleType) -> list[str]:
    """What the area's own docstring says after its first line."""
    rest = (area.__doc__ or "").strip().partition("\n\n")[2]
    return [f"{' '.join(rest.split())}\n"] if rest else []


def grouped(area: ModuleType) -> list[list[Variant]]:
    """Variants defined in a module: first the function, then its aliases."""
    groups: dict[int, list[Variant]] = {}
    for name, entry in REGISTRY.items():
        for variant in entry.variants:
            is_here = variant.function.__module__ == area.__name__
            if is_here and not name.startswith("_"):
                groups.setdefault(id(variant.function), []).append(variant)
    return sorted(groups.values(), key=lambda group: group[0].name)


def _row(names: list[Variant]) -> str:
    variant = names[0]
    spec = REGISTRY[variant.name].spec
    summary = (variant.function.__doc__ or "").strip().partition("\n")[0]
    marks = [
        mark
        for mark, holds in (
            ("property", is_property(variant)),
            ("changes its argument", variant.mutates),
            ("waits", spec.waits),
            ("`ws` handlers only", spec.ws_only),
            ("tests only", spec.test_only),
        )
        if holds
    ]
    aliases = [f"`{alias.name}`" for alias in names[1:]]
    notes = [f"Also {', '.join(aliases)}."] if aliases else []
    notes += [f"*{', '.join(marks)}*"] if marks else []
    parameters = ", ".join(map(parameter_text, variant.parameters))
    call = f"`{variant.name}({parameters})`"
    text = " ".join([summary, *notes]).replace("|", "\\|")
    return f"| {call} | {variant.result} | {text} |"


def is_property(variant: Variant) -> bool:
    """Whether it may be written without parentheses, on some kind of value."""
    tables = PROPERTIES.values()
    is_shared = any(table.get(variant.name) is variant.function for table in tables)
    return is_shared or variant.is_property


def parameter_text(parameter: Parameter) -> str:
    """`part?: text`, the form of signatures in docs."""
    kind = "" if parameter.kind.title == "any" else f": {parameter.kind.title}"
    return f"{parameter.spelling}{kind}"


if __name__ == "__main__":
    sys.stdout.write(builtins_page())
