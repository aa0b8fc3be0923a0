"""Text builtins (FLIN reference 13.1). Positions and lengths count code points."""

from __future__ import annotations

import re
from typing import Final

from flinfast.errors import RuntimeFault
from flinfast.late_pattern import late_pattern
from flinfast.native import collection
from flinfast.runtime.encode import to_text
from flinfast.runtime.kinds import TEXT_SIZE_MAX, range_fault, size_fault
from flinfast.runtime.registry import Items, Value, method

EMAIL_LENGTH_MAX: Final = 254  # RFC 5321 section 4.5.3.1.3, without the angle brackets
# One local part, one `@`, dot-separated labels: linear time, and what the HTML standard accepts
# with at least one dot in the domain.
_EMAIL: Final = late_pattern(
    r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@"
    r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
    r"(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?)+\Z"
)
_NUMERIC: Final = late_pattern(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?\Z")


@method("length", "size", name="len", native=collection.size)
def length(text: str) -> int:
    """Count the code points."""
    return len(text)


@method(native=collection.text_count)
def count(text: str, part: str | None = None) -> int:
    """Count the code points, or how often `part` occurs."""
    if part is None:
        return len(text)
    return text.count(part) if part else len(text) + 1


@method(native=str.upper)
def upper(text: str) -> str:
    """Convert to upper case."""
    return text.upper()


@method(native=str.lower)
def lower(text: str) -> str:
    """Convert to lower case."""
    return text.lower()


@method(native=str.strip)
def trim(text: str) -> str:
    """Remove white space at both ends."""
    return text.strip()


@method()
def trim_start(text: str) -> str:
    """Remove white space at the start."""
    return text.lstrip()


@method()
def trim_end(text: str) -> str:
    """Remove white space at the end."""
    return text.rstrip()


@method("includes")
def contains(text: str, part: str) -> bool:
    """Tell whether `part` occurs."""
    return part in text


@method()
def starts_with(text: str, prefix: str) -> bool:
    """Tell whether the text starts with `prefix`."""
    return text.startswith(prefix)


@method()
def ends_with(text: str, suffix: str) -> bool:
    """Tell whether the text ends with `suffix`."""
    return text.endswith(suffix)


@method()
def split(text: str, separator: str) -> Items:
    """Split at every `separator`; an empty one splits into code points."""
    return text.split(separator) if separator else list(text)


@method(name="slice", native=collection.slice)
def slice_(text: str, start: int, stop: int | None = None) -> str:
    """Take the part from `start` to before `stop`; negative counts from the end."""
    return text[start:stop]


@method("substr", native=collection.slice)
def substring(text: str, start: int, stop: int | None = None) -> str:
    """Take the part from `start` to before `stop`; negative counts from the end."""
    return text[start:stop]


@method()
def replace(text: str, part: str, replacement: str) -> str:
    """Replace the first `part` by `replacement`."""
    return _fitting(text.replace(part, replacement, 1))


@method(native=collection.replace_all)
def replace_all(text: str, part: str, replacement: str) -> str:
    """Replace every `part` by `replacement`."""
    growth = len(replacement) - len(part)
    found_max = len(text) // len(part) if part else len(text) + 1
    if len(text) + found_max * growth > TEXT_SIZE_MAX:
        found_max = text.count(part)
    if len(text) + found_max * growth > TEXT_SIZE_MAX:
        raise size_fault("a text", f"{TEXT_SIZE_MAX} characters")
    return text.replace(part, replacement)


@method()
def join(text: str, items: Items) -> str:
    """Join the items of a list, with this text between them."""
    return join_texts(items, text)


@method(native=collection.capitalize)
def capitalize(text: str) -> str:
    """Make the first character upper case."""
    return text[:1].upper() + text[1:]


@method()
def title(text: str) -> str:
    """Make the first character of every word upper case, the others lower case."""
    return re.sub(r"\S+", lambda word: word[0][:1].upper() + word[0][1:].lower(), text)


@method()
def is_numeric(text: str) -> bool:
    """Tell whether the text is a decimal number."""
    return _NUMERIC.match(text) is not None


@method()
def is_email(text: str) -> bool:
    """Tell whether the text looks like an e-mail address."""
    return len(text) <= EMAIL_LENGTH_MAX and _EMAIL.match(text) is not None


@method()
def is_alpha(text: str) -> bool:
    """Tell whether there are letters and nothing else."""
    return text.isalpha()


@method()
def is_alphanumeric(text: str) -> bool:
    """Tell whether there are letters and digits and nothing else."""
    return text.isalnum()


@method(native=collection.is_empty)
def is_empty(text: str) -> bool:
    """Tell whether the text has no characters."""
    return not text


@method()
def is_blank(text: str) -> bool:
    """Tell whether there is nothing but white space."""
    return not text.strip()


@method()
def index_of(text: str, part: str) -> int:
    """Find the first `part`; -1 when it does not occur."""
    return text.find(part)


@method()
def last_index_of(text: str, part: str) -> int:
    """Find the last `part`; -1 when it does not occur."""
    return text.rfind(part)


@method()
def remove_prefix(text: str, prefix: str) -> str:
    """Remove `prefix` when the text starts with it."""
    return text.removeprefix(prefix)


@method()
def remove_suffix(text: str, suffix: str) -> str:
    """Remove `suffix` when the text ends with it."""
    return text.removesuffix(suffix)


@method("pad_left", native=collection.pad_start)
def pad_start(text: str, length: int, fill: str = " ") -> str:
    """Fill up to `length` characters at the start."""
    return _padding(text, length, fill) + text


@method("pad_right", native=collection.pad_end)
def pad_end(text: str, length: int, fill: str = " ") -> str:
    """Fill up to `length` characters at the end."""
    return text + _padding(text, length, fill)


@method()
def reverse(text: str) -> str:
    """Reverse the order of the characters."""
    return text[::-1]


@method()
def repeat(text: str, times: int) -> str:
    """Repeat the text `times` times."""
    if times < 0:
        raise range_fault("repeat", 2, "an int from 0", times)
    if len(text) * times > TEXT_SIZE_MAX:
        raise size_fault("a text", f"{TEXT_SIZE_MAX} characters")
    return text * times


@method()
def lines(text: str) -> Items:
    """Split into lines, without their ends.

    A line ends with a line feed, a carriage return, or both.
    """
    # `splitlines` also splits where a form feed or one of seven other characters stands.
    found = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return found if found[-1] else found[:-1]


@method()
def words(text: str) -> Items:
    """Split at white space."""
    return text.split()


@method()
def chars(text: str) -> Items:
    """Split into characters (code points)."""
    return list(text)


@method(result="text?")
def char_at(text: str, position: int) -> Value:
    """Take the character at `position`; none when there is none."""
    return text[position] if -len(text) <= position < len(text) else None


@method()
def truncate(text: str, length: int, ending: str = "...") -> str:
    """Shorten to at most `length` characters, `ending` included."""
    if len(text) <= length:
        return text
    return text[: max(0, length - len(ending))] + ending[: max(0, length)]


@method()
def slug(text: str) -> str:
    """Make a lower-case name for addresses: letters, digits and single hyphens."""
    return "-".join(re.findall(r"[^\W_]+", text.lower()))


@method()
def escape_html(text: str) -> str:
    """Escape `& < > " '` for HTML."""
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return text.replace('"', "&quot;").replace("'", "&#39;")


def join_texts(items: Items, separator: str) -> str:
    """Texts of the items joined.

    Raises:
        RuntimeFault: FL508 beyond TEXT_SIZE_MAX characters.
    """
    texts = [item if type(item) is str else to_text(item) for item in items]
    if sum(map(len, texts)) + len(separator) * len(texts) > TEXT_SIZE_MAX:
        raise size_fault("a text", f"{TEXT_SIZE_MAX} characters")
    return separator.join(texts)


def _padding(text: str, length: int, fill: str) -> str:
    missing = length - len(text)
    if missing <= 0 or not fill:
        return ""
    if length > TEXT_SIZE_MAX:
        raise size_fault("a text", f"{TEXT_SIZE_MAX} characters")
    return (fill * (missing // len(fill) + 1))[:missing]


def _fitting(text: str) -> str:
    if len(text) > TEXT_SIZE_MAX:
        raise RuntimeFault("result is too large", code="FL508")
    return text
