"""Field modifiers as checks: one table for entities (on save) and `validate` blocks (on request).

A check gets a value of the field's type, never none, and returns what is wrong with it as text that
reads after the field's name ("must be at least 3 characters"), or None.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable
from datetime import date
from typing import Any, Final
from urllib.parse import urlsplit

from flinfast.lang.program import FieldInfo, TypeInfo
from flinfast.late_pattern import late_pattern
from flinfast.runtime.upload import UploadedFile
from flinfast.values import Time

Check = Callable[[Any], str | None]

EMAIL_CHARS_MAX: Final = 254  # RFC 5321 section 4.5.3.1.3, less the angle brackets
URL_CHARS_MAX: Final = 2048  # what every browser accepts

_UNITS: Final = {"b": 1, "kb": 1 << 10, "mb": 1 << 20, "gb": 1 << 30}
_SIZE: Final = late_pattern(r"([0-9]+(?:\.[0-9]+)?)\s*(b|kb|mb|gb)", re.IGNORECASE)
_PHONE: Final = late_pattern(r"\+?[0-9][0-9 ()./-]{4,24}")
_SLUG: Final = late_pattern(r"[a-z0-9]+(?:-[a-z0-9]+)*")
_LABEL: Final = late_pattern(r"[^\s@.,;:<>()\[\]\\\"]+")
_LOCAL: Final = late_pattern(r"[^\s@<>()\[\]\\,;:\"]+")
# First bytes of files whose declared type is checked against their content.
_SIGNATURES: Final[tuple[tuple[bytes, str], ...]] = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"%PDF-", "application/pdf"),
    (b"PK\x03\x04", "application/zip"),
    (b"\x1f\x8b", "application/gzip"),
)
_SIGNED_TYPES: Final = frozenset(kind for _, kind in _SIGNATURES) - {"application/zip"}
# Modifiers that are not checks of a value by itself.
NOT_CHECKS: Final = frozenset({"required", "unique", "index", "hidden", "default"})
TRANSFORMS: Final[dict[str, Callable[[str], str]]] = {"trim": str.strip, "lowercase": str.lower}


def checks_of(field: FieldInfo) -> tuple[Check, ...]:
    """The checks of a field's modifiers, in source order; transforms come before them."""
    made = []
    for name, arguments in field.modifiers:
        if name in NOT_CHECKS or name in TRANSFORMS:
            continue
        made.append(MAKERS[name](arguments, field.type))
    return tuple(made)


def size_bytes(size: int | str) -> int:
    """Bytes of a size such as 1024 or "10MB"; units are powers of 1024."""
    if isinstance(size, int):
        return size
    found = _SIZE.fullmatch(size.strip())
    if found is None:
        raise ValueError(f"expected a size such as 10MB, got {size}")
    return int(float(found[1]) * _UNITS[found[2].lower()])


# --- makers: (arguments, type) -> check ----------------------------------------


def _flat(arguments: tuple[Any, ...]) -> tuple[Any, ...]:
    """`@one_of("a", "b")` and `@one_of(["a", "b"])` mean the same."""
    if len(arguments) == 1 and isinstance(arguments[0], tuple | list):
        return tuple(arguments[0])
    return arguments


def _one_of(arguments: tuple[Any, ...], _type: TypeInfo) -> Check:
    allowed = _flat(arguments)
    text = "must be one of: " + ", ".join(_shown(item) for item in allowed)

    def check(value: Any) -> str | None:
        same = any(item == value and (type(item) is bool) == (type(value) is bool)
                   for item in allowed)  # fmt: skip
        return None if same else text

    return check


def _shown(item: Any) -> str:
    if isinstance(item, bool):
        return "true" if item else "false"
    return "none" if item is None else str(item)


def _unit(kind: TypeInfo, count: int) -> str:
    word = {"list": "item", "map": "entry", "bytes": "byte"}.get(kind.name, "character")
    return f"{count} {word}{'' if count == 1 else 's'}"


def _must(kind: TypeInfo) -> str:
    return "must have" if kind.name in ("list", "map") else "must be"


def _min_length(arguments: tuple[Any, ...], kind: TypeInfo) -> Check:
    least = int(arguments[0])
    text = f"{_must(kind)} at least {_unit(kind, least)}"
    return lambda value: None if len(value) >= least else text


def _max_length(arguments: tuple[Any, ...], kind: TypeInfo) -> Check:
    most = int(arguments[0])
    text = f"{_must(kind)} at most {_unit(kind, most)}"
    return lambda value: None if len(value) <= most else text


def _length(arguments: tuple[Any, ...], kind: TypeInfo) -> Check:
    exact = int(arguments[0])
    text = f"{_must(kind)} exactly {_unit(kind, exact)}"
    return lambda value: None if len(value) == exact else text


def _min(arguments: tuple[Any, ...], _type: TypeInfo) -> Check:
    least = arguments[0]
    return lambda value: None if value >= least else f"must be at least {least}"


def _max(arguments: tuple[Any, ...], _type: TypeInfo) -> Check:
    most = arguments[0]
    return lambda value: None if value <= most else f"must be at most {most}"


def _when(test: Callable[[Any], bool], text: str) -> Callable[[tuple[Any, ...], TypeInfo], Check]:
    """A maker without arguments."""

    def make(_arguments: tuple[Any, ...], _type: TypeInfo) -> Check:
        return lambda value: None if test(value) else text

    return make


# An escaped character, a class of characters, or `$`.
_DOLLAR: Final = late_pattern(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|(\$)", re.DOTALL)


def _to_the_end(pattern: str) -> str:
    r"""A pattern whose `$` is the end of the text: Python's also stands before a last line break.

    One that says itself what its lines are, with the flag `m`, is left alone.
    """
    if re.search(r"\(\?[a-zA-Z]*m", pattern):
        return pattern
    return _DOLLAR.sub(lambda found: r"\Z" if found[1] else found[0], pattern)


def _pattern(arguments: tuple[Any, ...], _type: TypeInfo) -> Check:
    from flinfast.lang.ambiguity import cost_of  # few programs have patterns

    pattern = _to_the_end(arguments[0])
    search, most = re.compile(pattern).search, cost_of(pattern).length_max
    if most is None:
        return lambda value: None if search(value) else "has the wrong format"
    text = f"must have at most {most} characters"  # or matching could take too long

    def check(value: str) -> str | None:
        if len(value) > most:
            return text
        return None if search(value) else "has the wrong format"

    return check


def _max_size(arguments: tuple[Any, ...], _type: TypeInfo) -> Check:
    most = size_bytes(arguments[0])
    text = f"must be at most {arguments[0] if isinstance(arguments[0], str) else f'{most} bytes'}"

    def check(value: Any) -> str | None:
        size = value.size if isinstance(value, UploadedFile) else len(value)
        return None if size <= most else text

    return check


def _allow_types(arguments: tuple[Any, ...], _type: TypeInfo) -> Check:
    allowed = tuple(str(item).strip().lower() for item in _flat(arguments))
    text = "must be of type: " + ", ".join(allowed)

    def fits(kind: str) -> bool:
        return any(
            kind == item or (item.endswith("/*") and kind.startswith(item[:-1])) for item in allowed
        )

    def check(value: Any) -> str | None:
        if not isinstance(value, UploadedFile) or not fits(value.content_type):
            return text
        found = sniffed_type(value.data)
        if value.content_type in _SIGNED_TYPES and found != value.content_type:
            return text
        if found in _SIGNED_TYPES and not fits(found):
            return text
        return None

    return check


def _extension(arguments: tuple[Any, ...], _type: TypeInfo) -> Check:
    allowed = tuple("." + str(item).strip().lower().lstrip(".") for item in _flat(arguments))
    text = "must have the extension: " + ", ".join(allowed)
    return lambda value: None if value.extension in allowed else text


def sniffed_type(data: bytes) -> str:
    """Type that the first bytes of a file announce, "" when they are not known."""
    return next((kind for start, kind in _SIGNATURES if data.startswith(start)), "")


# --- tests ----------------------------------------


def is_email(text: str) -> bool:
    """One `@`, a local part, and a domain with a dot."""
    local, at, domain = text.partition("@")
    return bool(
        at
        and len(text) <= EMAIL_CHARS_MAX
        and _LOCAL.fullmatch(local)
        and "." in domain
        and all(_LABEL.fullmatch(label) for label in domain.split("."))
    )


def is_url(text: str) -> bool:
    """An absolute http or https URL with a host."""
    if len(text) > URL_CHARS_MAX or any(c.isspace() or ord(c) < 0x20 for c in text):
        return False
    try:
        parts = urlsplit(text)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def is_ip(text: str) -> bool:
    """An IPv4 or IPv6 address."""
    import ipaddress

    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def is_uuid(text: str) -> bool:
    """The hyphenated form of a UUID."""
    try:
        return len(text) == 36 and str(uuid.UUID(text)) == text.lower()
    except ValueError:
        return False


def is_date(value: str | Time) -> bool:
    """A time, or text such as `2026-01-31`."""
    if isinstance(value, Time):
        return True
    try:
        date.fromisoformat(value)
    except ValueError:
        return False
    return len(value) == 10


def _is_integral(value: float) -> bool:
    return isinstance(value, int) or value.is_integer()


MAKERS: Final[dict[str, Callable[[tuple[Any, ...], TypeInfo], Check]]] = {
    "one_of": _one_of,
    "min_length": _min_length,
    "max_length": _max_length,
    "length": _length,
    "min_items": _min_length,
    "max_items": _max_length,
    "min": _min,
    "max": _max,
    "positive": _when(lambda value: value > 0, "must be positive"),
    "negative": _when(lambda value: value < 0, "must be negative"),
    "integer": _when(_is_integral, "must be an integer"),
    "email": _when(is_email, "must be a valid email"),
    "url": _when(is_url, "must be a valid URL"),
    "phone": _when(lambda value: bool(_PHONE.fullmatch(value)), "must be a valid phone number"),
    "uuid": _when(is_uuid, "must be a valid UUID"),
    "ip": _when(is_ip, "must be a valid IP address"),
    "slug": _when(lambda value: bool(_SLUG.fullmatch(value)), "must be a valid slug"),
    "alpha": _when(str.isalpha, "must contain only letters"),
    "alphanumeric": _when(str.isalnum, "must contain only letters and digits"),
    "date": _when(is_date, "must be a valid date"),
    "pattern": _pattern,
    "max_size": _max_size,
    "allow_types": _allow_types,
    "extension": _extension,
}
