"""Settings from flinfast.toml, FLIN_* variables and flags, with the origin of each value.

A flag wins over a variable, a variable over the file, the file over the default. A key is the
field's name in `flinfast/settings.py` without its unit suffix: `heartbeat_s` is `ws.heartbeat` in
the file (the full name works as well) and FLIN_WS_HEARTBEAT in the environment. Sizes are numbers
of bytes or text such as "32MB" (1 KB is 1024 bytes), times are numbers of seconds or text such as
"30s". Whatever is unknown or out of range is a ConfigError, never a silent default.
"""

from __future__ import annotations

import math
import re
import types
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Final, Literal, cast, get_args, get_origin

from msgspec import Struct
from msgspec.structs import fields

from flinfast.late_pattern import late_pattern
from flinfast.server.setting_check import SettingError, check_together
from flinfast.settings import (
    LogSettings,
    SecuritySettings,
    ServerSettings,
    SessionSettings,
    Settings,
    StoreSettings,
    WsSettings,
)

CONFIG_FILE = "flinfast.toml"
CONFIG_BYTES_MAX = 1 << 20  # a settings file is a few hundred bytes; this stops a wrong path
FOREIGN_CONFIG_FILE = "flin.config"  # the reference implementation's file: reported, not read
MODE_VARIABLE = "FLIN_ENV"
DEFAULT_ORIGIN = "default"

Mode = Literal["dev", "test", "production"]
Value = Any

TABLES: Final[Mapping[str, type]] = types.MappingProxyType(
    {
        "server": ServerSettings,
        "ws": WsSettings,
        "session": SessionSettings,
        "store": StoreSettings,
        "security": SecuritySettings,
        "log": LogSettings,
    }
)

# Keys whose numbers are bytes: "32MB" is allowed for them.
_SIZES: Final = frozenset(
    {
        "server.head_size_max",
        "server.body_size_max",
        "server.compression_threshold",
        "ws.max_message",
        "ws.queue_soft",
        "ws.queue_hard",
        "ws.queue_total",
        "ws.compression_threshold",
    }
)
_SECRETS: Final = frozenset(
    {"session.secret", "session.previous_secrets", "store.database"}  # a URL holds a password
)

# Least and greatest value of a number; times are seconds. A day bounds every waiting time, so that
# a typing error cannot switch a limit off.
_DAY_S: Final = 86_400.0
_DEFAULT_TIME_RANGE: Final = (0.05, _DAY_S)
_DEFAULT_SIZE_RANGE: Final = (256, 1 << 34)
_DEFAULT_COUNT_RANGE: Final = (1, 1_000_000)
_RANGES: Final[Mapping[str, tuple[float, float]]] = types.MappingProxyType(
    {
        "server.port": (0, 65_535),
        "server.fd": (-1, 1 << 20),
        "server.workers": (1, 256),
        "server.backlog": (1, 65_535),
        "server.head_size_max": (512, 1 << 20),
        "server.body_size_max": (0, 1 << 34),
        "server.header_count_max": (8, 10_000),
        "server.drain_s": (0.0, _DAY_S),
        "server.compression_threshold": (64, 1 << 30),
        "ws.compression_threshold": (0, 1 << 30),
        "security.login_failures": (0, 1_000_000),
        "security.login_address_failures": (0, 1_000_000),
        "session.max_age_s": (60.0, 10 * 366 * _DAY_S),
        "session.idle_s": (60.0, 10 * 366 * _DAY_S),
    }
)

_SIZE_TEXT: Final = late_pattern(r"(\d{1,12}(?:\.\d{1,6})?)\s*([kmg]?)(?:i?b)?", re.IGNORECASE)
_SIZE_UNITS: Final = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}
_TIME_TEXT: Final = late_pattern(r"(\d{1,12}(?:\.\d{1,6})?)\s*(ms|s|m|h|d|)", re.IGNORECASE)
_TIME_UNITS: Final = {"": 1.0, "ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": _DAY_S}
_TRUE: Final = frozenset({"on", "true", "yes", "1"})
_FALSE: Final = frozenset({"off", "false", "no", "0"})


class Key(Struct, frozen=True):
    """One setting.

    Attributes:
        table: Such as "ws".
        field: Name of the dataclass field, such as "heartbeat_s".
        name: As people write it, such as "heartbeat".
        type: Resolved type of the field.
        default: Its default value.
    """

    table: str
    field: str
    name: str
    type: Any
    default: Value

    @property
    def path(self) -> str:
        """Such as `ws.heartbeat`."""
        return f"{self.table}.{self.name}"

    @property
    def variable(self) -> str:
        """Such as FLIN_WS_HEARTBEAT."""
        return f"FLIN_{self.table}_{self.name}".upper()

    @property
    def is_secret(self) -> bool:
        """Whether its value must not be printed."""
        return f"{self.table}.{self.field}" in _SECRETS


class Config(Struct, frozen=True):
    """All settings and where each came from.

    Attributes:
        settings: The frozen tables.
        origins: Path such as `ws.heartbeat` to "default", "flinfast.toml", a variable or a flag.
        notes: Sentences to show at start, such as that a flin.config is not read.
    """

    settings: Settings
    origins: Mapping[str, str]
    notes: tuple[str, ...] = ()

    def value_of(self, key: Key) -> Value:
        """The value of a key in these settings."""
        return getattr(getattr(self.settings, key.table), key.field)


class Flag(Struct, frozen=True):
    """A value given on the command line.

    Attributes:
        name: Such as "--port".
        value: As text or already converted.
    """

    name: str
    value: Value


def all_keys() -> tuple[Key, ...]:
    """Every setting, in the order of the tables."""
    return tuple(_KEYS.values())


def load(
    root: Path,
    *,
    environ: Mapping[str, str],
    flags: Mapping[str, Flag] = types.MappingProxyType({}),
    default_mode: Mode = "production",
) -> Config:
    """Read all settings of a project.

    Args:
        root: Project root; `root/flinfast.toml` is read when it exists.
        environ: Environment variables; only names that start with FLIN_ matter.
        flags: Path such as "server.port" to a flag.
        default_mode: Mode when FLIN_ENV is not set.

    Raises:
        ConfigError: A key or variable is unknown, or a value is not valid.
    """
    values: dict[tuple[str, str], Value] = {}
    origins = {key.path: DEFAULT_ORIGIN for key in all_keys()}
    layers = (_from_file(root / CONFIG_FILE), _from_environ(environ), _from_flags(flags))
    for layer in layers:
        for key, value, origin in layer:
            values[key.table, key.field] = _convert(key, value, origin)
            origins[key.path] = origin
    tables = {
        table: kind(**{field: value for (owner, field), value in values.items() if owner == table})
        for table, kind in TABLES.items()
    }
    settings = Settings(mode=_mode(environ, default_mode), **tables)
    check_together(root, settings, origins)
    notes: tuple[str, ...] = ()
    if (root / FOREIGN_CONFIG_FILE).exists():
        notes = (f"`{FOREIGN_CONFIG_FILE}` is not read: move its settings to `{CONFIG_FILE}`",)
    return Config(settings, types.MappingProxyType(origins), notes)


# --- layers ----------------------------------------

_Layer = Iterable[tuple[Key, Value, str]]


def _from_file(path: Path) -> _Layer:
    try:
        with path.open("rb") as file:
            raw = file.read(CONFIG_BYTES_MAX + 1)
    except FileNotFoundError:
        return
    except OSError as error:
        raise SettingError(f"cannot read {path.name}: {error.strerror}", path=str(path)) from error
    import tomllib

    if len(raw) > CONFIG_BYTES_MAX:
        raise SettingError(f"expected {path.name} to be at most {CONFIG_BYTES_MAX} bytes")
    try:
        document = tomllib.loads(raw.decode("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingError(f"{path.name} is not valid TOML: {error}") from error
    for table, content in document.items():
        if table not in TABLES:
            raise _unknown("table", table, TABLES, path=table)
        if not isinstance(content, dict):
            raise SettingError(f"expected `[{table}]` to be a table", path=table)
        seen: set[str] = set()
        for name, value in content.items():
            key = _key(table, name)
            if key.field in seen:
                raise SettingError(f"`{key.path}` is set twice", path=key.path)
            seen.add(key.field)
            yield key, value, path.name


def _from_environ(environ: Mapping[str, str]) -> _Layer:
    variables = {key.variable: key for key in all_keys()}
    variables.update({f"FLIN_{key.table}_{key.field}".upper(): key for key in all_keys()})
    for name in sorted(environ):
        if not name.startswith("FLIN_") or name == MODE_VARIABLE:
            continue
        key = variables.get(name)
        if key is None:
            raise _unknown("variable", name, [*variables, MODE_VARIABLE], path=name)
        yield key, environ[name], name


def _from_flags(flags: Mapping[str, Flag]) -> _Layer:
    for path, flag in flags.items():
        table, _, name = path.partition(".")
        yield _key(table, name), flag.value, flag.name


def _mode(environ: Mapping[str, str], default: Mode) -> Mode:
    text = environ.get(MODE_VARIABLE, "")
    if not text:
        return default
    known = get_args(Mode)
    if text not in known:
        raise _unknown("mode", text, known, path=MODE_VARIABLE)
    return cast(Mode, text)


# --- values ----------------------------------------


def _convert(key: Key, value: Value, origin: str) -> Value:
    """The value in the field's type, checked against its range."""
    path = f"{key.path} ({origin})"
    try:
        return _CONVERTERS[_kind(key)](key, value)
    except (ValueError, OverflowError) as error:
        shown = "a value that is not shown" if key.is_secret else f"`{_as_written(value)}`"
        raise SettingError(f"expected {error}, got {shown}", path=path) from None


def _as_written(value: Value) -> Value:
    """What the file says, where Python says `True`."""
    return str(value).lower() if isinstance(value, bool) else value


def _kind(key: Key) -> str:
    origin = get_origin(key.type)
    if origin is Literal:
        return "choice"
    if origin is tuple:
        return "texts"
    if f"{key.table}.{key.field}" in _SIZES:
        return "size"
    return {int: "int", float: "time", bool: "bool", str: "text"}[key.type]


def _ranged(key: Key, value: float, default: tuple[float, float]) -> float:
    low, high = _RANGES.get(f"{key.table}.{key.field}", default)
    if not low <= value <= high:
        written = _WRITTEN.get(_kind(key), _whole)
        raise ValueError(f"a value from {written(low)} to {written(high)}")
    return value


def _whole(number: float) -> str:
    return str(int(number))


def _size_text(size: float) -> str:
    """A size as settings have it, such as `16GB`."""
    for unit in "gmk":
        if size and size % _SIZE_UNITS[unit] == 0:
            return f"{int(size) // _SIZE_UNITS[unit]}{unit.upper()}B"
    return str(int(size))


def _time_text(time_s: float) -> str:
    """A time as settings have it, such as `50ms`."""
    for unit in ("d", "h", "m", "s"):
        if time_s and time_s % _TIME_UNITS[unit] == 0:
            return f"{int(time_s / _TIME_UNITS[unit])}{unit}"
    return f"{time_s * 1000:g}ms" if time_s else "0"


_WRITTEN: Final = types.MappingProxyType({"size": _size_text, "time": _time_text})


def _to_int(key: Key, value: Value) -> int:
    if isinstance(value, str) and re.fullmatch(r"-?[0-9]{1,15}", value):
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueError("a whole number")
    return int(_ranged(key, value, _DEFAULT_COUNT_RANGE))


def _to_size(key: Key, value: Value) -> int:
    if isinstance(value, str):
        found = _SIZE_TEXT.fullmatch(value.strip())
        if found is None:
            raise ValueError('a size such as "10MB" or a number of bytes')
        value = int(float(found[1]) * _SIZE_UNITS[found[2].lower()])
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueError('a size such as "10MB" or a number of bytes')
    return int(_ranged(key, value, _DEFAULT_SIZE_RANGE))


def _to_time(key: Key, value: Value) -> float:
    if isinstance(value, str):
        found = _TIME_TEXT.fullmatch(value.strip())
        if found is None:
            raise ValueError('a time such as "30s" or a number of seconds')
        value = float(found[1]) * _TIME_UNITS[found[2].lower()]
    if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
        raise ValueError('a time such as "30s" or a number of seconds')
    return float(_ranged(key, value, _DEFAULT_TIME_RANGE))


def _to_bool(_key: Key, value: Value) -> bool:
    if isinstance(value, bool):
        return value
    text = value.lower() if isinstance(value, str) else ""
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    raise ValueError("on or off")


def _to_text(_key: Key, value: Value) -> str:
    if not isinstance(value, str) or any(ord(character) < 32 for character in value):
        raise ValueError("text without control characters")
    return value


def _to_texts(key: Key, value: Value) -> tuple[str, ...]:
    if isinstance(value, str):
        value = [part.strip() for part in value.split(",") if part.strip()]
    if not isinstance(value, list | tuple):
        raise ValueError("a list of texts")
    return tuple(_to_text(key, item) for item in value)


def _to_choice(key: Key, value: Value) -> str:
    known = get_args(key.type)
    for choice in known:
        if isinstance(value, str) and value.lower() == choice.lower():
            return cast(str, choice)
    # TOML and habit write `secure = true`; the choice is spelled on or off.
    if isinstance(value, bool) and {"on", "off"} <= set(known):
        return "on" if value else "off"
    raise ValueError("one of " + ", ".join(known))


_CONVERTERS: Final[Mapping[str, Callable[[Key, Value], Value]]] = types.MappingProxyType(
    {
        "int": _to_int,
        "size": _to_size,
        "time": _to_time,
        "bool": _to_bool,
        "text": _to_text,
        "texts": _to_texts,
        "choice": _to_choice,
    }
)


# --- names ----------------------------------------


def _all_keys() -> dict[str, Key]:
    found: dict[str, Key] = {}
    for table, kind in TABLES.items():
        for item in fields(kind):
            key = Key(table, item.name, item.name.removesuffix("_s"), item.type, item.default)
            found[key.path] = key
    return found


_KEYS: Final[Mapping[str, Key]] = types.MappingProxyType(_all_keys())


def _key(table: str, name: str) -> Key:
    """The key of a table by its name, with or without the unit suffix.

    Raises:
        ConfigError: There is none.
    """
    key = _KEYS.get(f"{table}.{name}") or _KEYS.get(f"{table}.{name.removesuffix('_s')}")
    if key is None or name not in (key.name, key.field):
        raise _unknown("setting", f"{table}.{name}", _KEYS, path=f"{table}.{name}")
    return key


def _unknown(kind: str, name: str, known: Iterable[str], *, path: str) -> SettingError:
    """An error about a name nobody knows, with the nearest known one as its hint."""
    from flinfast.lang.diagnostic import suggest

    known = list(known)
    near = suggest(name, known)
    if not near:
        # A known key in the wrong table: `[server] heartbeat`.
        last = name.rpartition(".")[2]
        near = next((other for other in known if other.rpartition(".")[2] == last), "")
    if near:
        hint = f"did you mean `{near}`?"
    elif len(known) < 10:
        hint = "known: " + ", ".join(f"`{other}`" for other in known)
    else:
        hint = "`flinfast config show` lists all of them"
    return SettingError(f"unknown {kind} `{name}`", code="FL904", path=path, hint=hint)
