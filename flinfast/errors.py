"""The exception tree of flinfast; every layer may import it, it imports nothing.

FlinError
├── CompileError           diagnostics about FLIN source           (exit_code 1)
├── ConfigError            flinfast.toml, FLIN_* or a flag          (exit_code 1)
├── BuildError             compiled modules are not those of the sources; an ImportError
├── ProtocolError          RFC 6455 was broken                      (close_code)
│   ├── LocalProtocolError     ... by us: a bug, or bad use of the API
│   └── RemoteProtocolError    ... by the peer
├── RuntimeFault           a FLIN handler failed                    (code, status, place)
│   ├── ValidationFault        field errors on save or on request   (status 400, fields)
│   ├── UniqueFault            a @unique value exists already       (status 409, fields)
│   └── ConflictFault          the entity changed since it was read (status 409)
└── StoreError             the database cannot do what it was asked
    ├── SchemaError            the stored schema needs a decision   (plan)
    └── DurabilityError        a write could not be made durable
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


class FlinError(Exception):
    """Base of every exception raised by flinfast.

    Attributes:
        exit_code: What a command exits with when it ends in this error.
    """

    exit_code: int = 1


class CompileError(FlinError):
    """FLIN source has faults.

    Attributes:
        diagnostics: One `flinfast.lang.diagnostic.Diagnostic` per fault, in source order.
    """

    def __init__(self, diagnostics: Sequence[Any]) -> None:
        super().__init__(f"{len(diagnostics)} fault(s) in FLIN source")
        self.diagnostics = tuple(diagnostics)


class ConfigError(FlinError):
    """A setting is unknown or has a bad value.

    Attributes:
        path: Where the setting stands, such as `ws.max_message` (or "").
        hint: What to do about it (or "").
    """

    def __init__(self, message: str, *, path: str = "", hint: str = "") -> None:
        super().__init__(message)
        self.path = path
        self.hint = hint


class BuildError(FlinError, ImportError):
    """The compiled modules of a source folder are not those of its sources.

    Attributes:
        hint: What to do about it.
    """

    def __init__(self, message: str, *, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


class ProtocolError(FlinError):
    """RFC 6455 was broken.

    Attributes:
        close_code: Close code that tells the peer why (RFC 6455 section 7.4.1).
    """

    def __init__(self, message: str, *, close_code: int = 1002) -> None:
        super().__init__(message)
        self.close_code = close_code


class LocalProtocolError(ProtocolError):
    """We were asked to send something RFC 6455 forbids."""


class RemoteProtocolError(ProtocolError):
    """The peer sent something RFC 6455 forbids."""


class RuntimeFault(FlinError):
    """A FLIN handler failed while it ran.

    Attributes:
        code: Diagnostic code, `FL5xx`; `flinfast explain` has a page for it.
        status: HTTP status a `route` handler answers with.
        hint: What to do about it (or "").
        path: FLIN file, set when the fault leaves the handler (or "").
        line: 1-based line in `path` (or 0).
    """

    status = 500

    def __init__(self, message: str, *, code: str = "FL500", hint: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.hint = hint
        self.path = ""
        self.line = 0


class ValidationFault(RuntimeFault):
    """One or more fields are not valid.

    Attributes:
        fields: Field name to message, such as `{"email": "must be a valid email"}`.
    """

    status = 400

    def __init__(self, fields: Mapping[str, str], *, code: str = "FL530") -> None:
        text = ", ".join(f"{name} {message}" for name, message in fields.items())
        super().__init__(f"validation failed: {text}", code=code)
        self.fields = dict(fields)


class UniqueFault(RuntimeFault):
    """A `@unique` field's value belongs to another live record.

    Attributes:
        fields: Field name to message.
    """

    status = 409

    def __init__(self, fields: Mapping[str, str]) -> None:
        super().__init__(f"already taken: {', '.join(fields)}", code="FL531")
        self.fields = dict(fields)


class ConflictFault(RuntimeFault):
    """The entity was changed by someone else since this handler read it."""

    status = 409

    def __init__(self, message: str) -> None:
        super().__init__(message, code="FL532")


class StoreError(FlinError):
    """The database cannot do what it was asked to do."""


class SchemaError(StoreError):
    """The stored schema differs from the entities in a way that could lose data.

    Attributes:
        plan: One sentence per step that needs a decision.
        command: The command to run (or "").
    """

    def __init__(self, message: str, *, plan: Sequence[str] = (), command: str = "") -> None:
        super().__init__(message)
        self.plan = tuple(plan)
        self.command = command


class DurabilityError(StoreError):
    """Committed writes could not be synced to disk: nothing is acknowledged any more."""
