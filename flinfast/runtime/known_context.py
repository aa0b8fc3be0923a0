"""What the handler of a request sees that came before, byte by byte."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from flinfast.runtime.context import RequestContext

if TYPE_CHECKING:
    from flinfast.runtime.request import Request
    from flinfast.runtime.services import Services


class KnownContext(RequestContext):
    """The context of such a request: even the request is made when it is looked at.

    Args:
        services: What the program is bound to.
        make_request: Gives the request, with an id of its own.
        names: Path parameters.
        values: Their values.

    Attributes:
        is_unseen: Whether no part of it was looked at; then it may serve the next request as well.
    """

    __slots__ = ("_make_request", "_names", "_values", "is_unseen")

    def __init__(
        self,
        services: Services,
        make_request: Callable[[], Request],
        names: tuple[str, ...],
        values: tuple[str, ...],
    ) -> None:
        self.services = services
        self.is_upgrade = False
        self.opened_session = None
        self.opened_response = None
        self.is_unseen = True
        self._make_request = make_request
        self._names = names
        self._values = values

    def __getattr__(self, name: str) -> Any:
        self.is_unseen = False
        if name == "raw":
            self.raw = raw = self._make_request()
            return raw
        if name == "params":
            self.params = params = dict(zip(self._names, self._values, strict=True))
            return params
        return super().__getattr__(name)
