"""A hub for tests that need none: used only where the compiled one has not been built."""

import importlib.util
import sys
import types

if importlib.util.find_spec("flinfast.native.hub") is None:
    module = types.ModuleType("flinfast.native.hub")

    class Connection:
        __slots__ = ()
        connection_id = "ws_0"
        rooms: list[str] = []  # noqa: RUF012
        opened_ms = 0
        protocol = ""
        close_code = 0
        close_reason = ""

    module.Connection = Connection  # type: ignore[attr-defined]
    module.Endpoint = object  # type: ignore[attr-defined]
    module.Hub = object  # type: ignore[attr-defined]
    sys.modules["flinfast.native.hub"] = module
