"""Pages that follow the source: what `flinfast dev` adds to a site.

Every HTML page gets a script that opens a WebSocket to us, over which we say that something has
changed, or what is wrong with the program. Nothing of this exists in `flinfast serve`.

The socket shows source lines, so a page of another site must not open it: the Origin has to be our
own, and the Host a name that only this machine can mean (else a name could be pointed at it).
"""

from __future__ import annotations

import ipaddress
import os
import re
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from flinfast.native.hub import Connection, Endpoint
from flinfast.runtime.app import Upgrade
from flinfast.runtime.origin import is_allowed
from flinfast.runtime.request import Request
from flinfast.runtime.response import Response
from flinfast.server.site import SCRIPT_PATH, SOCKET_PATH, Site
from flinfast.server.static import OpenFile

PAGE_BYTES_MAX = 8 << 20  # larger files are no pages that a person edits
FAULT_CHARS_MAX = 100_000

_SCRIPT_FILE: Final = Path(__file__).with_name("assets") / "live.js"
_ROOM: Final = "/_flin/live"
_BODY_END: Final = re.compile(rb"</body\s*>", re.IGNORECASE)
_PAGE_END: Final = re.compile(rb"</html\s*>", re.IGNORECASE)


class LiveConnection(Connection):
    """A page's connection; like every connection it knows its path."""

    path = SOCKET_PATH


class LivePages:
    """The open pages of a site under development.

    Args:
        site: Whose pages.

    Attributes:
        version: Grows with every change that a page has to be loaded again for.
    """

    def __init__(self, site: Site) -> None:
        self.version = 0
        self._site = site
        self._run = secrets.token_hex(4)  # a restarted server is another run
        self._fault = ""
        self._script = _SCRIPT_FILE.read_bytes()
        self._tag = (
            f'<script src="{site.settings.server.root_path}{SCRIPT_PATH}"></script>'.encode()
        )
        self._endpoint = Endpoint(
            path=SOCKET_PATH, on_connect=self._opened, direct=("connect", "message", "close")
        )

    # --- what has happened ----------------------------------------

    def reload(self) -> None:
        """Pages and program have changed: load the pages again."""
        self._fault = ""
        self.version += 1
        self._tell("page")

    def restyle(self) -> None:
        """Only style sheets have changed."""
        self._tell("styles")

    def show_fault(self, text: str) -> None:
        """The program cannot be used: say why, over every page."""
        self._fault = text[:FAULT_CHARS_MAX]
        self._tell("fault")

    def _state(self, change: str) -> dict[str, Any]:
        return {
            "run": self._run,
            "version": self.version,
            "fault": self._fault,
            "change": change,
        }

    def _tell(self, change: str) -> None:
        hub = self._site.hub
        hub.begin(None)
        try:
            hub.broadcast(_ROOM, self._state(change))
        except BaseException:
            hub.rollback()  # an open log would stop every handler
            raise
        hub.commit()

    def _opened(self, connection: Connection) -> None:
        hub = self._site.hub
        hub.join(connection, _ROOM)
        hub.send(connection.connection_id, self._state(""))

    # --- requests ----------------------------------------

    def script(self) -> Response:
        """The script of all pages."""
        fields = [("Content-Type", "text/javascript; charset=utf-8"), ("Cache-Control", "no-store")]
        return Response(200, fields, self._script)

    def upgrade(
        self,
        request: Request,
        accept: Callable[[Upgrade], None],
        reject: Callable[[Response], None],
    ) -> None:
        """Open a page's socket."""
        if not is_allowed(request, ()) or not is_local_name(request.host):
            reject(self._site.error(403, "Origin not allowed"))
            return
        accept(Upgrade(self._endpoint, LiveConnection(), []))  # type: ignore[arg-type]

    def with_script(self, response: Response) -> Response:
        """A response whose page loads the script."""
        if not response.body or not _is_page(response) or self._tag in response.body:
            return response
        fields = [
            (name, value)
            for name, value in response.headers
            if name.lower() not in ("etag", "last-modified", "cache-control", "accept-ranges")
        ]
        end = _end_of(response.body)
        body = response.body[:end] + self._tag + response.body[end:]
        return Response(response.status, [*fields, ("Cache-Control", "no-store")], body)

    def with_script_in_file(
        self, response: Response, file: OpenFile | None
    ) -> tuple[Response, OpenFile | None]:
        """A file's response, with the script when it is a whole page."""
        is_whole = file is not None and response.status == 200 and file.left <= PAGE_BYTES_MAX
        is_plain = not any(name.lower() == "content-encoding" for name, _ in response.headers)
        if file is None or not is_whole or not is_plain or not _is_page(response):
            return response, file
        body = os.pread(file.fd, file.left, file.offset)
        file.close()
        return self.with_script(Response(200, response.headers, body)), None


def _is_page(response: Response) -> bool:
    return any(
        name.lower() == "content-type" and value.lower().startswith("text/html")
        for name, value in response.headers
    )


def _end_of(page: bytes) -> int:
    """Where a page's body ends: a script of the page may hold the text of another one."""
    for end in (_BODY_END, _PAGE_END):
        found = [match.start() for match in end.finditer(page)]
        if found:
            return found[-1]
    return len(page)


def is_local_name(host: str) -> bool:
    """Whether a Host names this machine in a way that nobody else's DNS can give.

    Args:
        host: `name`, `name:port`, `[address]:port`.
    """
    name = host.rpartition(":")[0] if not host.endswith("]") and ":" in host else host
    name = name.strip("[]").rstrip(".").lower()
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
