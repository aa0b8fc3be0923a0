"""Paths to routes: what a file's path means, and which file answers a request.

A request path is split at `/` first and each segment is percent-decoded once, so an encoded slash
stays inside its segment. Per segment a static name wins over `[p]`, which wins over `[...p]`; when
a deeper branch fails the search goes back. Paths without parameters are found in one dictionary.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Generic, TypeVar
from urllib.parse import unquote_to_bytes

from msgspec import Struct

from flinfast.late_pattern import late_pattern
from flinfast.runtime.fault import HttpFault

P = TypeVar("P")

SEGMENTS_MAX = 128  # deeper paths are answered 404 without a search
_BAD_ESCAPE = late_pattern(r"%(?![0-9A-Fa-f]{2})")
# Paths whose segments read the same decoded: no escape, no dot, nothing that could be refused.
_SIMPLE = late_pattern(r"[/A-Za-z0-9_~!$&'()*+,;=:@-]*")
_CONTROL = late_pattern(r"[\x00-\x1f\x7f]")


class BadPath(HttpFault):
    """The request path is malformed or tries to leave its tree; answered with 400."""

    def __init__(self) -> None:
        super().__init__(400, "Bad Request")


class RouteNameError(ValueError):
    """A file or folder name under app/ has no meaning as a path."""


class Segment(Struct, frozen=True):
    """One part of a route path.

    Attributes:
        kind: "static", "one" (`[p]`) or "rest" (`[...p]`).
        name: The text to match, or the parameter's name.
    """

    kind: str
    name: str

    def __str__(self) -> str:
        return {"static": self.name, "one": f":{self.name}", "rest": f"*{self.name}"}[self.kind]


class Pattern(Struct, frozen=True):
    """A route path, such as `/api/orders/:id`."""

    segments: tuple[Segment, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Parameter names in order."""
        return tuple(s.name for s in self.segments if s.kind != "static")

    @property
    def shape(self) -> tuple[str, ...]:
        """Equal for patterns that match the same paths, whatever their parameters are called."""
        return tuple("s" + s.name if s.kind == "static" else s.kind for s in self.segments)

    def __str__(self) -> str:
        return "/" + "/".join(map(str, self.segments))


def pattern_of_file(path: str) -> Pattern | None:
    """The route path of a file, or None when it is not a route (a leading `_`).

    Args:
        path: Relative to app/, with forward slashes, such as `api/orders/[id].flin`.

    Raises:
        RouteNameError: A bracket form other than `[p]` and `[...p]`, a catch-all that is not last,
            or one parameter name used twice.
    """
    parts = path.removesuffix(".flin").split("/")
    if any(part.startswith("_") for part in parts):
        return None
    if parts[-1] == "index":
        parts.pop()
    return _pattern(parts)


def pattern_of_text(path: str) -> Pattern:
    """The pattern of a path operand, such as `/products/[id]` or `/products/:id`.

    Raises:
        RouteNameError: As pattern_of_file().
    """
    parts = [part for part in path.split("/") if part]
    return _pattern([f"[{part[1:]}]" if part.startswith(":") else part for part in parts])


def _is_group(part: str) -> bool:
    """Whether it is `(name)`, which only files have."""
    inner = part[1:-1]
    return part == f"({inner})" and inner != "" and "(" not in inner and ")" not in inner


def _parameter_of(part: str) -> tuple[str, str]:
    """Dots and name of `[name]` or `[...name]`; no name if it is anything else."""
    inner = part[1:-1]
    name = inner.removeprefix("...")
    if part != f"[{inner}]" or not name.isascii() or not name.isidentifier():
        return "", ""
    return inner.removesuffix(name), name


def _pattern(parts: list[str]) -> Pattern:
    segments: list[Segment] = []
    for part in parts:
        if _is_group(part):
            continue
        dots, name = _parameter_of(part)
        if name:
            segments.append(Segment("rest" if dots else "one", name))
        elif "[" in part or "]" in part or not part:
            raise RouteNameError(f"expected `name`, `[name]` or `[...name]`, got `{part}`")
        else:
            segments.append(Segment("static", part))
    if any(segment.kind == "rest" for segment in segments[:-1]):
        raise RouteNameError("expected `[...name]` only as the last part of a path")
    names = [segment.name for segment in segments if segment.kind != "static"]
    for name in names:
        if names.count(name) > 1:
            raise RouteNameError(f"the parameter `{name}` is used twice in one path")
    if len(segments) > SEGMENTS_MAX:
        raise RouteNameError(f"expected at most {SEGMENTS_MAX} parts in a path")
    return Pattern(tuple(segments))


class _Node(Generic[P]):
    """One place in the tree of patterns."""

    __slots__ = ("end", "one", "rest", "static")

    def __init__(self) -> None:
        self.static: dict[str, _Node[P]] = {}
        self.one: _Node[P] | None = None
        self.rest: P | None = None
        self.end: P | None = None


class Router(Generic[P]):
    """A set of patterns, each with a payload.

    `P` must not be a type of which None is a value.
    """

    def __init__(self) -> None:
        self._root: _Node[P] = _Node()
        self._static: dict[str, P] = {}
        self._entries: dict[tuple[str, ...], tuple[Pattern, P]] = {}

    def add(self, pattern: Pattern, payload: P) -> P | None:
        """Add a pattern; the payload of one that matches the same paths is returned instead."""
        known = self._entries.get(pattern.shape)
        if known is not None:
            return known[1]
        self._entries[pattern.shape] = (pattern, payload)
        node = self._root
        for segment in pattern.segments:
            if segment.kind == "rest":
                node.rest = payload
                return None
            if segment.kind == "one":
                if node.one is None:
                    node.one = _Node()
                node = node.one
            else:
                node = node.static.setdefault(segment.name, _Node())
        node.end = payload
        if not pattern.names:
            text = str(pattern)
            if is_plain(text):
                self._static[text] = payload
        return None

    def __iter__(self) -> Iterator[tuple[Pattern, P]]:
        return iter(self._entries.values())

    def __len__(self) -> int:
        return len(self._entries)

    def match(self, path: str) -> tuple[P, tuple[str, ...]] | None:
        """Find the payload and the parameter values for a request path.

        Args:
            path: Path of the request target, percent-encoded latin-1 text, starting with `/`.

        Returns:
            The payload and the values in the order of `Pattern.names`; None when nothing matches.

        Raises:
            BadPath: A bad escape, a control character, bytes that are not UTF-8, or a part that
                is `.` or `..`.
        """
        found = self._static.get(path)
        if found is not None:
            return found, ()
        segments = split_path(path)
        if len(segments) > SEGMENTS_MAX:
            return None
        values: list[str] = []
        payload = _search(self._root, segments, 0, values)
        return None if payload is None else (payload, tuple(values))


def _search(node: _Node[P], segments: list[str], index: int, values: list[str]) -> P | None:
    """Depth first below `node`; leaves the values of the match in `values`."""
    if index == len(segments):
        return node.end
    segment = segments[index]
    child = node.static.get(segment)
    if child is not None:
        found = _search(child, segments, index + 1, values)
        if found is not None:
            return found
    if segment and node.one is not None:
        values.append(segment)
        found = _search(node.one, segments, index + 1, values)
        if found is not None:
            return found
        values.pop()
    if node.rest is not None and all(segments[index:]):
        values.append("/".join(segments[index:]))
        return node.rest
    return None


def is_plain(path: str) -> bool:
    """Whether a path reads the same encoded and decoded, and has no dot parts."""
    return path.isascii() and "%" not in path and not any(p in (".", "..") for p in path.split("/"))


def split_path(path: str) -> list[str]:
    """Decoded segments of a request path; one trailing slash is dropped.

    Raises:
        BadPath: See Router.match().
    """
    if not path.startswith("/"):
        raise BadPath
    segments = path.split("/")[1:]
    if segments and not segments[-1]:
        segments.pop()
    if _SIMPLE.fullmatch(path):
        return segments
    return [_decode(segment) for segment in segments]


def _decode(segment: str) -> str:
    if "%" in segment or not segment.isascii():
        if _BAD_ESCAPE.search(segment):
            raise BadPath
        try:
            segment = unquote_to_bytes(segment.encode("latin-1")).decode("utf-8")
        except UnicodeError:
            raise BadPath from None
    # An encoded slash stays in its segment, but must not carry a dot part past this check.
    if "." in segment and not {".", ".."}.isdisjoint(segment.replace("\\", "/").split("/")):
        raise BadPath
    if _CONTROL.search(segment):
        raise BadPath
    return segment


def parameters(names: tuple[str, ...], values: tuple[str, ...]) -> dict[str, Any]:
    """Parameter names and values as the map `params`."""
    return dict(zip(names, values, strict=True))
