"""File builtins (FLIN reference 8.6): everything stays below the application root.

Files are part of the handler's transaction: one that fails leaves no file and deletes none. A path
that leads outside is fault FL540.
"""

from __future__ import annotations

from typing import Final

from flinfast.errors import RuntimeFault
from flinfast.runtime.kinds import argument_fault
from flinfast.runtime.registry import Value, builtin
from flinfast.runtime.services import Services
from flinfast.runtime.upload import UploadedFile
from flinfast.settings import PUBLIC_FOLDER

_EXTENSION_CHARS_MAX: Final = 10
_UNKNOWN: Final = ".bin"
# What a browser would run as code of our site when it is served from public/.
_ACTIVE: Final = frozenset(
    {".html", ".htm", ".xhtml", ".shtml", ".svg", ".xml", ".js", ".mjs", ".css", ".wasm", ".pdf"}
)


@builtin(reads=True)  # so that its handler is a transaction; so for the two others
def save_binary(services: Services, data: bytes, folder: str) -> str:
    """Save bytes under a new name in `folder` and give the path, relative to the project root."""
    return services.folder.save("save_binary", data, folder, _UNKNOWN)


@builtin(reads=True)
def save_file(services: Services, file: Value, folder: str) -> str:
    """Save an uploaded file under a new name in `folder` and give its path."""
    if not isinstance(file, UploadedFile):
        raise argument_fault("save_file", 1, "file", file)
    is_served = folder.lstrip("./").lower().startswith(PUBLIC_FOLDER)
    extension = _extension(file)
    if is_served and extension in _ACTIVE:
        extension = _UNKNOWN
    return services.folder.save("save_file", file.data, folder, extension)


@builtin(result="text?")
def read_file(services: Services, path: str) -> Value:
    """Read a file below the project root as UTF-8 text; none when there is no such file."""
    raw = services.folder.read("read_file", path)
    if raw is None:
        return None
    try:
        return raw.decode()
    except UnicodeDecodeError:
        raise RuntimeFault(
            "`read_file`: the file is not UTF-8 text", code="FL541", hint="use `read_binary`"
        ) from None


@builtin(result="bytes?")
def read_binary(services: Services, path: str) -> Value:
    """Read a file below the project root as bytes; none when there is no such file."""
    return services.folder.read("read_binary", path)


@builtin(reads=True)
def delete_file(services: Services, path: str) -> bool:
    """Delete a file below the project root; tell whether there was one."""
    return services.folder.delete("delete_file", path)


@builtin()
def file_exists(services: Services, path: str) -> bool:
    """Tell whether there is such a file below the project root."""
    return services.folder.exists("file_exists", path)


def _extension(file: UploadedFile) -> str:
    """The client's extension when it is short and plain, else _UNKNOWN."""
    extension = file.extension
    plain = extension[1:].isascii() and extension[1:].isalnum()
    return extension if plain and len(extension) <= _EXTENSION_CHARS_MAX + 1 else _UNKNOWN
