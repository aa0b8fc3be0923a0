"""Static files: what is found, what never is, conditions and ranges."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flinfast.server.head import interpret
from flinfast.server.http_date import http_date, parse_http_date
from flinfast.server.static import MIME_TYPES, StaticFiles, decoded_path
from tests.server.running import Running

Start = Callable[..., Running]
SECRET = b"must never be served"
BIG = bytes(range(256)) * 4096 * 3  # 3 MiB: many pieces


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A project with files that are public and files that are not."""
    root = tmp_path_factory.mktemp("static")
    public = root / "public"
    for folder in ("docs/deep", "hollow", ".well-known", "caf\u00e9", "sp ace"):
        (public / folder).mkdir(parents=True)
    for name in (
        "index.html",
        "docs/index.html",
        "a.txt",
        "docs/deep/b.css",
        "caf\u00e9/\u00fc.txt",
    ):
        (public / name).write_text(name)
    (public / "sp ace/a b.txt").write_text("space")
    (public / "app.0123abcd.js").write_text("hashed")
    (public / "big.bin").write_bytes(BIG)
    (public / "none.txt").write_bytes(b"")
    (public / "unknown.xyz").write_bytes(b"?")
    (public / ".hidden").write_bytes(SECRET)
    (public / ".well-known/x").write_bytes(SECRET)
    (root / "secret.txt").write_bytes(SECRET)
    (root / "publicity").mkdir()
    (root / "publicity/x.txt").write_bytes(SECRET)
    (public / "out.txt").symlink_to(root / "secret.txt")
    (public / "outside").symlink_to(root)
    (public / "sibling.txt").symlink_to(root / "publicity/x.txt")
    (public / "inside.txt").symlink_to(public / "a.txt")
    (public / "loop").symlink_to(public / "loop")
    os.mkfifo(public / "pipe")
    (public / "unreadable.txt").write_bytes(b"x")
    running = Running(root, {"FLIN_LOG_ACCESS": "off"}).start()
    yield running
    running.stop()


@pytest.mark.parametrize(
    ("path", "body", "kind"),
    [
        ("/a.txt", b"a.txt", "text/plain; charset=utf-8"),
        ("/a.txt?v=1", b"a.txt", "text/plain; charset=utf-8"),
        ("/%61.txt", b"a.txt", "text/plain; charset=utf-8"),
        ("/docs/", b"docs/index.html", "text/html; charset=utf-8"),
        ("/docs/index.html", b"docs/index.html", "text/html; charset=utf-8"),
        ("/docs/deep/b.css", b"docs/deep/b.css", "text/css; charset=utf-8"),
        ("/caf%C3%A9/%C3%BC.txt", "caf\u00e9/\u00fc.txt".encode(), "text/plain; charset=utf-8"),
        ("/sp%20ace/a%20b.txt", b"space", "text/plain; charset=utf-8"),
        ("/inside.txt", b"a.txt", "text/plain; charset=utf-8"),
        ("/none.txt", b"", "text/plain; charset=utf-8"),
        ("/unknown.xyz", b"?", "application/octet-stream"),
        ("/big.bin", BIG, "application/octet-stream"),
    ],
)
def test_files_are_served(site: Running, path: str, body: bytes, kind: str) -> None:
    """Content, type, length; the connection stays."""
    with site.connect() as client:
        answer = client.get(path)
        assert (answer.status, answer.body) == (200, body)
        assert answer.headers["content-type"] == kind
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["accept-ranges"] == "bytes"
        assert client.get("/").status == 200


@pytest.mark.parametrize(
    "path",
    [
        "/../secret.txt",
        "/docs/../../secret.txt",
        "/%2e%2e/secret.txt",
        "/..%2fsecret.txt",
        "/%2e%2e%2fsecret.txt",
        "/docs%2f..%2f..%2fsecret.txt",
        "/docs/%2e%2e/%2e%2e/secret.txt",
        "/..%5csecret.txt",
        "/%5c..%5csecret.txt",
        "/....//secret.txt",
        "/%252e%252e/secret.txt",
        "/%c0%ae%c0%ae/secret.txt",
        "/%c0%af../secret.txt",
        "/a.txt%00",
        "/%00a.txt",
        "/a.txt%00.html",
        "/.hidden",
        "/%2ehidden",
        "/.well-known/x",
        "/./a.txt",
        "//a.txt",
        "//etc/passwd",
        "/docs//index.html",
        "/a.txt/",
        "/a.txt/x",
        "/out.txt",
        "/outside/secret.txt",
        "/sibling.txt",
        "/loop",
        "/pipe",
        "/hollow/",
        "/hollow",
        "/nothing.txt",
        "/../publicity/x.txt",
        "/%2e%2e/publicity/x.txt",
        "/docs%2fdeep%2fb.css",
        "/~root",
        "/" + "a/" * 600 + "a.txt",
        "/" + "a" * 5000,
        "/A.TXT",
        "/C:/windows/win.ini",
        "/public/a.txt",
        "/index.html::$DATA",
    ],
)
def test_nothing_else_is_served(site: Running, path: str) -> None:
    """400 or 404, and never a byte of a file that is not public."""
    with site.connect() as client:
        answer = client.get(path)
        assert answer.status in (400, 404)
        assert SECRET not in answer.body
        assert b"a.txt" not in answer.body
        assert client.get("/").status == 200


def opened_below(folder: Path) -> list[str]:
    """What this process has open there; servers of other tests open and close theirs meanwhile."""
    found = []
    for number in os.listdir("/proc/self/fd") if Path("/proc/self/fd").exists() else ():
        with contextlib.suppress(FileNotFoundError):  # closed since it was listed
            found.append(os.readlink(f"/proc/self/fd/{number}"))
    return [path for path in found if path.startswith(f"{folder}/")]


def test_a_link_made_after_the_check_leads_nowhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder is swapped for a link between the look at the path and the opening of the file."""
    public = tmp_path / "public"
    (public / "docs" / "deep").mkdir(parents=True)
    (public / "docs" / "deep" / "a.txt").write_text("public")
    (tmp_path / "private" / "deep").mkdir(parents=True)
    (tmp_path / "private" / "deep" / "a.txt").write_bytes(SECRET)
    files = StaticFiles(public, caches_hashed=False)
    head = interpret("GET", "/docs/deep/a.txt", "1.1", [("host", "test")])
    found = files.serve(head, head.path)
    assert found is not None
    assert found[1] is not None
    assert found[1].read() == b"public"
    assert len(opened_below(tmp_path)) == Path("/proc/self/fd").exists()
    found[1].close()
    resolve = os.path.realpath

    def resolve_then_swap(name: str) -> str:
        real = resolve(name)
        (public / "docs").rename(tmp_path / "docs")
        (public / "docs").symlink_to(tmp_path / "private")
        return real

    monkeypatch.setattr(os.path, "realpath", resolve_then_swap)
    assert files.serve(head, head.path) is None
    assert opened_below(tmp_path) == []


@settings(max_examples=300, deadline=None)
@given(
    st.lists(
        st.sampled_from(["..", ".", "%2e", "%2E%2e", "/", "%2f", "\\", "%5c", "a", "%00", ".x"])
    )
)
def test_a_decoded_path_never_leaves_its_folder(parts: list[str]) -> None:
    """Whatever the mixture of dots, slashes and escapes."""
    relative = decoded_path("/" + "".join(parts))
    if relative is not None:
        assert not relative.startswith("/")
        assert ".." not in relative.split("/")
        assert all(not part.startswith(".") for part in relative.split("/"))
        assert "\\" not in relative
        assert os.path.normpath(f"/srv/{relative}").startswith("/srv")


def test_routes_come_before_files(site: Running) -> None:
    """public/index.html does not shadow the program's `/`."""
    with site.connect() as client:
        assert client.get("/").body == b'"home"'


def test_a_folder_without_its_slash_is_redirected(site: Running) -> None:
    """Relative links need it; the query stays."""
    with site.connect() as client:
        answer = client.get("/docs?a=1")
        assert (answer.status, answer.headers["location"]) == (308, "/docs/?a=1")


def test_only_get_and_head_find_files(site: Running) -> None:
    """Other methods get the program's 404."""
    with site.connect() as client:
        for method in ("POST", "PUT", "DELETE", "PATCH"):
            client.send(f"{method} /a.txt HTTP/1.1\r\nHost: test\r\n\r\n".encode())
            assert client.read_response().status == 404
        client.send(b"HEAD /a.txt HTTP/1.1\r\nHost: test\r\n\r\n")
        answer = client.read_response(head_only=True)
        assert (answer.status, answer.headers["content-length"]) == (200, "5")


def test_hashed_names_are_kept_by_browsers(site: Running) -> None:
    """Production; others are asked for again each time."""
    with site.connect() as client:
        assert "immutable" in client.get("/app.0123abcd.js").headers["cache-control"]
        assert client.get("/a.txt").headers["cache-control"] == "no-cache"


def test_pages_get_a_content_security_policy(site: Running) -> None:
    """HTML only."""
    with site.connect() as client:
        assert "default-src" in client.get("/docs/").headers["content-security-policy"]
        assert "content-security-policy" not in client.get("/a.txt").headers


def test_conditions(site: Running) -> None:
    """304 for what the browser has; the tag wins over the date."""
    with site.connect() as client:
        first = client.get("/a.txt")
        tag, date = first.headers["etag"], first.headers["last-modified"]
        assert client.get("/a.txt", f"If-None-Match: {tag}").status == 304
        assert client.get("/a.txt", f"If-None-Match: W/{tag}").status == 304
        assert client.get("/a.txt", f'If-None-Match: "x", {tag}').status == 304
        assert client.get("/a.txt", "If-None-Match: *").status == 304
        assert client.get("/a.txt", 'If-None-Match: "x"').status == 200
        assert client.get("/a.txt", f"If-Modified-Since: {date}").status == 304
        assert client.get("/a.txt", f"If-Modified-Since: {http_date(0)}").status == 200
        assert client.get("/a.txt", "If-Modified-Since: yesterday").status == 200
        both = (f"If-Modified-Since: {date}", 'If-None-Match: "x"')
        assert client.get("/a.txt", *both).status == 200
        assert client.get("/a.txt", 'If-Match: "x"').status == 412
        assert client.get("/a.txt", f"If-Match: {tag}").status == 200
        assert client.get("/a.txt", f"If-Unmodified-Since: {http_date(0)}").status == 412
        again = client.get("/a.txt", f"If-None-Match: {tag}")
        assert (again.body, again.headers["etag"]) == (b"", tag)
        assert "content-length" not in again.headers


@pytest.mark.parametrize(
    ("value", "status", "start", "end"),
    [
        ("bytes=0-0", 206, 0, 1),
        ("bytes=0-99", 206, 0, 100),
        ("bytes=1000000-", 206, 1_000_000, len(BIG)),
        ("bytes=-100", 206, len(BIG) - 100, len(BIG)),
        ("bytes=-99999999", 206, 0, len(BIG)),
        ("bytes=5-99999999", 206, 5, len(BIG)),
        (f"bytes={len(BIG) - 1}-", 206, len(BIG) - 1, len(BIG)),
        (f"bytes={len(BIG)}-", 416, 0, 0),
        ("bytes=99999999-", 416, 0, 0),
        ("bytes=-0", 416, 0, 0),
        ("bytes=5-4", 200, 0, len(BIG)),
        ("bytes=-", 200, 0, len(BIG)),
        ("bytes=a-b", 200, 0, len(BIG)),
        ("bytes=0-1,3-4", 200, 0, len(BIG)),
        ("bytes=" + ",".join("0-" for _ in range(500)), 200, 0, len(BIG)),
        ("bytes=+0-1", 200, 0, len(BIG)),
        ("bytes= 0-1", 200, 0, len(BIG)),
        ("items=0-1", 200, 0, len(BIG)),
        ("bytes=0-99999999999999999999", 200, 0, len(BIG)),
    ],
)
def test_ranges(site: Running, value: str, status: int, start: int, end: int) -> None:
    """One range, its parts clipped; anything else is the whole file."""
    with site.connect() as client:
        answer = client.get("/big.bin", f"Range: {value}")
        assert answer.status == status
        if status == 416:
            assert answer.headers["content-range"] == f"bytes */{len(BIG)}"
            return
        assert answer.body == BIG[start:end]
        if status == 206:
            assert answer.headers["content-range"] == f"bytes {start}-{end - 1}/{len(BIG)}"


def test_if_range_needs_the_same_file(site: Running) -> None:
    """A download is only continued in the file it began with."""
    with site.connect() as client:
        first = client.get("/a.txt")
        for current in (first.headers["etag"], first.headers["last-modified"]):
            assert client.get("/a.txt", "Range: bytes=1-2", f"If-Range: {current}").status == 206
        for other in ('"x"', f"W/{first.headers['etag']}", http_date(0)):
            assert client.get("/a.txt", "Range: bytes=1-2", f"If-Range: {other}").status == 200


def test_a_file_that_shrinks_while_it_is_sent_ends_the_connection(start: Start) -> None:
    """Fewer bytes than announced must not look like a whole file."""
    running = start()
    path = running.root / "public" / "f.bin"
    path.parent.mkdir()
    path.write_bytes(b"x" * (32 << 20))
    with running.connect() as client:
        client.send(b"GET /f.bin HTTP/1.1\r\nHost: test\r\n\r\n")
        client.read_until(b"\r\n\r\n")
        path.write_bytes(b"")
        assert len(client.read_to_end()) < 32 << 20


def test_no_public_folder_is_fine(start: Start) -> None:
    """Everything is 404 then."""
    running = start()
    with running.connect() as client:
        assert client.get("/a.txt").status == 404


def test_descriptors_of_files_do_not_leak(site: Running) -> None:
    """Whole files, parts, 304s, 416s, HEADs and peers that leave in the middle."""
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(10):
        with site.connect() as client:
            tag = client.get("/a.txt").headers["etag"]
            client.get("/a.txt", f"If-None-Match: {tag}")
            client.get("/a.txt", "Range: bytes=99-")
            client.send(b"HEAD /big.bin HTTP/1.1\r\nHost: test\r\n\r\n")
            client.read_response(head_only=True)
            client.send(b"GET /big.bin HTTP/1.1\r\nHost: test\r\n\r\n")
            client.read_until(b"\r\n\r\n")
    site.wait_for(lambda: len(os.listdir("/proc/self/fd")) <= before)


@given(st.integers(0, 4_102_444_800))
def test_http_dates_round_trip(unix_s: int) -> None:
    """parse(format(x)) is x."""
    assert parse_http_date(http_date(unix_s)) == unix_s


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Sunday, 06-Nov-94 08:49:37 GMT",
        "Sun Nov  6 08:49:37 1994",
        "Sun, 06 Nov 1994 24:49:37 GMT",
        "Sun, 06 Nov 1994 08:49:37",
        "Sun, 00 Nov 1994 08:49:37 GMT",
        "Sun, 06 Nov 1969 08:49:37 GMT",
    ],
)
def test_other_dates_are_not_read(text: str) -> None:
    """Obsolete and impossible forms."""
    assert parse_http_date(text) is None


def test_types_are_frozen_and_carry_a_charset_for_text() -> None:
    """Text without a charset is guessed by browsers."""
    for extension, kind in MIME_TYPES.items():
        assert extension.startswith(".")
        if kind.startswith("text/"):
            assert kind.endswith("; charset=utf-8")


def test_program_can_answer_with_a_file(start: Start, tmp_path: Path) -> None:
    """`Response.file`: its type by name, its status kept, 404 when it is gone."""
    from flinfast.runtime.response import Response

    running = start()
    path = tmp_path / "report.csv"
    path.write_text("a,b")
    running.app.routes["/report"] = lambda _, respond: respond(Response(200, file=path))
    running.app.routes["/gone"] = lambda _, respond: respond(Response(200, file=tmp_path / "x"))
    running.app.routes["/odd"] = lambda _, respond: respond(
        Response(404, [("Content-Type", "text/x-odd")], file=path)
    )
    with running.connect() as client:
        answer = client.get("/report")
        assert (answer.status, answer.body) == (200, b"a,b")
        assert answer.headers["content-type"] == "text/csv; charset=utf-8"
        assert client.get("/report", "Range: bytes=0-0").body == b"a"
        assert client.get("/gone").status == 404
        odd = client.get("/odd")
        assert (odd.status, odd.body) == (404, b"a,b")
        assert odd.headers["content-type"] == "text/x-odd"
