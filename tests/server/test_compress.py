"""Compression: what is compressed, for whom, and what caches are told; stored forms of files."""

from __future__ import annotations

import gzip
import os
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flinfast.runtime.response import Response
from flinfast.server import compress
from tests.server.running import JSON, Answer, Running

Start = Callable[..., Running]
TEXT = b'{"rows":[' + b",".join(b'{"id":%d,"name":"row"}' % n for n in range(200)) + b"]}"
GZIP = "Accept-Encoding: gzip"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A server with one answer per path, and files with stored forms beside them."""
    root = tmp_path_factory.mktemp("compress")
    public = root / "public"
    public.mkdir()
    for name, suffixes in {
        "app.js": (".gz", ".br", ".zst"),
        "old.css": (".gz",),
        "a.png": (".gz",),
        "plain.txt": (),
    }.items():
        (public / name).write_text(f"plain {name}")
        for suffix in suffixes:
            (public / (name + suffix)).write_text(f"stored {name}{suffix}")
    os.utime(public / "old.css.gz", (1, 1))
    (public / "evil.js").write_text("plain evil.js")
    (root / "secret.gz").write_text("secret")
    (public / "evil.js.gz").symlink_to(root / "secret.gz")
    running = Running(root, {"FLIN_LOG_ACCESS": "off"}).start()
    for path, response in {
        "/json": lambda: Response(200, [*JSON], TEXT),
        "/tagged": lambda: Response(200, [*JSON, ("ETag", '"v1"')], TEXT),
        "/weak": lambda: Response(200, [*JSON, ("ETag", 'W/"v1"')], TEXT),
        "/small": lambda: Response(200, [*JSON], b'"' + b"x" * 1021 + b'"'),
        "/exact": lambda: Response(200, [*JSON], b'"' + b"x" * 1022 + b'"'),
        "/image": lambda: Response(200, [("Content-Type", "image/png")], TEXT),
        "/none": lambda: Response(200, [], TEXT),
        "/coded": lambda: Response(200, [*JSON, ("Content-Encoding", "br")], TEXT),
        "/kept": lambda: Response(200, [*JSON, ("Cache-Control", "No-Transform")], TEXT),
        "/part": lambda: Response(206, [*JSON, ("Content-Range", "bytes 0-9/10")], TEXT),
        "/random": lambda: Response(200, [("Content-Type", "text/plain")], os.urandom(3000)),
        "/vary": lambda: Response(200, [*JSON, ("Vary", "Cookie")], TEXT),
        "/varies": lambda: Response(200, [*JSON, ("Vary", "accept-encoding")], TEXT),
        "/html": lambda: Response(200, [("Content-Type", "text/html; charset=utf-8")], TEXT),
        "/error": lambda: Response(500, [*JSON], TEXT),
        "/huge": lambda: Response(200, [*JSON], b" " * (compress.COMPRESSED_BYTES_MAX + 1)),
        "/sse": lambda: Response(200, [("Content-Type", "text/event-stream")], TEXT),
    }.items():
        running.app.routes[path] = lambda _, respond, make=response: respond(make())
    yield running
    running.stop()


def get(site: Running, path: str, *fields: str) -> Answer:
    with site.connect() as client:
        return client.get(path, *fields)


@pytest.mark.parametrize(
    ("path", "is_compressed", "varies"),
    [
        ("/json", True, True),
        ("/html", True, True),
        ("/exact", True, True),
        ("/error", True, True),
        ("/small", False, False),
        ("/image", False, False),
        ("/none", False, False),
        ("/kept", False, False),
        ("/part", False, False),
        ("/huge", False, False),
        ("/sse", False, False),
        ("/random", False, True),
    ],
)
def test_what_is_compressed(site: Running, path: str, is_compressed: bool, varies: bool) -> None:
    """Text of some size is; the tiny, the huge, parts, pictures and the incompressible are not."""
    answer, plain = get(site, path, GZIP), get(site, path)
    assert answer.status == plain.status
    assert (answer.headers.get("content-encoding") == "gzip") is is_compressed
    assert (answer.headers.get("vary") == "Accept-Encoding") is varies
    assert plain.headers.get("vary") == answer.headers.get("vary")
    assert "content-encoding" not in plain.headers
    if is_compressed:
        assert gzip.decompress(answer.body) == plain.body
        assert len(answer.body) < len(plain.body)


def test_a_coding_of_the_program_stays(site: Running) -> None:
    """What is compressed already is not compressed again."""
    assert get(site, "/coded", GZIP).headers["content-encoding"] == "br"
    assert get(site, "/coded", GZIP).body == TEXT


@pytest.mark.parametrize(
    ("value", "is_compressed"),
    [
        ("gzip", True),
        ("GZIP", True),
        ("x-gzip", True),
        ("br, gzip;q=0.1", True),
        ("gzip ; q=1.000", True),
        ("*", True),
        ("*;q=0.5", True),
        ("gzip;q=0", False),
        ("gzip;q=0.000", False),
        ("*, gzip;q=0", False),
        ("br", False),
        ("identity", False),
        ("", False),
        ("gzipped", False),
    ],
)
def test_who_gets_it(site: Running, value: str, is_compressed: bool) -> None:
    """Only clients that accept gzip; a weight of 0 refuses it."""
    answer = get(site, "/json", f"Accept-Encoding: {value}")
    assert ("content-encoding" in answer.headers) is is_compressed


def test_head_says_what_get_says(site: Running) -> None:
    """The length of a HEAD is that of the compressed body."""
    with site.connect() as client:
        client.send(f"HEAD /json HTTP/1.1\r\nHost: test\r\n{GZIP}\r\n\r\n".encode())
        answer = client.read_response(head_only=True)
        assert answer.headers["content-encoding"] == "gzip"
        assert int(answer.headers["content-length"]) == len(client.get("/json", GZIP).body)


def test_a_compressed_form_has_a_weak_validator(site: Running) -> None:
    """Its bytes differ from the plain form's, so the tag says `W/`; a weak one stays."""
    assert get(site, "/tagged", GZIP).headers["etag"] == 'W/"v1"'
    assert get(site, "/tagged").headers["etag"] == '"v1"'
    assert get(site, "/weak", GZIP).headers["etag"] == 'W/"v1"'


@pytest.mark.parametrize(
    ("tags", "status"),
    [
        ('"v1"', 304),
        ('W/"v1"', 304),
        ('"v0", W/"v1"', 304),
        ("*", 304),
        ('"v0"', 200),
        ('"v"', 200),
        ("v1", 200),
    ],
)
def test_a_tag_of_the_program_is_compared(site: Running, tags: str, status: int) -> None:
    """A handler that sets ETag gets conditional requests for nothing."""
    answer = get(site, "/tagged", GZIP, f"If-None-Match: {tags}")
    assert answer.status == status
    if status == 304:
        assert answer.body == b""
        assert answer.headers["etag"] == '"v1"'
        assert answer.headers["vary"] == "Accept-Encoding"


def test_a_condition_without_a_tag_is_ignored(site: Running) -> None:
    """No ETag of the program: a full answer."""
    assert get(site, "/json", "If-None-Match: *").status == 200


def test_vary_keeps_what_the_program_said(site: Running) -> None:
    """Accept-Encoding is added once."""
    assert get(site, "/vary", GZIP).headers["vary"] == "Cookie, Accept-Encoding"
    assert get(site, "/varies", GZIP).headers["vary"] == "accept-encoding"


def test_compression_can_be_switched_off(start: Start) -> None:
    """`server.compression = false` leaves everything plain."""
    running = start(server_compression="off")
    running.app.routes["/json"] = lambda _, respond: respond(Response(200, [*JSON], TEXT))
    answer = get(running, "/json", GZIP)
    assert answer.body == TEXT
    assert "vary" not in answer.headers


def test_threshold_is_a_setting(start: Start) -> None:
    """`server.compression_threshold` at its value and one below."""
    running = start(server_compression_threshold="2000")
    for size in (1999, 2000):
        running.app.routes[f"/{size}"] = lambda _, respond, size=size: respond(
            Response(200, [("Content-Type", "text/plain")], b"x" * size)
        )
    assert "content-encoding" not in get(running, "/1999", GZIP).headers
    assert get(running, "/2000", GZIP).headers["content-encoding"] == "gzip"


def test_length_of_an_answer_to_a_session_is_blurred(site: Running) -> None:
    """With a cookie the same body has many lengths, without one a single length."""
    lengths = {len(get(site, "/json", GZIP, "Cookie: a=b").body) for _ in range(40)}
    assert len(lengths) > 8
    assert max(lengths) - min(lengths) < compress.PADDING_BYTES_MAX
    assert len({len(get(site, "/json", GZIP).body) for _ in range(5)}) == 1


@given(st.binary(max_size=4000), st.booleans())
def test_gzip_is_read_by_others(body: bytes, is_padded: bool) -> None:
    """What we write is a gzip member to zlib and to gzip."""
    packed = compress.gzip(body, is_padded=is_padded)
    assert gzip.decompress(packed) == body
    assert zlib.decompress(packed, zlib.MAX_WBITS | 16) == body


@given(st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=80))
def test_any_accept_encoding_is_read(value: str) -> None:
    """No value raises, and nothing empty is accepted."""
    assert "" not in compress.accepted_codings(value)


# --- files ----------------------------------------


@pytest.mark.parametrize(
    ("path", "accepted", "body", "coding"),
    [
        ("/app.js", "gzip, br, zstd", b"stored app.js.br", "br"),
        ("/app.js", "gzip, zstd", b"stored app.js.zst", "zstd"),
        ("/app.js", "gzip", b"stored app.js.gz", "gzip"),
        ("/app.js", "br;q=0, gzip", b"stored app.js.gz", "gzip"),
        ("/app.js", "*", b"stored app.js.br", "br"),
        ("/app.js", "identity", b"plain app.js", ""),
        ("/plain.txt", "gzip, br", b"plain plain.txt", ""),
        ("/old.css", "gzip", b"plain old.css", ""),
        ("/evil.js", "gzip", b"plain evil.js", ""),
        ("/a.png", "gzip", b"plain a.png", ""),
    ],
)
def test_stored_forms(site: Running, path: str, accepted: str, body: bytes, coding: str) -> None:
    """The smallest form a client takes; never a stale one, nor one outside the folder."""
    answer = get(site, path, f"Accept-Encoding: {accepted}")
    assert answer.status == 200
    assert answer.body == body
    assert answer.headers.get("content-encoding", "") == coding
    assert ("vary" in answer.headers) is (path != "/a.png")
    plain = get(site, path)
    assert plain.headers["content-type"] == answer.headers["content-type"]
    assert (plain.headers["etag"] == answer.headers["etag"]) is (coding == "")


def test_conditions_and_ranges_of_a_stored_form(site: Running) -> None:
    """They are about the form that is sent."""
    first = get(site, "/app.js", GZIP)
    tag = first.headers["etag"]
    again = get(site, "/app.js", GZIP, f"If-None-Match: {tag}")
    assert again.status == 304
    assert again.headers["vary"] == "Accept-Encoding"
    assert get(site, "/app.js", f"If-None-Match: {tag}").status == 200
    part = get(site, "/app.js", GZIP, "Range: bytes=0-5", f"If-Range: {tag}")
    assert part.status == 206
    assert part.body == first.body[:6]
    assert part.headers["content-range"] == f"bytes 0-5/{len(first.body)}"
    other = get(site, "/app.js", "Range: bytes=0-5", f"If-Range: {tag}")
    assert (other.status, other.body) == (200, b"plain app.js")


def test_stored_forms_can_be_switched_off(tmp_path: Path, start: Start) -> None:
    """`server.compression = false` sends the plain file."""
    running = start(server_compression="off")
    public = running.root / "public"
    public.mkdir()
    (public / "a.js").write_text("plain")
    (public / "a.js.gz").write_text("stored")
    assert get(running, "/a.js", GZIP).body == b"plain"
