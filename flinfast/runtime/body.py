"""Request bodies to FLIN values (FLIN reference 8.2).

The server has limited the size of a body; this module limits what a small body can cost: nesting,
fields and parts. A body that is not what its Content-Type says is the client's fault: 400.
"""

from __future__ import annotations

import gc
from io import BytesIO
from typing import Any

import msgspec
from msgspec import Struct

from flinfast.runtime.fault import HttpFault
from flinfast.runtime.request import Request, parse_pairs
from flinfast.runtime.upload import UploadedFile

JSON_DEPTH_MAX = 128  # levels of nesting of a JSON body
PARTS_MAX = 1000  # parts of a multipart body
PART_HEADERS_BYTES_MAX = 8 << 10  # head of one part
# Of a urlencoded form: decoding its escapes holds the loop for some 0.2 s per MiB at worst. Larger
# texts and files come as multipart/form-data.
FORM_BYTES_MAX = 2 << 20
UNCOLLECTED_BYTES_MIN = 64 << 10  # JSON bodies from here on are parsed without garbage collection
INVALID_JSON = "Invalid JSON"

_decode = msgspec.json.Decoder().decode


class Body(Struct, frozen=True):
    """A parsed body.

    Attributes:
        value: The FLIN value, None without a body.
        is_form: Whether it came as a form, where every field is text.
    """

    value: Any
    is_form: bool = False


def parse_body(request: Request) -> Body:
    """Parse a body by its Content-Type.

    Raises:
        HttpFault: 400: malformed JSON, form or multipart; too deep; too many fields. 413: a
            urlencoded form of more than FORM_BYTES_MAX.
    """
    raw = request.body
    if not raw:
        return Body(None)
    header = request.header("content-type")
    essence = header.partition(";")[0].strip().lower()
    if essence == "application/json" or (essence.endswith("+json") and "/" in essence):
        return Body(_json(raw))
    if essence == "application/x-www-form-urlencoded":
        return Body(_form(raw), is_form=True)
    if essence == "multipart/form-data":
        return Body(_multipart(raw, header), is_form=True)
    if essence == "text/plain":
        return Body(raw.decode("utf-8", "replace"))
    if not essence:
        return _guess(raw)
    return Body(raw)


def _guess(raw: bytes) -> Body:
    """A body without Content-Type: JSON, else a form, else bytes."""
    try:
        return Body(_json(raw))
    except HttpFault:
        pass
    first = raw.partition(b"&")[0]
    if b"=" in first and raw.isascii() and not any(c <= 0x20 for c in raw):
        return Body(_form(raw), is_form=True)
    return Body(raw)


def _json(raw: bytes) -> Any:
    # The collector would look at a large document again and again while it grows.
    is_collecting = len(raw) >= UNCOLLECTED_BYTES_MIN and gc.isenabled()
    if is_collecting:
        gc.disable()
    try:
        value = _decode(raw)
    except (msgspec.DecodeError, ValueError, RecursionError):
        raise HttpFault(400, INVALID_JSON) from None
    finally:
        if is_collecting:
            gc.enable()
    if not _is_shallow(value):
        raise HttpFault(400, f"{INVALID_JSON}: nested deeper than {JSON_DEPTH_MAX} levels")
    return value


def _is_shallow(value: Any) -> bool:
    """Whether lists and maps nest at most JSON_DEPTH_MAX deep; walks level by level."""
    level = [value] if type(value) is dict or type(value) is list else []
    for _ in range(JSON_DEPTH_MAX):
        if not level:
            return True
        level = [
            inner
            for item in level
            for inner in (item.values() if type(item) is dict else item)
            if type(inner) is dict or type(inner) is list
        ]
    return not level


def _form(raw: bytes) -> dict[str, Any]:
    if len(raw) > FORM_BYTES_MAX:
        raise HttpFault(413, f"Invalid form: more than {FORM_BYTES_MAX} bytes")
    try:
        pairs = parse_pairs(raw.decode("latin-1"))
    except ValueError as error:
        raise HttpFault(400, f"Invalid form: {error}") from None
    return _first_of_each(pairs)


def _first_of_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A map of fields; a name sent again becomes a list of its values under `name[]` only."""
    fields: dict[str, Any] = {}
    for name, value in pairs:
        if name.endswith("[]"):
            fields.setdefault(name[:-2], []).append(value)
        else:
            fields.setdefault(name, value)
    return fields


class _Parts:
    """Collects what the multipart parser reports."""

    def __init__(self) -> None:
        self.pairs: list[tuple[str, Any]] = []
        self.is_complete = False
        self._count = 0
        self._header_bytes = 0
        self._field = bytearray()
        self._value = bytearray()
        self._headers: dict[bytes, bytes] = {}
        self._data = BytesIO()

    def begin(self) -> None:
        self._count += 1
        if self._count > PARTS_MAX:
            raise HttpFault(400, f"Invalid form: more than {PARTS_MAX} parts")
        self._headers = {}
        self._header_bytes = 0
        self._data = BytesIO()

    def header_field(self, data: bytes, start: int, end: int) -> None:
        self._field += self._limited(data[start:end])

    def header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += self._limited(data[start:end])

    def _limited(self, piece: bytes) -> bytes:
        self._header_bytes += len(piece)
        if self._header_bytes > PART_HEADERS_BYTES_MAX:
            raise HttpFault(400, "Invalid form: the head of a part is too large")
        return piece

    def header_end(self) -> None:
        self._headers.setdefault(bytes(self._field).strip().lower(), bytes(self._value).strip())
        self._field.clear()
        self._value.clear()

    def data(self, data: bytes, start: int, end: int) -> None:
        self._data.write(data[start:end])

    def part_end(self) -> None:
        from python_multipart.multipart import parse_options_header

        kind, options = parse_options_header(self._headers.get(b"content-disposition"))
        if kind != b"form-data" or b"name" not in options:
            raise HttpFault(400, "Invalid form: a part without a name")
        name = options[b"name"].decode("utf-8", "replace")
        content = self._data.getvalue()
        filename = options.get(b"filename")
        if filename is None:
            self.pairs.append((name, content.decode("utf-8", "replace")))
        elif filename or content:  # a file input left empty sends an empty name and no content
            content_type = self._headers.get(b"content-type", b"").decode("latin-1")
            shown = filename.decode("utf-8", "replace")
            self.pairs.append((name, UploadedFile(shown, content_type, content)))

    def end(self) -> None:
        self.is_complete = True


def _multipart(raw: bytes, header: str) -> dict[str, Any]:
    # Imported by the first upload, not by every start.
    from python_multipart.exceptions import FormParserError
    from python_multipart.multipart import MultipartParser, parse_options_header

    _, options = parse_options_header(header.encode("latin-1"))
    boundary = options.get(b"boundary", b"")
    if not 1 <= len(boundary) <= 70:  # RFC 2046 section 5.1.1
        raise HttpFault(400, "Invalid form: no boundary")
    parts = _Parts()
    try:
        parser = MultipartParser(
            boundary,
            {
                "on_part_begin": parts.begin,
                "on_part_data": parts.data,
                "on_part_end": parts.part_end,
                "on_header_field": parts.header_field,
                "on_header_value": parts.header_value,
                "on_header_end": parts.header_end,
                "on_end": parts.end,
            },
        )
        parser.write(raw)
        parser.finalize()
    except FormParserError:
        raise HttpFault(400, "Invalid form") from None
    if not parts.is_complete:
        raise HttpFault(400, "Invalid form: it ends too early")
    return _first_of_each(parts.pairs)
