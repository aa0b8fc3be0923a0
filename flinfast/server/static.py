"""Files of `public/`: conditional and partial GET, nothing outside the folder.

A path is decoded once and split; hidden names, `.` and `..`, empty segments, backslashes and NUL
are never looked up. What remains is resolved, has to lie below the resolved folder (a symlink may
not lead out) and has to be a regular file when it is open. The resolved path is walked folder by
folder without following links, so a link made meanwhile leads nowhere. There are no directory
listings.

Reads are small (a slow disk's pauses are short) and come from the page cache, so they happen in the
loop, PIECE_BYTES at a time.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Final
from urllib.parse import unquote_to_bytes

from msgspec import Struct

from flinfast.late_pattern import late_pattern
from flinfast.runtime.response import Response
from flinfast.server.compress import FILE_CODINGS, accepted_codings, is_compressible
from flinfast.server.head import Head
from flinfast.server.http_date import http_date, parse_http_date
from flinfast.server.outflow import PIECE_BYTES

PATH_BYTES_MAX = 4096  # PATH_MAX
INDEX_FILE = "index.html"
_YEAR_S = 31_536_000
_FOLDER_FLAGS: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_FILE_FLAGS: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC

# Frozen: the answers of `mimetypes` differ from host to host.
MIME_TYPES: Final[Mapping[str, str]] = {
    ".avif": "image/avif",
    ".bin": "application/octet-stream",
    ".bmp": "image/bmp",
    ".css": "text/css; charset=utf-8",
    ".csv": "text/csv; charset=utf-8",
    ".gif": "image/gif",
    ".gz": "application/gzip",
    ".htm": "text/html; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".ico": "image/x-icon",
    ".ics": "text/calendar; charset=utf-8",
    ".jpeg": "image/jpeg",
    ".jpg": "image/jpeg",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json; charset=utf-8",
    ".m4a": "audio/mp4",
    ".map": "application/json; charset=utf-8",
    ".md": "text/markdown; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".mp3": "audio/mpeg",
    ".mp4": "video/mp4",
    ".oga": "audio/ogg",
    ".ogg": "audio/ogg",
    ".ogv": "video/ogg",
    ".otf": "font/otf",
    ".pdf": "application/pdf",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".tar": "application/x-tar",
    ".ttf": "font/ttf",
    ".txt": "text/plain; charset=utf-8",
    ".wasm": "application/wasm",
    ".wav": "audio/wav",
    ".webm": "video/webm",
    ".webmanifest": "application/manifest+json",
    ".webp": "image/webp",
    ".woff": "font/woff",
    ".woff2": "font/woff2",
    ".xml": "application/xml; charset=utf-8",
    ".zip": "application/zip",
}
UNKNOWN_TYPE = "application/octet-stream"

# `app.3f9c2b7d.js`: a build tool put a content hash into the name, so it never changes.
_HASHED_NAME: Final = late_pattern(r"[.-][0-9a-f]{8,64}\.[a-z0-9]+\Z")
_RANGE: Final = late_pattern(r"bytes=([0-9]{0,18})-([0-9]{0,18})\Z")


class OpenFile(Struct):
    """An open regular file and the part of it to send; whoever holds it closes it.

    Attributes:
        fd: Open for reading.
        offset: Position of the next byte to send.
        left: Bytes still to send.
    """

    fd: int
    offset: int
    left: int

    def read(self) -> bytes:
        """The next piece, at most PIECE_BYTES; empty when the file ended too early.

        Raises:
            OSError: The disk failed.
        """
        data = os.pread(self.fd, min(self.left, PIECE_BYTES), self.offset)
        self.offset += len(data)
        self.left -= len(data)
        return data

    def close(self) -> None:
        """Give the descriptor back; idempotent."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


class StaticFiles:
    """The files below one folder.

    Args:
        folder: Such as `ROOT/public`; need not exist.
        caches_hashed: Let browsers keep files with a hash in their name forever (production).
        root_path: Prefix that redirects need in front of the path, or "".
        sends_stored: Send `app.js.br`, `.zst` or `.gz` for `app.js` to clients that take it.
    """

    def __init__(
        self, folder: Path, *, caches_hashed: bool, root_path: str = "", sends_stored: bool = True
    ) -> None:
        self._root_path = root_path
        self._sends_stored = sends_stored
        self._folder = os.path.realpath(folder)
        self._caches_hashed = caches_hashed

    def serve(self, head: Head, path: str) -> tuple[Response, OpenFile | None] | None:
        """Answer a request from the folder.

        Args:
            head: The request; only GET and HEAD find anything.
            path: Its path below the root path, percent-encoded.

        Returns:
            Response and the file to send as its body, or None when there is no such file.
        """
        if head.method not in ("GET", "HEAD"):
            return None
        relative = decoded_path(path)
        if relative is None:
            return None
        name = os.path.join(self._folder, relative)
        try:
            if os.path.isdir(name):
                name = os.path.join(name, INDEX_FILE)
                if not path.endswith("/"):
                    # Relative links of the page need the slash. decoded_path() refused `//host`.
                    return self._to_folder(head, path, name)
            elif path.endswith("/"):
                return None
            file = self._open(name)
        except (OSError, ValueError):
            return None
        if file is None:
            return None
        cache = "no-cache"
        if self._caches_hashed and _HASHED_NAME.search(name):
            cache = f"public, max-age={_YEAR_S}, immutable"
        fields = [("Cache-Control", cache)]
        if self._sends_stored and is_compressible(type_of(name)):
            fields.append(("Vary", "Accept-Encoding"))
            stored = self._stored_form(head, name, file)
            if stored is not None:
                os.close(file)
                coding, file = stored
                fields += [("Content-Encoding", coding), ("Content-Type", type_of(name))]
        return answer(head, file, fields, name)

    def _stored_form(self, head: Head, name: str, plain: int) -> tuple[str, int] | None:
        """Coding and descriptor of a compressed file beside a plain one, if the client takes it.

        A file older than the plain one is what somebody forgot to make anew.
        """
        accepted = accepted_codings(head.joined("accept-encoding"))
        for coding, suffix in FILE_CODINGS:
            if coding not in accepted:
                continue
            try:
                fd = self._open(name + suffix)
            except OSError:  # the plain form is there, so it is sent
                fd = None
            if fd is None:
                continue
            if os.fstat(fd).st_mtime_ns >= os.fstat(plain).st_mtime_ns:
                return coding, fd
            os.close(fd)
        return None

    def _open(self, name: str) -> int | None:
        real = os.path.realpath(name)
        if not real.startswith(self._folder + os.sep):
            return None
        *folders, last = real[len(self._folder) + 1 :].split(os.sep)
        if not folders:
            return open_regular(real)
        parent = os.open(self._folder, _FOLDER_FLAGS)
        try:
            for folder in folders:
                inner = os.open(folder, _FOLDER_FLAGS | os.O_NOFOLLOW, dir_fd=parent)
                os.close(parent)
                parent = inner
            return open_regular(last, parent)
        finally:
            os.close(parent)

    def _to_folder(self, head: Head, path: str, index: str) -> tuple[Response, None] | None:
        if not os.path.isfile(index):
            return None
        query = f"?{head.query_string}" if head.query_string else ""
        return Response(308, [("Location", f"{self._root_path}{path}/{query}")]), None


def decoded_path(path: str) -> str | None:
    """A request path as a relative file path, None when it must not be looked up.

    Args:
        path: Percent-encoded ASCII, starts with `/`.
    """
    if len(path) > PATH_BYTES_MAX:
        return None
    raw = unquote_to_bytes(path)
    if b"\0" in raw or b"\\" in raw:
        return None
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        return None
    parts = text[1:].split("/")
    if parts[-1] == "":
        parts.pop()
    # An encoded slash would make two segments of one; the router keeps it inside, so do we.
    if "%2f" in path or "%2F" in path:
        return None
    if any(part == "" or part.startswith(".") for part in parts):
        return None
    return "/".join(parts)


def open_regular(name: str, folder: int | None = None) -> int | None:
    """A descriptor of a regular file, None when it is something else.

    Args:
        name: Its path, relative to `folder` if there is one.
        folder: Descriptor of a folder.

    Raises:
        OSError: It cannot be opened.
    """
    try:
        # O_NONBLOCK: opening a FIFO must not wait for its writer.
        fd = os.open(name, _FILE_FLAGS, dir_fd=folder)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EACCES, errno.ENXIO):
            return None
        raise
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        return None
    return fd


def type_of(name: str) -> str:
    """Content type of a file name."""
    return MIME_TYPES.get(os.path.splitext(name)[1].lower(), UNKNOWN_TYPE)


def answer(
    head: Head, fd: int, headers: list[tuple[str, str]], name: str
) -> tuple[Response, OpenFile | None]:
    """The response for an open file: 200, 206, 304, 412 or 416.

    Args:
        head: The request.
        fd: The file; closed when the response has no body.
        headers: More fields; Content-Type is added when missing.
        name: File name, for its type.

    Source: RFC 9110 sections 13.2.2 (order of conditions) and 14.2 (ranges).
    """
    info = os.fstat(fd)
    file = OpenFile(fd, 0, info.st_size)
    coding = next((f"-{value}" for key, value in headers if key == "Content-Encoding"), "")
    etag = f'"{info.st_mtime_ns:x}-{info.st_size:x}{coding}"'
    modified_s = int(info.st_mtime)
    fields = [*headers, ("ETag", etag), ("Last-Modified", http_date(modified_s))]
    condition = _condition(head, etag, modified_s)
    if condition:
        file.close()
        return Response(condition, fields), None
    fields.append(("Accept-Ranges", "bytes"))
    span = _range(head, etag, modified_s, info.st_size)
    if span is not None and span[0] >= span[1]:
        file.close()
        return Response(416, [*fields, ("Content-Range", f"bytes */{info.st_size}")]), None
    if not any(key.lower() == "content-type" for key, _ in fields):
        fields.append(("Content-Type", type_of(name)))
    if span is None:
        return Response(200, fields), file
    start, end = span
    file.offset, file.left = start, end - start
    fields.append(("Content-Range", f"bytes {start}-{end - 1}/{info.st_size}"))
    return Response(206, fields), file


def opened(head: Head, response: Response) -> tuple[Response, OpenFile | None] | None:
    """The response that names a file, with the file opened; None when there is none.

    A handler's status other than 200 is kept.
    """
    path = str(response.file)
    fd = open_regular(path)
    if fd is None:
        return None
    answered, file = answer(head, fd, response.headers, path)
    if response.status != 200 and file is not None and answered.status == 200:
        answered.status = response.status
    return answered, file


def _condition(head: Head, etag: str, modified_s: int) -> int:
    """304 or 412 when the request's conditions say so, else 0."""
    fields = head.fields
    if "if-match" in fields:
        if not _lists_tag(head.joined("if-match"), etag, weak=False):
            return 412
    elif "if-unmodified-since" in fields:
        limit = parse_http_date(fields["if-unmodified-since"])
        if limit is not None and modified_s > limit:
            return 412
    if "if-none-match" in fields:
        return 304 if _lists_tag(head.joined("if-none-match"), etag, weak=True) else 0
    if "if-modified-since" in fields:
        since = parse_http_date(fields["if-modified-since"])
        if since is not None and modified_s <= since:
            return 304
    return 0


def _lists_tag(value: str, etag: str, *, weak: bool) -> bool:
    for part in value.split(","):
        tag = part.strip(" \t")
        if tag == "*" or tag == etag or (weak and tag.removeprefix("W/") == etag):
            return True
    return False


def _range(head: Head, etag: str, modified_s: int, size: int) -> tuple[int, int] | None:
    """Start and end (exclusive) of the one range asked for; None: send everything.

    An empty span means that the range cannot be satisfied.
    """
    text = head.fields.get("range")
    if text is None or head.method != "GET":
        return None
    required = head.fields.get("if-range")
    if required is not None and required not in (etag, http_date(modified_s)):
        return None
    found = _RANGE.match(text)
    if found is None or not (found[1] or found[2]):
        return None  # several ranges, another unit, or nonsense: the whole file is a right answer
    if not found[1]:
        suffix = int(found[2])
        return (max(0, size - suffix), size) if suffix else (size, size)
    start = int(found[1])
    end = min(int(found[2]) + 1, size) if found[2] else size
    if found[2] and int(found[2]) < start:
        return None  # RFC 9110 section 14.1.1: invalid, so ignored
    return start, end
