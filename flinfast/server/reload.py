"""SIGHUP: read certificates and program again while everything goes on.

What fails stays as it was: the last good program serves on, and so does the last good certificate.
Settings are those the process started with. Connections keep their program's endpoints, whose
handlers are swapped; TLS connections keep the certificate they began with.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from flinfast.errors import CompileError, ConfigError
from flinfast.server.listen import load_certificate, tls_context
from flinfast.server.log import Log
from flinfast.settings import ServerSettings

if TYPE_CHECKING:
    from flinfast.server.site import Application

FAULTS_MAX = 20  # lines about the faults of one program; `flinfast check` lists them all


def reload_program(app: Application, log: Log, done: Callable[[], None]) -> None:
    """Load the program again while the one that runs serves on; `done` is called at the end."""
    began = time.perf_counter()

    def reloaded(error: BaseException | None) -> None:
        if error is None:
            log.info("program reloaded", ms=round((time.perf_counter() - began) * 1000))
        else:
            _tell(error, log)
        done()

    app.reload_apart(reloaded)


def _tell(error: BaseException, log: Log) -> None:
    text = "program not reloaded, the last good one serves on"
    if isinstance(error, CompileError):
        for diagnostic in error.diagnostics[:FAULTS_MAX]:
            line = diagnostic.source.line_of(diagnostic.span.start)
            place = f"{diagnostic.source.path}:{line}"
            log("error", diagnostic.message, {"code": diagnostic.code}, place)
        log.error(text, faults=len(error.diagnostics))
    else:
        log.error(text, reason=str(error))


def reload_certificate(context: ssl.SSLContext, settings: ServerSettings, log: Log) -> bool:
    """Read key and certificate again; whether new connections get them.

    They are tried in a context of their own first: one that failed halfway would be left with a
    key that does not fit.
    """
    try:
        tls_context(settings)
        load_certificate(context, settings)
    except ConfigError as error:
        log.error("certificate not reloaded, the last good one serves on", reason=str(error))
        return False
    log.info("certificate reloaded", file=settings.ssl_certfile)
    return True
