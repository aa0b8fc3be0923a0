"""Compression of responses, and which stored form of a file a client takes.

Bodies that programs make are compressed with gzip when they are text, neither small nor huge, and
the client asked for it. Files of `public/` are never compressed while they are served: a stored
`app.js.br`, `.zst` or `.gz` beside `app.js` is sent instead.

Compressing secrets beside what an attacker chose makes their length tell about them (BREACH). The
attack needs many requests of the victim's browser that carry its cookies, which `SameSite` denies
to other sites; and responses to requests with cookies get a padding of random length, so that one
byte more or less drowns in it.

Source: RFC 9110 sections 8.4, 12.5.3, 12.5.5; RFC 1952; Abu-Ghazaleh and others, "Heal the BREACH".
"""

from __future__ import annotations

import re
import secrets
import struct
import zlib
from functools import lru_cache
from typing import Final

from flinfast.late_pattern import late_pattern
from flinfast.runtime.response import Response
from flinfast.server.head import Head

LEVEL: Final = 1  # 96 KB of JSON: 0.16 ms against 0.79 ms at level 6, a tenth larger
COMPRESSED_BYTES_MAX = 4 << 20  # larger bodies would keep a core for more than 0.1 s
PADDING_BYTES_MAX = 64  # of random length, in the file name that a gzip header may carry
FILE_CODINGS: Final = (("br", ".br"), ("zstd", ".zst"), ("gzip", ".gz"))  # smallest first

_COMPRESSIBLE: Final = late_pattern(
    r"text/(?!event-stream)[a-z0-9.+-]+|application/(?:json|javascript|xml|wasm|manifest\+json"
    r"|[a-z0-9.-]+\+(?:json|xml))|image/svg\+xml",
)
_GZIP_HEAD: Final = b"\x1f\x8b\x08\x08\x00\x00\x00\x00\x04\xff"  # with a name, no time, fastest
_VARY: Final = ("Vary", "Accept-Encoding")
_QUALITY: Final = late_pattern(r"q=(?:0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?)", re.IGNORECASE)


@lru_cache(maxsize=256)
def accepted_codings(value: str) -> frozenset[str]:
    """Content codings that an Accept-Encoding value allows; weights other than 0 count alike.

    Args:
        value: The field's value; "" accepts nothing but the plain form.
    """
    accepted: set[str] = set()
    refused: set[str] = set()
    for part in value.lower().split(","):
        coding, *parameters = (item.strip(" \t") for item in part.split(";"))
        is_refused = any(
            _QUALITY.fullmatch(item) and not item[2:].strip("0.") for item in parameters
        )
        (refused if is_refused else accepted).add("gzip" if coding == "x-gzip" else coding)
    if "*" in accepted:
        accepted |= {coding for coding, _ in FILE_CODINGS}
    return frozenset(accepted - refused - {""})


@lru_cache(maxsize=256)
def is_compressible(content_type: str) -> bool:
    """Whether bodies of a type get much smaller."""
    return _COMPRESSIBLE.fullmatch(content_type.partition(";")[0].strip().lower()) is not None


def compress(head: Head, response: Response, *, threshold: int) -> None:
    """Compress a response's body in place, if that is right for it.

    A response that could have been compressed says `Vary: Accept-Encoding` in both forms, and the
    validator of a compressed one is weak, because its bytes are not those of the plain form.

    Args:
        head: The request.
        response: With a body; left alone when the program has chosen a coding or a range.
        threshold: Bytes from which a body is compressed.
    """
    size = len(response.body)
    headers = _varying_fields(response, threshold)
    if headers is None:
        return
    if _takes_gzip(head):
        body = gzip(response.body, is_padded="cookie" in head.fields)
        if len(body) < size:
            headers = [_weak(name, value) for name, value in headers]
            headers.append(("Content-Encoding", "gzip"))
            response.body = body
    response.headers = headers


def is_due(head: Head, response: Response, *, threshold: int) -> bool:
    """Whether compress() would try to make a response smaller."""
    return (
        response.file is None
        and response.stream is None
        and _takes_gzip(head)
        and _varying_fields(response, threshold) is not None
        and not is_fresh(head, response)
    )


def vary(response: Response, *, threshold: int) -> None:
    """What compress() does for a client that takes no gzip."""
    response.headers = _varying_fields(response, threshold) or response.headers


def not_modified(response: Response, *, threshold: int) -> Response:
    """304 for a response whose body the client has, with the fields that it would have had."""
    return Response(304, _varying_fields(response, threshold) or response.headers)


def _takes_gzip(head: Head) -> bool:
    return "gzip" in accepted_codings(head.joined("accept-encoding"))


def _varying_fields(response: Response, threshold: int) -> list[tuple[str, str]] | None:
    """Fields of a response that may be compressed, with Vary; None when it may not."""
    if not threshold <= len(response.body) <= COMPRESSED_BYTES_MAX or response.status == 206:
        return None
    fields: dict[str, str] = {}
    for name, value in response.headers:
        key = name.lower()
        fields[key] = f"{fields[key]}, {value}" if key in fields else value
    if not is_compressible(fields.get("content-type", "")) or "content-encoding" in fields:
        return None
    if "no-transform" in fields.get("cache-control", "").lower():
        return None
    headers = [(name, value) for name, value in response.headers if name.lower() != "vary"]
    return [*headers, _varying(fields.get("vary", ""))]


def gzip(body: bytes, *, is_padded: bool) -> bytes:
    """A gzip member.

    Args:
        body: What to compress.
        is_padded: Whether to add 1 to PADDING_BYTES_MAX random bytes, which nobody reads.
    """
    name = b""
    if is_padded:
        name = secrets.token_hex(PADDING_BYTES_MAX // 2).encode()
        name = name[: 1 + secrets.randbelow(PADDING_BYTES_MAX)]
    packer = zlib.compressobj(LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
    parts = (
        _GZIP_HEAD,
        name,
        b"\0",
        packer.compress(body),
        packer.flush(),
        struct.pack("<LL", zlib.crc32(body), len(body)),
    )
    return b"".join(parts)


def _varying(value: str) -> tuple[str, str]:
    """The Vary field with Accept-Encoding in it."""
    if not value:
        return _VARY
    names = [name.strip().lower() for name in value.split(",")]
    if "*" in names or "accept-encoding" in names:
        return "Vary", value
    return "Vary", f"{value}, Accept-Encoding"


def _weak(name: str, value: str) -> tuple[str, str]:
    if name.lower() == "etag" and not value.startswith("W/"):
        return name, f"W/{value}"
    return name, value


def is_fresh(head: Head, response: Response) -> bool:
    """Whether a client has already what a program answered, going by the program's ETag.

    Source: RFC 9110 section 13.1.2; comparison is weak.
    """
    if head.method not in ("GET", "HEAD") or response.status != 200:
        return False
    etag = next((value for name, value in response.headers if name.lower() == "etag"), "")
    if not etag:
        return False
    wanted = etag.removeprefix("W/")
    given = head.joined("if-none-match")
    return given.strip() == "*" or any(
        tag.strip(" \t").removeprefix("W/") == wanted for tag in given.split(",")
    )
