"""The global functions of FLIN, one file per area; importing this package registers them all.

Nothing else belongs here: how builtins are declared and found is in `runtime.registry`.
"""

from flinfast.runtime.builtins import (
    bytes,
    cipher,
    file,
    http,
    list,
    log,
    map,
    number,
    process,
    response,
    security,
    stream,
    test,
    text,
    time,
    totp,
    validate,
    value,
    ws,
)
from flinfast.runtime.registry import (
    METHODS,
    PROPERTIES,
    REGISTRY,
    BoundBuiltins,
    RegisteredBuiltin,
    builtin,
    method,
    specs,
)

AREAS = (
    text,
    list,
    map,
    number,
    time,
    bytes,
    value,
    validate,
    ws,
    response,
    stream,
    http,
    file,
    security,
    cipher,
    totp,
    log,
    process,
    test,
)

__all__ = [
    "AREAS",
    "METHODS",
    "PROPERTIES",
    "REGISTRY",
    "BoundBuiltins",
    "RegisteredBuiltin",
    "builtin",
    "method",
    "specs",
]
