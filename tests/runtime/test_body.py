"""Bodies by Content-Type, and what hostile ones cost."""

import contextlib
import gc
from typing import Any
from urllib.parse import unquote_to_bytes

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flinfast.runtime.body import (
    FORM_BYTES_MAX,
    JSON_DEPTH_MAX,
    PART_HEADERS_BYTES_MAX,
    PARTS_MAX,
    UNCOLLECTED_BYTES_MIN,
    parse_body,
)
from flinfast.runtime.fault import HttpFault
from flinfast.runtime.request import QUERY_FIELDS_MAX, Request, decode_component, parse_pairs
from flinfast.runtime.upload import NAME_CHARS_MAX, UploadedFile


def request(body: bytes, content_type: str = "") -> Request:
    headers = [("content-type", content_type)] if content_type else []
    return Request("POST", "/", "/", headers=headers, body=body)


def value(body: bytes, content_type: str = "") -> Any:
    return parse_body(request(body, content_type)).value


def part(name: str, content: bytes, *, filename: str | None = None, kind: str = "") -> bytes:
    head = f'Content-Disposition: form-data; name="{name}"'
    if filename is not None:
        head += f'; filename="{filename}"'
    if kind:
        head += f"\r\nContent-Type: {kind}"
    return b"--B\r\n" + head.encode() + b"\r\n\r\n" + content + b"\r\n"


MULTIPART = "multipart/form-data; boundary=B"
FORM = "application/x-www-form-urlencoded"
END = b"--B--\r\n"


@pytest.mark.parametrize("kind", ["application/json", "application/problem+json; charset=utf-8"])
def test_json_gives_exact_values(kind: str) -> None:
    """Integers of any size stay exact."""
    raw = b'{"a": [1, 2.5, true, null, "x"], "big": 123456789012345678901234567890}'
    assert value(raw, kind) == {
        "a": [1, 2.5, True, None, "x"],
        "big": 123456789012345678901234567890,
    }


@pytest.mark.parametrize(
    "raw", [b"{", b"nul", b'{"a":1}x', b'"\xff"', b"\xef\xbb\xbf{}", b"1e999", b"'a'", b"{'a':1}"]
)
def test_malformed_json_answers_400(raw: bytes) -> None:
    """A JSON content type promises JSON."""
    with pytest.raises(HttpFault, match="Invalid JSON") as caught:
        parse_body(request(raw, "application/json"))
    assert caught.value.status == 400


def test_json_depth_is_limited() -> None:
    """JSON_DEPTH_MAX levels pass, one more does not, and a bomb is refused at once."""
    deep = JSON_DEPTH_MAX
    assert value(b"[" * deep + b"]" * deep, "application/json") is not None
    for count in (deep + 1, 1_000_000):
        with pytest.raises(HttpFault):
            parse_body(request(b"[" * count + b"]" * count, "application/json"))


def test_form_gives_a_map_of_text() -> None:
    """The first of equal names wins; `name[]` collects."""
    body = parse_body(
        request(
            b"a=1&b=x+y%21&a=2&c&tags[]=p&tags[]=q&=e&%C3%A9=%FF",
            "application/x-www-form-urlencoded",
        )
    )
    assert body.is_form
    assert body.value == {
        "a": "1",
        "b": "x y!",
        "c": "",
        "tags": ["p", "q"],
        "": "e",
        "é": "\ufffd",
    }


def test_form_fields_are_limited() -> None:
    """QUERY_FIELDS_MAX fields pass, one more answers 400."""
    kind = "application/x-www-form-urlencoded"
    names = [f"f{i}=1" for i in range(QUERY_FIELDS_MAX)]
    assert len(value("&".join(names).encode(), kind)) == QUERY_FIELDS_MAX
    with pytest.raises(HttpFault):
        value("&".join([*names, "x=1"]).encode(), kind)


def test_size_of_a_form_is_limited() -> None:
    """At the limit it is read, one byte above it is 413: escapes are slow to decode."""
    raw = b"a=" + b"x" * (FORM_BYTES_MAX - 2)
    assert len(parse_body(request(raw, FORM)).value["a"]) == FORM_BYTES_MAX - 2
    with pytest.raises(HttpFault) as caught:
        parse_body(request(raw + b"x", FORM))
    assert caught.value.status == 413


@given(st.text(alphabet="%+aF0\xe9\u20ac=&", max_size=40))
def test_escapes_mean_what_the_url_standard_says(text: str) -> None:
    """Broken escapes stay as they are."""
    raw = text.encode("utf-8", "replace")
    expected = unquote_to_bytes(raw.replace(b"+", b" ")).decode("utf-8", "replace")
    assert decode_component(raw.decode("latin-1")) == expected


@pytest.mark.parametrize("was_collecting", [True, False])
@pytest.mark.parametrize("raw", [b"[1,2,3]", b"[1,2"])
def test_garbage_collection_is_as_before_a_large_body(raw: bytes, was_collecting: bool) -> None:
    """It is off only while one is parsed."""
    large = raw.replace(b"2", b"2" + b" " * UNCOLLECTED_BYTES_MIN)
    assert gc.isenabled()
    try:
        if not was_collecting:
            gc.disable()
        with contextlib.suppress(HttpFault):
            assert parse_body(request(large, "application/json")).value == [1, 2, 3]
        assert gc.isenabled() is was_collecting
    finally:
        gc.enable()


def test_multipart_gives_texts_and_files() -> None:
    """Parts with a file name are files; folders in their names are dropped."""
    raw = (
        part("title", "höhe".encode())
        + part(
            "doc", b"%PDF-1\r\n--notB", filename="../../etc/a b.pdf", kind="application/pdf; x=1"
        )
        + part("empty", b"", filename="")
        + part("title", b"second")
        + END
    )
    body = parse_body(request(raw, MULTIPART))
    assert body.is_form
    assert set(body.value) == {"title", "doc"}
    assert body.value["title"] == "höhe"
    file = body.value["doc"]
    assert isinstance(file, UploadedFile)
    assert (file.name, file.size, file.content_type, file.extension) == (
        "a b.pdf",
        14,
        "application/pdf",
        ".pdf",
    )
    assert file.flin_get("bytes") == b"%PDF-1\r\n--notB"
    assert file.flin_get("type") == "application/pdf"


@pytest.mark.parametrize(
    ("raw", "kind"),
    [
        (part("a", b"1"), MULTIPART),
        (b"", "multipart/form-data"),
        (part("a", b"1") + END, "multipart/form-data"),
        (part("a", b"1") + END, "multipart/form-data; boundary=" + "x" * 71),
        (part("a", b"1") + END, "multipart/form-data; boundary=other"),
        (b"--B\r\nContent-Disposition: form-data\r\n\r\n1\r\n" + END, MULTIPART),
        (b"--B\r\nContent-Type: text/plain\r\n\r\n1\r\n" + END, MULTIPART),
        (b"--B\r\n" + b"X: " + b"y" * 9000 + b"\r\n\r\n1\r\n" + END, MULTIPART),
        (part("a", b"1") * (PARTS_MAX + 1) + END, MULTIPART),
        (b"garbage", MULTIPART),
    ],
)
def test_broken_multipart_answers_400(raw: bytes, kind: str) -> None:
    """Truncated, unnamed, oversized or boundless parts are the client's fault."""
    if not raw:
        raw = b"x"
    with pytest.raises(HttpFault) as caught:
        parse_body(request(raw, kind))
    assert caught.value.status == 400


@pytest.mark.parametrize("excess", [-1, 0, 1])
@pytest.mark.parametrize("lines", [2, 5])
def test_head_of_a_part_is_limited(lines: int, excess: int) -> None:
    """Names and values of all its lines count, at, one below and one above the limit."""
    disposition = b"Content-Disposition: form-data; name=a\r\n"
    size = PART_HEADERS_BYTES_MAX + excess - len(disposition) + 4  # `: ` and CR LF do not count
    each = size // lines
    values = [b"y" * (each - 1)] * (lines - 1) + [b"y" * (size - each * (lines - 1) - 1)]
    fields = b"".join(b"X: " + value + b"\r\n" for value in values)
    raw = b"--B\r\n" + fields + disposition + b"\r\n1\r\n" + END
    if excess <= 0:
        assert parse_body(request(raw, MULTIPART)).value == {"a": "1"}
        return
    with pytest.raises(HttpFault) as caught:
        parse_body(request(raw, MULTIPART))
    assert caught.value.status == 400


def test_text_and_unknown_types() -> None:
    """text/plain is decoded leniently, anything else stays bytes, nothing is none."""
    assert value(b"a\xffb", "text/plain; charset=utf-8") == "a\ufffdb"
    assert value(b"{}", "application/octet-stream") == b"{}"
    assert value(b"", "application/json") is None


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b'{"a":1}', {"a": 1}),
        (b"a=1&b=2", {"a": "1", "b": "2"}),
        (b"\x00\x01=", b"\x00\x01="),
        (b"plain words", b"plain words"),
        (b"7", 7),
    ],
)
def test_missing_content_type_is_guessed(raw: bytes, expected: Any) -> None:
    """JSON, then form, then bytes."""
    assert value(raw) == expected


@given(st.binary(max_size=300), st.sampled_from(["application/json", MULTIPART, "", "text/plain"]))
def test_any_body_parses_or_answers_400(raw: bytes, kind: str) -> None:
    """No body raises anything but an HttpFault of status 400."""
    statuses = set()
    try:
        parse_body(request(raw, kind))
    except HttpFault as fault:
        statuses.add(fault.status)
    assert statuses <= {400}


@given(st.text(alphabet=st.characters(max_codepoint=255), max_size=60))
def test_any_query_string_parses(text: str) -> None:
    """Latin-1 text of any content gives pairs of text."""
    for name, item in parse_pairs(text):
        assert isinstance(name, str)
        assert isinstance(item, str)


@pytest.mark.parametrize(
    ("given_name", "kept"),
    [
        ("C:\\dir\\f.txt", "f.txt"),
        ("../..", ""),
        ("a\x00b\n.txt", "ab.txt"),
        (".", ""),
        ("x" * 300 + ".png", ("x" * 300 + ".png")[-NAME_CHARS_MAX:]),
    ],
)
def test_upload_name_has_no_folders(given_name: str, kept: str) -> None:
    """File names keep neither folders nor control characters."""
    assert UploadedFile(given_name, "", b"").name == kept
