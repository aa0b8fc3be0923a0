"""An uploaded file: the FLIN type `file`.

Uploads live in memory, inside the body that the server has already limited
(`server.body_size_max`), so there is nothing to clean up when a request ends early.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flinfast.errors import RuntimeFault

NAME_CHARS_MAX = 255  # what common file systems hold


class UploadedFile:
    """One file part of a multipart body.

    Attributes:
        name: File name as the client gave it, without folders, at most NAME_CHARS_MAX characters.
        content_type: As the client declared it, lower-case, without parameters.
        data: The content.
    """

    __slots__ = ("content_type", "data", "name")

    def __init__(self, name: str, content_type: str, data: bytes) -> None:
        self.name = clean_name(name)
        self.content_type = content_type.partition(";")[0].strip().lower()
        self.data = data

    @property
    def size(self) -> int:
        """Bytes of content."""
        return len(self.data)

    @property
    def extension(self) -> str:
        """Lower-case extension with its dot, or ""."""
        stem, dot, suffix = self.name.rpartition(".")
        return f".{suffix.lower()}" if dot and stem and suffix else ""

    def flin_get(self, name: str) -> Any:
        """`name`, `size`, `content_type` (also `type`), `extension` or `bytes`."""
        if name in ("name", "size", "content_type", "extension"):
            return getattr(self, name)
        if name == "type":
            return self.content_type
        if name == "bytes":
            return self.data
        return None

    def flin_set(self, name: str, value: Any) -> None:
        """Files are read-only."""
        raise RuntimeFault("an uploaded file cannot be changed", code="FL507")

    def flin_call(self, name: str, args: tuple[Any, ...], named: Mapping[str, Any]) -> Any:
        """Files have no methods of their own."""
        raise RuntimeFault(f"a file has no method `{name[:40]}`", code="FL505")

    def to_map(self) -> dict[str, Any]:
        """Name, size and type, for JSON and logs."""
        return {"name": self.name, "size": self.size, "content_type": self.content_type}

    def __repr__(self) -> str:
        return f"UploadedFile({self.name!r}, {self.size} bytes)"


def clean_name(name: str) -> str:
    """A client's file name without folders and control characters, "" when nothing is left."""
    name = name.replace("\\", "/").rpartition("/")[2]
    name = "".join(c for c in name if c.isprintable())
    return "" if name in (".", "..") else name[-NAME_CHARS_MAX:]
