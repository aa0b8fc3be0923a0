"""All entries of the manual, and how a name is looked up."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from types import ModuleType
from typing import Final

from flinfast.lang.catalog import CATALOG, explanation
from flinfast.lang.diagnostic import suggest
from flinfast.manual import keyword, schema
from flinfast.manual.entry import KINDS, Entry
from flinfast.manual.example import examples
from flinfast.runtime.builtins import AREAS, REGISTRY
from flinfast.runtime.parameter import Parameter
from flinfast.runtime.reference import TITLES, grouped, is_property, parameter_text
from flinfast.runtime.registry import Variant
from flinfast.server.config import Key, all_keys
from flinfast.server.setting_text import SETTING_TEXTS

# Faults beyond a wrong argument that a function can cause by itself.
_FAULTS: Final[dict[str, tuple[str, ...]]] = {
    "ws_join": ("FL520",),
    "event_stream": ("FL520",),
    "set_cookie": ("FL561",),
    "redirect": ("FL560",),
    "create_token": ("FL508",),
    "refresh_token": ("FL508",),
    "apply_patch": ("FL508",),
    "repeat": ("FL508",),
    "pad_start": ("FL508",),
    "pad_end": ("FL508",),
    "range": ("FL508",),
    "pow": ("FL508",),
    "insert_at": ("FL506",),
    **dict.fromkeys(("read_file", "read_binary", "file_exists"), ("FL540", "FL541")),
    **dict.fromkeys(("delete_file", "save_file", "save_binary"), ("FL540", "FL541")),
}
_CLASSES: Final = {
    "0": "Diagnostics: characters",
    "1": "Diagnostics: syntax",
    "2": "Diagnostics: names and guards",
    "3": "Diagnostics: routes and handlers",
    "4": "Diagnostics: entities and validation",
    "5": "Diagnostics: run time",
    "9": "Diagnostics: project and settings",
}


@lru_cache(maxsize=1)
def entries() -> tuple[Entry, ...]:
    """Every entry, in the order of the overview."""
    return (
        *keyword.entries(),
        *schema.entries(),
        *_functions(),
        *(_setting(key) for key in all_keys()),
        *(_diagnostic(code, title) for code, title in CATALOG.items()),
    )


@lru_cache(maxsize=1)
def _by_name() -> dict[str, list[Entry]]:
    found: dict[str, list[Entry]] = {}
    for entry in sorted(entries(), key=lambda entry: KINDS.index(entry.kind)):
        for name in (entry.name, *entry.aliases):
            found.setdefault(name, []).append(entry)
    return found


def find(name: str, *kinds: str) -> list[Entry]:
    """Entries of a name or alias, those of functions first.

    Args:
        name: As written; the `@` of a modifier, the table of a setting and the letter case of a
            code may be left out or differ.
        kinds: Only these kinds; all without any.
    """
    table = _by_name()
    found = table.get(name) or table.get(name.upper()) or []
    if name.isdigit():
        found = found or table.get(f"FL{name}", [])
    if not name.startswith("@") and ("modifier" in kinds or not kinds):
        found = [*found, *table.get(f"@{name}", [])]
    if not kinds and not found:
        found = [e for e in entries() if e.kind == "setting" and e.name.endswith(f".{name}")]
    return [entry for entry in found if not kinds or entry.kind in kinds]


def nearest(name: str) -> str:
    """The name that a misspelt one most likely meant, or ""."""
    return suggest(name, _by_name())


def areas() -> dict[str, list[Entry]]:
    """Entries by heading."""
    found: dict[str, list[Entry]] = {}
    for entry in entries():
        found.setdefault(entry.area, []).append(entry)
    return found


def titles() -> dict[str, str]:
    """Code -> title of every diagnostic."""
    return dict(CATALOG)


# --- functions ----------------------------------------


def _functions() -> Iterable[Entry]:
    shown = examples()
    for area in AREAS:
        for group in grouped(area):
            yield _function(area, group, shown)


def _function(area: ModuleType, group: list[Variant], shown: dict[str, str]) -> Entry:
    variant, *others = group
    spec = REGISTRY[variant.name].spec
    module = area.__name__.rpartition(".")[2]
    parameters = ", ".join(map(_parameter, variant.parameters))
    notes = []
    if is_property(variant):
        notes.append(f"Also without parentheses: `value.{variant.name}`.")
    if variant.mutates:
        notes.append("Changes its first argument.")
    if spec.waits:
        notes.append("Waits: what the handler wrote and sent before is committed first.")
    if spec.ws_only:
        notes.append("In `ws` handlers only.")
    if spec.test_only:
        notes.append("In tests only.")
    errors = ["FL504"] if any(p.kind.title != "any" for p in variant.parameters) else []
    errors += _FAULTS.get(variant.name, ())
    if spec.ws_only:
        errors.append("FL521")
    if spec.test_only:
        errors += ["FL312", "FL571"]
    if spec.waits:
        errors.append("FL550")
    return Entry(
        variant.name,
        "function",
        TITLES[module],
        (variant.function.__doc__ or "").strip().partition("\n")[0],
        (f"{variant.name}({parameters}) -> {variant.result}",),
        tuple(notes),
        tuple(errors),
        shown.get(f"{module}.{variant.name}", ""),
        tuple(other.name for other in others),
    )


def _parameter(parameter: Parameter) -> str:
    text = parameter_text(parameter)
    if not parameter.optional or parameter.default is None:
        return text
    default = f'"{parameter.default}"' if type(parameter.default) is str else parameter.default
    return f"{text} = {str(default).lower() if type(default) is bool else default}"


# --- settings and diagnostics ----------------------------------------


def _setting(key: Key) -> Entry:
    default = key.default
    if isinstance(default, bool):
        default = "on" if default else "off"
    elif isinstance(default, tuple):
        default = ", ".join(default)
    return Entry(
        key.path,
        "setting",
        f"Settings: [{key.table}]",
        SETTING_TEXTS[key.path],
        (),
        (
            f"Default: {default if default != '' else '(empty)'}",
            f"In flinfast.toml `{key.name}` under `[{key.table}]`, in the environment "
            f"`{key.variable}`.",
        ),
        ("FL905",),
    )


def _diagnostic(code: str, title: str) -> Entry:
    page = explanation(code).strip()
    body = "\n".join(line for line in page.splitlines() if not line.startswith("# ")).strip()
    return Entry(code, "diagnostic", _CLASSES[code[2]], f"{title.capitalize()}.", (), (body,))
