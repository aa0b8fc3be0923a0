"""The global functions of FLIN, one file per area; importing this package registers them all.

Nothing else belongs here: how builtins are declared and found is in `registry`.
"""

from flinfast.runtime.builtins import log, text, value, ws
from flinfast.runtime.builtins.registry import (
    METHODS,
    PROPERTIES,
    REGISTRY,
    BoundBuiltins,
    RegisteredBuiltin,
    builtin,
    public_builtins,
    specs,
)

__all__ = [
    "METHODS",
    "PROPERTIES",
    "REGISTRY",
    "BoundBuiltins",
    "RegisteredBuiltin",
    "builtin",
    "log",
    "public_builtins",
    "specs",
    "text",
    "value",
    "ws",
]
