"""Paths of files, and which file answers a request path."""

import itertools
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flinfast.runtime.router import (
    SEGMENTS_MAX,
    BadPath,
    Pattern,
    RouteNameError,
    Router,
    pattern_of_file,
    pattern_of_text,
    split_path,
)


def router_of(*files: str) -> Router[str]:
    router: Router[str] = Router()
    for file in files:
        pattern = pattern_of_file(file)
        assert pattern is not None
        assert router.add(pattern, file) is None
    return router


@pytest.mark.parametrize(
    ("file", "path"),
    [
        ("index.flin", "/"),
        ("about.flin", "/about"),
        ("api/orders.flin", "/api/orders"),
        ("api/orders/index.flin", "/api/orders"),
        ("api/orders/[id].flin", "/api/orders/:id"),
        ("api/[team]/members/[id].flin", "/api/:team/members/:id"),
        ("docs/[...path].flin", "/docs/*path"),
        ("docs/[...path]/index.flin", "/docs/*path"),
        ("(site)/about.flin", "/about"),
        ("(a)/(b)/index.flin", "/"),
        ("api/v1.2/x.flin", "/api/v1.2/x"),
        ("größe.flin", "/größe"),
    ],
)
def test_pattern_of_a_file_is_its_path(file: str, path: str) -> None:
    """Folders and file name become the path, `index` its folder, groups nothing."""
    assert str(pattern_of_file(file)) == path


@pytest.mark.parametrize("file", ["_middleware.flin", "api/_private.flin", "_parts/x.flin"])
def test_file_with_leading_underscore_is_no_route(file: str) -> None:
    """A leading `_` means "not a route"."""
    assert pattern_of_file(file) is None


@pytest.mark.parametrize(
    "file",
    [
        "[id.flin",
        "x[id].flin",
        "[[...x]].flin",
        "[1a].flin",
        "[].flin",
        "[...a]/[b].flin",
        "[id]/[id].flin",
        "[...x]/y.flin",
        "a//b.flin",
        "/".join("a" * (SEGMENTS_MAX + 1)),
    ],
)
def test_file_name_without_meaning_is_refused(file: str) -> None:
    """Bracket forms other than `[p]` and `[...p]`, and a parameter named twice."""
    with pytest.raises(RouteNameError):
        pattern_of_file(file)


def test_path_operand_takes_both_parameter_spellings() -> None:
    """`/products/[id]` and `/products/:id` are one path."""
    assert pattern_of_text("/products/[id]") == pattern_of_text("products/:id/")
    assert str(pattern_of_text("/")) == "/"


@pytest.mark.parametrize(
    ("path", "file", "values"),
    [
        ("/", "index.flin", ()),
        ("/users", "users.flin", ()),
        ("/users/", "users.flin", ()),
        ("/users/me", "users/me.flin", ()),
        ("/users/7", "users/[id].flin", ("7",)),
        ("/users/me/posts", "users/[id]/posts.flin", ("me",)),
        ("/users/a%2Fb", "users/[id].flin", ("a/b",)),
        ("/users/%C3%A9", "users/[id].flin", ("é",)),
        ("/users/a+b", "users/[id].flin", ("a+b",)),
        ("/users/...", "users/[id].flin", ("...",)),
        ("/users/m%65", "users/me.flin", ()),
        ("/docs/a/b%20c", "docs/[...path].flin", ("a/b c",)),
        ("/docs/a/b/", "docs/[...path].flin", ("a/b",)),
    ],
)
def test_match_finds_the_best_file(path: str, file: str, values: tuple[str, ...]) -> None:
    """Static wins over `[p]` over `[...p]`, with a way back when a deeper branch fails."""
    router = router_of(
        "index.flin",
        "users.flin",
        "users/me.flin",
        "users/[id].flin",
        "users/[id]/posts.flin",
        "docs/[...path].flin",
    )
    assert router.match(path) == (file, values)


@pytest.mark.parametrize(
    "path",
    [
        "/none",
        "/users//",
        "/users/7/none",
        "/docs",
        "/docs/",
        "/docs//a",
        "/docs/a//b",
        "//",
        "/USERS",
        "/users/7/posts/x",
        "/" + "a/" * SEGMENTS_MAX + "b",
        "/users//x",
    ],
)
def test_match_without_a_file_is_none(path: str) -> None:
    """Case matters, a catch-all needs a segment, and empty segments match nothing."""
    files = ["users.flin", "users/[id].flin", "users/[id]/posts.flin", "docs/[...path].flin"]
    assert router_of(*files).match(path) is None


@pytest.mark.parametrize(
    "path",
    [
        "*",
        "",
        "a",
        "/.",
        "/..",
        "/a/../b",
        "/a/./b",
        "/%2e%2e/x",
        "/%2E",
        "/a/%2e%2E",
        "/..%2fetc",
        "/a%2f..%2f",
        "/a%5c..%5cb",
        "/%",
        "/%g0",
        "/%1",
        "/a%00",
        "/a%0a",
        "/a\x01",
        "/%ff",
        "/%c3%28",
        "/ÿ",
    ],
)
def test_malformed_or_climbing_path_is_refused(path: str) -> None:
    """Dot parts, bad escapes, control characters and bytes that are not UTF-8 answer 400."""
    for router in (router_of("[...all].flin"), router_of("index.flin")):
        with pytest.raises(BadPath) as caught:
            router.match(path)
        assert caught.value.status == 400


def test_add_of_an_equal_shape_gives_the_first() -> None:
    """`a.flin` and `a/index.flin`, `[x].flin` and `[y].flin` are the same path."""
    router = router_of("a.flin", "[x]/b.flin", "[...all].flin")
    for file, first in [
        ("a/index.flin", "a.flin"),
        ("[y]/b.flin", "[x]/b.flin"),
        ("(group)/[...rest].flin", "[...all].flin"),
    ]:
        pattern = pattern_of_file(file)
        assert pattern is not None
        assert router.add(pattern, file) == first
    assert len(router) == 3


def test_static_file_name_with_escapes_is_found() -> None:
    """A name outside ASCII is matched by its decoded segment."""
    router = router_of("größe.flin", "a b.flin", "100%.flin")
    assert router.match("/gr%C3%B6%C3%9Fe") == ("größe.flin", ())
    assert router.match("/a%20b") == ("a b.flin", ())
    assert router.match("/100%25") == ("100%.flin", ())


# --- against a naive matcher ----------------------------------------

NAMES = st.sampled_from(["a", "b", "c", "[p]", "[q]", "[...r]"])


@st.composite
def patterns(draw: st.DrawFn) -> Pattern | None:
    parts = draw(st.lists(NAMES, max_size=4))
    try:
        return pattern_of_file("/".join([*parts, "index.flin"]))
    except RouteNameError:
        return None


def naive_match(
    entries: list[tuple[Pattern, int]], path: str
) -> tuple[int, tuple[str, ...]] | None:
    """Try every pattern; the best is the smallest list of segment kinds."""
    segments = split_path(path)
    rank = {"static": 0, "one": 1, "rest": 2}
    best: tuple[list[int], int, tuple[str, ...]] | None = None
    for pattern, payload in entries:
        kinds, values, rest = [], [], list(segments)
        for segment in pattern.segments:
            kinds.append(rank[segment.kind])
            if segment.kind == "rest":
                if not rest or not all(rest):
                    break
                values.append("/".join(rest))
                rest = []
            elif not rest or (segment.kind == "static" and rest[0] != segment.name):
                break
            elif segment.kind == "one":
                if not rest[0]:
                    break
                values.append(rest.pop(0))
            else:
                rest.pop(0)
        else:
            if not rest and (best is None or kinds < best[0]):
                best = kinds, payload, tuple(values)
    return None if best is None else best[1:]


@settings(max_examples=400)
@given(
    st.lists(patterns(), max_size=12),
    st.lists(st.lists(st.sampled_from(["a", "b", "c", "d", "", "x y"]), max_size=5), max_size=8),
)
def test_match_agrees_with_trying_every_pattern(
    candidates: list[Pattern | None], paths: list[list[str]]
) -> None:
    """The tree finds what an exhaustive search finds."""
    router: Router[int] = Router()
    entries: list[tuple[Pattern, int]] = []
    for index, pattern in enumerate(candidates):
        if pattern is not None and router.add(pattern, index) is None:
            entries.append((pattern, index))
    for parts in paths:
        path = "/" + "/".join(quote(part) for part in parts)
        assert router.match(path) == naive_match(entries, path)


def test_match_stays_fast_with_thousands_of_routes() -> None:
    """The work of a match does not grow with the number of routes."""
    router: Router[int] = Router()
    for index, (a, b) in enumerate(itertools.product(range(60), range(60))):
        pattern = pattern_of_file(f"s{a}/[id]/t{b}.flin")
        assert pattern is not None
        router.add(pattern, index)
    assert len(router) == 3600
    assert router.match("/s59/x/t59") == (3599, ("x",))
    assert router.match("/s59/x/t60") is None
