"""Hostile and odd HTTP requests, raw bytes in, status and fate of the connection out.

Every row also checks that the next client is served, and a kept connection that it still works.
"""

from __future__ import annotations

import json

import pytest

from tests.server.running import Running

CLOSE, KEEP = "close", "keep"
HOST = b"Host: test\r\n"
GET = b"GET / HTTP/1.1\r\n" + HOST


def head(*lines: bytes, first: bytes = b"GET / HTTP/1.1", host: bool = True) -> bytes:
    fields = ([b"Host: test"] if host else []) + list(lines)
    return first + b"\r\n" + b"".join(line + b"\r\n" for line in fields) + b"\r\n"


def post(*lines: bytes, body: bytes = b"") -> bytes:
    return head(*lines, first=b"POST /echo HTTP/1.1") + body


def chunked(body: bytes) -> bytes:
    return post(b"Transfer-Encoding: chunked", body=body)


ROWS: list[tuple[str, bytes, int, str]] = [
    # --- requests that are fine
    ("plain GET", head(), 200, KEEP),
    ("HEAD is no row of its own framing", head(first=b"DELETE / HTTP/1.1"), 200, KEEP),
    ("HTTP/1.0 closes", head(first=b"GET / HTTP/1.0", host=False), 200, CLOSE),
    ("HTTP/1.0 keep-alive", head(b"Connection: keep-alive", first=b"GET / HTTP/1.0"), 200, KEEP),
    ("Connection: close", head(b"Connection: close"), 200, CLOSE),
    ("Connection: Close, x", head(b"Connection: x, Close"), 200, CLOSE),
    ("two Connection lines", head(b"Connection: x", b"Connection: close"), 200, CLOSE),
    ("one empty line before", b"\r\n" + head(), 200, KEEP),
    ("two empty lines before", b"\r\n\r\n" + head(), 200, KEEP),
    ("absolute form", head(first=b"GET http://test/ HTTP/1.1"), 200, KEEP),
    ("absolute form without path", head(first=b"GET http://TEST HTTP/1.1"), 200, KEEP),
    ("absolute form with query", head(first=b"GET http://test?a=b HTTP/1.1"), 200, KEEP),
    ("query", head(first=b"GET /?a=1&b=%20|{} HTTP/1.1"), 200, KEEP),
    ("empty header value", head(b"X-Empty:"), 200, KEEP),
    ("latin-1 header value", head(b"X-Name: caf\xe9 \xff"), 200, KEEP),
    ("tab in a value", head(b"X-Tab: a\tb"), 200, KEEP),
    ("IPv6 Host", head(b"Host: [::1]:3000", host=False), 200, KEEP),
    ("Host with port", head(b"Host: example.com:80", host=False), 200, KEEP),
    ("OPTIONS *", head(first=b"OPTIONS * HTTP/1.1"), 204, KEEP),
    ("GET with a body", head(b"Content-Length: 3") + b"abc", 200, KEEP),
    ("Content-Length 0", post(b"Content-Length: 0"), 200, KEEP),
    ("Content-Length with zeros", post(b"Content-Length: 0003", body=b"abc"), 200, KEEP),
    ("body in one chunk", chunked(b"3\r\nabc\r\n0\r\n\r\n"), 200, KEEP),
    ("chunk extension", chunked(b'3;a=b;c="d e"\r\nabc\r\n0;x\r\n\r\n'), 200, KEEP),
    ("trailer field", chunked(b"3\r\nabc\r\n0\r\nX-Sum: 1\r\n\r\n"), 200, KEEP),
    ("upper-case hexadecimal", chunked(b"A\r\n0123456789\r\n0\r\n\r\n"), 200, KEEP),
    (
        "Transfer-Encoding: Chunked",
        post(b"Transfer-Encoding: Chunked", body=b"0\r\n\r\n"),
        200,
        KEEP,
    ),
    ("Upgrade: h2c is ignored", head(b"Upgrade: h2c", b"Connection: Upgrade"), 200, KEEP),
    ("unknown path", head(first=b"GET /nowhere HTTP/1.1"), 404, KEEP),
    ("bad escape in the path", head(first=b"GET /%zz HTTP/1.1"), 400, KEEP),
    ("dot segments", head(first=b"GET /a/../../etc/passwd HTTP/1.1"), 400, KEEP),
    ("100 fields", head(*[b"X-%d: 1" % n for n in range(99)]), 200, KEEP),
    # --- request line
    ("no version", b"GET /\r\n\r\n", 400, CLOSE),
    ("no target", b"GET HTTP/1.1\r\nHost: test\r\n\r\n", 400, CLOSE),
    ("no method", head(first=b" / HTTP/1.1"), 400, CLOSE),
    ("double space before the target", head(first=b"GET  / HTTP/1.1"), 400, CLOSE),
    ("double space before the version", head(first=b"GET /  HTTP/1.1"), 400, CLOSE),
    ("space at the end", head(first=b"GET / HTTP/1.1 "), 400, CLOSE),
    ("tab for space", head(first=b"GET\t/\tHTTP/1.1"), 400, CLOSE),
    ("space in the target", head(first=b"GET /a b HTTP/1.1"), 400, CLOSE),
    ("leading space", b" " + head(), 400, CLOSE),
    ("HTTP/2.0", head(first=b"GET / HTTP/2.0"), 505, CLOSE),
    ("HTTP/1.2", head(first=b"GET / HTTP/1.2"), 505, CLOSE),
    ("HTTP/0.9 spelled", head(first=b"GET / HTTP/0.9"), 505, CLOSE),
    ("HTTP/1.10", head(first=b"GET / HTTP/1.10"), 400, CLOSE),
    ("http/1.1", head(first=b"GET / http/1.1"), 400, CLOSE),
    ("HTTP/1,1", head(first=b"GET / HTTP/1,1"), 400, CLOSE),
    ("HTTP/ 1.1", head(first=b"GET / HTTP/ 1.1"), 400, CLOSE),
    ("HTTP/2 preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, CLOSE),
    ("unknown method", head(first=b"BREW / HTTP/1.1"), 501, CLOSE),
    ("lower-case method", head(first=b"get / HTTP/1.1"), 400, CLOSE),
    ("TRACE", head(first=b"TRACE / HTTP/1.1"), 501, CLOSE),
    ("CONNECT", head(first=b"CONNECT test:443 HTTP/1.1"), 501, CLOSE),
    ("method with a slash", head(first=b"GE/T / HTTP/1.1"), 400, CLOSE),
    ("fragment", head(first=b"GET /#top HTTP/1.1"), 400, CLOSE),
    ("backslash in the target", head(first=b"GET /a\\b HTTP/1.1"), 400, CLOSE),
    ("quote in the target", head(first=b'GET /a"b HTTP/1.1'), 400, CLOSE),
    ("control character in the target", head(first=b"GET /a\x01b HTTP/1.1"), 400, CLOSE),
    ("DEL in the target", head(first=b"GET /a\x7fb HTTP/1.1"), 400, CLOSE),
    ("UTF-8 in the target", head(first="GET /é HTTP/1.1".encode()), 400, CLOSE),
    ("target without a slash", head(first=b"GET index.html HTTP/1.1"), 400, CLOSE),
    ("GET *", head(first=b"GET * HTTP/1.1"), 400, CLOSE),
    ("absolute form of another host", head(first=b"GET http://evil/ HTTP/1.1"), 400, CLOSE),
    ("absolute form with user", head(first=b"GET http://u@test/ HTTP/1.1"), 400, CLOSE),
    ("ftp target", head(first=b"GET ftp://test/ HTTP/1.1"), 400, CLOSE),
    ("target of 9,000 bytes", head(first=b"GET /" + b"a" * 9000 + b" HTTP/1.1"), 414, CLOSE),
    ("endless target", b"GET /" + b"a" * 40_000, 414, CLOSE),
    ("three empty lines before", b"\r\n\r\n\r\n" + head(), 400, CLOSE),
    ("endless empty lines", b"\r\n" * 5000, 400, CLOSE),
    ("bare LF before", b"\n" + head(), 400, CLOSE),
    # --- what is not HTTP
    ("TLS hello", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400, CLOSE),
    ("zeros", b"\0" * 100, 400, CLOSE),
    ("text", b"hello there\r\n\r\n", 400, CLOSE),
    ("SSH banner", b"SSH-2.0-OpenSSH_9.6\r\n", 400, CLOSE),
    ("JSON", b'{"a": 1}\n', 400, CLOSE),
    # --- line ends
    ("bare LF", b"GET / HTTP/1.1\nHost: test\n\n", 400, CLOSE),
    ("bare LF after the first line", b"GET / HTTP/1.1\nHost: test\r\n\r\n", 400, CLOSE),
    ("bare LF between fields", b"GET / HTTP/1.1\r\nHost: test\nX: 1\r\n\r\n", 400, CLOSE),
    ("bare CR in a value", head(b"X: a\rb"), 400, CLOSE),
    ("bare CR as line end", b"GET / HTTP/1.1\rHost: test\r\r", 400, CLOSE),
    ("CR CR LF", b"GET / HTTP/1.1\r\r\nHost: test\r\n\r\n", 400, CLOSE),
    ("LF LF at the end", GET + b"\n\n", 400, CLOSE),
    ("NUL in a value", head(b"X: a\0b"), 400, CLOSE),
    ("NUL in a name", head(b"X\0: a"), 400, CLOSE),
    ("NUL in the target", head(first=b"GET /\0 HTTP/1.1"), 400, CLOSE),
    # --- fields
    ("folded value", head(b"X: a", b" b"), 400, CLOSE),
    ("folded by tab", head(b"X: a", b"\tb"), 400, CLOSE),
    ("space before the colon", head(b"X : a"), 400, CLOSE),
    ("tab before the colon", head(b"X\t: a"), 400, CLOSE),
    ("space in a name", head(b"X Y: a"), 400, CLOSE),
    ("no colon", head(b"just text"), 400, CLOSE),
    ("empty name", head(b": value"), 400, CLOSE),
    ("name in parentheses", head(b"(X): value"), 400, CLOSE),
    ("latin-1 in a name", head(b"X\xe9: a"), 400, CLOSE),
    ("control character in a value", head(b"X: \x01"), 400, CLOSE),
    ("vertical tab in a value", head(b"X: a\x0bb"), 400, CLOSE),
    ("DEL in a value", head(b"X: a\x7f"), 400, CLOSE),
    ("first field folded", b"GET / HTTP/1.1\r\n Host: test\r\n\r\n", 400, CLOSE),
    ("101 fields", head(*[b"X-%d: 1" % n for n in range(100)]), 431, CLOSE),
    ("20,000 bytes of one field", head(b"X: " + b"a" * 20_000), 431, CLOSE),
    ("endless field", GET + b"X: " + b"a" * 40_000, 431, CLOSE),
    ("endless fields", GET + b"X: y\r\n" * 5000, 431, CLOSE),
    # --- Host
    ("no Host", head(host=False), 400, CLOSE),
    ("two Hosts", head(b"Host: test"), 400, CLOSE),
    ("two different Hosts", head(b"Host: evil"), 400, CLOSE),
    ("two Hosts in HTTP/1.0", head(b"Host: b", first=b"GET / HTTP/1.0"), 400, CLOSE),
    ("empty Host", head(b"Host:", host=False), 400, CLOSE),
    ("Host with a path", head(b"Host: a/b", host=False), 400, CLOSE),
    ("Host with a user", head(b"Host: a@b", host=False), 400, CLOSE),
    ("Host with a space", head(b"Host: a b", host=False), 400, CLOSE),
    ("Host list", head(b"Host: a, b", host=False), 400, CLOSE),
    ("Host with a bad port", head(b"Host: a:x", host=False), 400, CLOSE),
    ("Host with a large port", head(b"Host: a:65536", host=False), 400, CLOSE),
    ("Host with latin-1", head(b"Host: caf\xe9", host=False), 400, CLOSE),
    ("Host with brackets only", head(b"Host: [", host=False), 400, CLOSE),
    # --- framing
    ("two equal Content-Lengths", post(b"Content-Length: 3", b"Content-Length: 3"), 400, CLOSE),
    ("two Content-Lengths", post(b"Content-Length: 3", b"Content-Length: 4"), 400, CLOSE),
    ("Content-Length list", post(b"Content-Length: 3, 3"), 400, CLOSE),
    ("Content-Length +3", post(b"Content-Length: +3"), 400, CLOSE),
    ("Content-Length -3", post(b"Content-Length: -3"), 400, CLOSE),
    ("Content-Length -0", post(b"Content-Length: -0"), 400, CLOSE),
    ("Content-Length 0x3", post(b"Content-Length: 0x3"), 400, CLOSE),
    ("Content-Length 1_0", post(b"Content-Length: 1_0"), 400, CLOSE),
    ("Content-Length 3.0", post(b"Content-Length: 3.0"), 400, CLOSE),
    ("Content-Length with a space", post(b"Content-Length: 1 0"), 400, CLOSE),
    ("Content-Length without digits", post(b"Content-Length:"), 400, CLOSE),
    ("Content-Length in other digits", post(b"Content-Length: \xb2"), 400, CLOSE),
    ("Content-Length 2**63", post(b"Content-Length: 9223372036854775808"), 413, CLOSE),
    ("Content-Length of 30 digits", post(b"Content-Length: " + b"9" * 30), 400, CLOSE),
    ("body above the limit", post(b"Content-Length: 10485761"), 413, CLOSE),
    (
        "Content-Length and chunked",
        post(b"Content-Length: 3", b"Transfer-Encoding: chunked", body=b"0\r\n\r\n"),
        400,
        CLOSE,
    ),
    (
        "chunked and Content-Length",
        post(b"Transfer-Encoding: chunked", b"Content-Length: 5", body=b"0\r\n\r\n"),
        400,
        CLOSE,
    ),
    ("gzip, chunked", post(b"Transfer-Encoding: gzip, chunked"), 501, CLOSE),
    ("identity, chunked", post(b"Transfer-Encoding: identity, chunked"), 400, CLOSE),
    ("chunked, chunked", post(b"Transfer-Encoding: chunked, chunked"), 400, CLOSE),
    ("chunked, identity", post(b"Transfer-Encoding: chunked, identity"), 400, CLOSE),
    ("chunked twice", post(*[b"Transfer-Encoding: chunked"] * 2), 400, CLOSE),
    ("xchunked", post(b"Transfer-Encoding: xchunked"), 400, CLOSE),
    ("identity", post(b"Transfer-Encoding: identity"), 400, CLOSE),
    ("gzip", post(b"Transfer-Encoding: gzip"), 400, CLOSE),
    ("empty Transfer-Encoding", post(b"Transfer-Encoding:"), 400, CLOSE),
    ("chunked;q=1", post(b"Transfer-Encoding: chunked;q=1"), 400, CLOSE),
    ('"chunked"', post(b'Transfer-Encoding: "chunked"'), 400, CLOSE),
    (
        "chunked in HTTP/1.0",
        head(b"Transfer-Encoding: chunked", first=b"POST /echo HTTP/1.0") + b"0\r\n\r\n",
        400,
        CLOSE,
    ),
    # --- chunks
    ("chunk size not hexadecimal", chunked(b"g\r\n"), 400, CLOSE),
    ("empty chunk size", chunked(b"\r\n"), 400, CLOSE),
    ("chunk size +3", chunked(b"+3\r\nabc\r\n0\r\n\r\n"), 400, CLOSE),
    ("chunk size -1", chunked(b"-1\r\n"), 400, CLOSE),
    ("chunk size 0x3", chunked(b"0x3\r\nabc\r\n0\r\n\r\n"), 400, CLOSE),
    ("chunk size 1_0", chunked(b"1_0\r\n"), 400, CLOSE),
    ("space before the size", chunked(b" 3\r\nabc\r\n0\r\n\r\n"), 400, CLOSE),
    ("space after the size", chunked(b"3 \r\nabc\r\n0\r\n\r\n"), 400, CLOSE),
    ("chunk size FFFFFFFFFFFFFFFF", chunked(b"FFFFFFFFFFFFFFFF\r\n"), 413, CLOSE),
    ("chunk size of 17 digits", chunked(b"1" + b"0" * 16 + b"\r\n"), 400, CLOSE),
    ("64 KiB of zeros as size", chunked(b"0" * 65536 + b"\r\n"), 431, CLOSE),
    ("chunk above the limit", chunked(b"A00001\r\n"), 413, CLOSE),
    (
        "chunks above the limit together",
        chunked(b"A00000\r\n" + b"x" * 0xA00000 + b"\r\n1\r\n"),
        413,
        CLOSE,
    ),
    ("bare LF after the size", chunked(b"3\nabc\r\n0\r\n\r\n"), 400, CLOSE),
    ("bare LF after the data", chunked(b"3\r\nabc\n0\r\n\r\n"), 400, CLOSE),
    ("CR and another byte after the data", chunked(b"3\r\nabc\rX0\r\n\r\n"), 400, CLOSE),
    ("another byte and LF after the data", chunked(b"3\r\nabcX\n0\r\n\r\n"), 400, CLOSE),
    ("CR CR after the data", chunked(b"3\r\nabc\r\r0\r\n\r\n"), 400, CLOSE),
    ("data longer than its size", chunked(b"3\r\nabcd\r\n0\r\n\r\n"), 400, CLOSE),
    ("data shorter than its size", chunked(b"5\r\nabc\r\n0\r\n\r\n"), 400, CLOSE),
    ("CR in an extension", chunked(b"3;a\rb\r\nabc\r\n0\r\n\r\n"), 400, CLOSE),
    ("LF in an extension", chunked(b"3;a\nb\r\nabc\r\n0\r\n\r\n"), 400, CLOSE),
    ("NUL in an extension", chunked(b"3;a\0b\r\nabc\r\n0\r\n\r\n"), 400, CLOSE),
    ("endless extension", chunked(b"3;" + b"a" * 40_000), 431, CLOSE),
    ("extensions above the limit", chunked(b"1;aaaaaaaaaaaaaaaaa\r\nx\r\n" * 2000), 431, CLOSE),
    ("a million one-byte chunks", chunked(b"1\r\nx\r\n" * 20_000), 400, CLOSE),
    ("bad trailer", chunked(b"0\r\nX Y: 1\r\n\r\n"), 400, CLOSE),
    ("folded trailer", chunked(b"0\r\nX: 1\r\n 2\r\n\r\n"), 400, CLOSE),
    ("bare LF trailer", chunked(b"0\r\nX: 1\n\r\n"), 400, CLOSE),
    ("endless trailer", chunked(b"0\r\nX: " + b"a" * 40_000), 431, CLOSE),
    (
        "trailers above the limit together",
        chunked(b"0\r\n" + (b"X: " + b"a" * 1000 + b"\r\n") * 17 + b"\r\n"),
        431,
        CLOSE,
    ),
    (
        "trailers below the limit together",
        chunked(b"0\r\n" + (b"X: " + b"a" * 1000 + b"\r\n") * 16 + b"\r\n"),
        200,
        KEEP,
    ),
    ("endless trailers", chunked(b"0\r\n" + b"X: 1\r\n" * 5000), 431, CLOSE),
    # --- Expect and upgrades
    ("Expect of something else", post(b"Expect: 200-ok", b"Content-Length: 3"), 417, CLOSE),
    ("Expect twice", post(*[b"Expect: 100-continue"] * 2, b"Content-Length: 0"), 400, CLOSE),
    ("Expect without a body", head(b"Expect: 100-continue"), 200, KEEP),
    # --- names and values that servers are known to read differently
    ("tab before the value", post(b"Content-Length:\t3", body=b"abc"), 200, KEEP),
    ("no space before the value", post(b"Content-Length:3", body=b"abc"), 200, KEEP),
    ("spaces around the value", post(b"Content-Length:  3 \t ", body=b"abc"), 200, KEEP),
    ("lower-case name", post(b"content-length: 3", body=b"abc"), 200, KEEP),
    ("upper-case name", post(b"TRANSFER-ENCODING: chunked", body=b"0\r\n\r\n"), 200, KEEP),
    ("space after chunked", post(b"Transfer-Encoding: chunked ", body=b"0\r\n\r\n"), 200, KEEP),
    ("tab before chunked", post(b"Transfer-Encoding:\tchunked", body=b"0\r\n\r\n"), 200, KEEP),
    ("GET in chunks", head(b"Transfer-Encoding: chunked") + b"0\r\n\r\n", 200, KEEP),
    ("underscore for a hyphen", post(b"Content_Length: 3"), 200, KEEP),
    ("similar name", post(b"X-Content-Length: 3"), 200, KEEP),
    ("Content-Length with NBSP", post(b"Content-Length: 3\xa0"), 400, CLOSE),
    ("Content-Length with NEL", post(b"Content-Length: 3\x85"), 400, CLOSE),
    ("Content-Length with a semicolon", post(b"Content-Length: 3;"), 400, CLOSE),
    ("Content-Length with a comma", post(b"Content-Length: 3,"), 400, CLOSE),
    ("Content-Length in quotes", post(b'Content-Length: "3"'), 400, CLOSE),
    ("Content-Length 3e0", post(b"Content-Length: 3e0"), 400, CLOSE),
    ("Content-Length 0b11", post(b"Content-Length: 0b11"), 400, CLOSE),
    ("Content-Length with a form feed", post(b"Content-Length: \x0c3"), 400, CLOSE),
    ("name with a NUL at its end", post(b"Content-Length\0: 3"), 400, CLOSE),
    ("name with a control character", post(b"Transfer\x08-Encoding: chunked"), 400, CLOSE),
    ("name in latin-1 hyphens", post(b"Transfer\xadEncoding: chunked"), 400, CLOSE),
    ("space before a second name", head(b"X: 1", b" Content-Length: 3"), 400, CLOSE),
    ("vertical tab before chunked", post(b"Transfer-Encoding: \x0bchunked"), 400, CLOSE),
    ("form feed after chunked", post(b"Transfer-Encoding: chunked\x0c"), 400, CLOSE),
    ("NUL after chunked", post(b"Transfer-Encoding: chunked\0"), 400, CLOSE),
    ("NBSP after chunked", post(b"Transfer-Encoding: chunked\xa0"), 400, CLOSE),
    ("comma after chunked", post(b"Transfer-Encoding: chunked,"), 400, CLOSE),
    ("comma before chunked", post(b"Transfer-Encoding: ,chunked"), 400, CLOSE),
    ("folded chunked", post(b"Transfer-Encoding:", b" chunked"), 400, CLOSE),
    (
        "chunked in two lines",
        post(b"Transfer-Encoding: gzip", b"Transfer-Encoding: chunked"),
        400,
        CLOSE,
    ),
    ("CR LF as escape in the target", head(first=b"GET /%0d%0aX:%20y HTTP/1.1"), 404, KEEP),
    ("request in a value", head(b"X: GET /admin HTTP/1.1"), 200, KEEP),
    ("two spaces and a version in the target", head(first=b"GET /a HTTP/1.1 HTTP/1.1"), 400, CLOSE),
    ("semicolon path", head(first=b"GET /..;/admin HTTP/1.1"), 404, KEEP),
    ("authority form", head(first=b"GET test:80 HTTP/1.1"), 400, CLOSE),
    ("https absolute form", head(first=b"GET https://test/ HTTP/1.1"), 200, KEEP),
    ("absolute form with an empty host", head(first=b"GET http:/// HTTP/1.1"), 400, CLOSE),
    ("absolute form with another port", head(first=b"GET http://test:81/ HTTP/1.1"), 400, CLOSE),
    ("OPTIONS with a path", head(first=b"OPTIONS /echo HTTP/1.1"), 200, KEEP),
    ("double slash", head(first=b"GET //evil.example/ HTTP/1.1"), 404, KEEP),
    ("Host with a trailing dot", head(b"Host: test.", host=False), 200, KEEP),
    ("Host with an empty port", head(b"Host: test:", host=False), 400, CLOSE),
    ("Host with a fragment", head(b"Host: a#b", host=False), 400, CLOSE),
    ("Host with a backslash", head(b"Host: a\\b", host=False), 400, CLOSE),
    ("Host with a percent", head(b"Host: a%00b", host=False), 400, CLOSE),
    ("Host of 300 letters", head(b"Host: " + b"a" * 300, host=False), 400, CLOSE),
    ("IPv6 Host without its bracket", head(b"Host: [::1", host=False), 400, CLOSE),
    (
        "HTTP/1.0 with a bad Host",
        head(b"Host: a b", host=False, first=b"GET / HTTP/1.0"),
        400,
        CLOSE,
    ),
    ("chunk data with the size of the next", chunked(b"3\r\nabc3\r\n0\r\n\r\n"), 400, CLOSE),
    ("last chunk with data", chunked(b"0\r\nabc\r\n\r\n"), 400, CLOSE),
    ("last chunk 000", chunked(b"000\r\n\r\n"), 200, KEEP),
    ("space before an extension", chunked(b"3 ;a\r\nabc\r\n0\r\n\r\n"), 400, CLOSE),
    ("comma in a size line", chunked(b"3,4\r\nabc\r\n0\r\n\r\n"), 400, CLOSE),
    ("CR CR LF after data", chunked(b"3\r\nabc\r\r\n0\r\n\r\n"), 400, CLOSE),
    ("Content-Length trailer", chunked(b"0\r\nContent-Length: 5\r\n\r\n"), 200, KEEP),
    ("trailer without a name", chunked(b"0\r\n: 1\r\n\r\n"), 400, CLOSE),
    ("trailer with a NUL", chunked(b"0\r\nX: \0\r\n\r\n"), 400, CLOSE),
    ("101 trailers", chunked(b"0\r\n" + b"X: 1\r\n" * 101 + b"\r\n"), 431, CLOSE),
    # --- singletons
    ("two Authorizations", head(*[b"Authorization: x"] * 2), 400, CLOSE),
    ("two Origins", head(b"Origin: http://a", b"Origin: http://b"), 400, CLOSE),
    ("two Content-Types", post(*[b"Content-Type: a/b"] * 2, b"Content-Length: 0"), 400, CLOSE),
    # --- faults of the program
    ("handler that raises", head(first=b"GET /crash HTTP/1.1"), 500, CLOSE),
    ("response with a line break", head(first=b"GET /inject HTTP/1.1"), 500, KEEP),
    ("handler that answers twice", head(first=b"GET /twice HTTP/1.1"), 200, KEEP),
    ("empty answer", head(first=b"GET /empty HTTP/1.1"), 204, KEEP),
]


def test_table_is_as_large_as_promised() -> None:
    """No row is listed twice, and there are enough of them."""
    assert len({name for name, *_ in ROWS}) == len(ROWS)
    assert len(ROWS) >= 220


@pytest.mark.parametrize(
    ("data", "status", "fate"), [r[1:] for r in ROWS], ids=[r[0] for r in ROWS]
)
def test_request_gets_its_status(shared: Running, data: bytes, status: int, fate: str) -> None:
    """The status is as listed, an error has the standard shape, the server goes on serving."""
    with shared.connect() as client:
        client.send(data)
        answer = client.read_response()
        assert answer.status == status
        if status >= 400 and answer.body:
            error = json.loads(answer.body)
            assert error["error"]
            assert "Traceback" not in answer.body.decode()
            assert "KeyError" not in answer.body.decode()
        if fate == KEEP:
            assert "connection" not in answer.headers or answer.headers["connection"] != "close"
            assert client.get("/").body == b'"home"'
        else:
            assert answer.headers["connection"] == "close"
            assert client.is_closed()
    with shared.connect() as other:
        assert other.get("/").body == b'"home"'
