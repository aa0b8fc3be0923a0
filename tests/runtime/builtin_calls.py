"""A right call of every builtin, by name, or `name/kind` for one that has several first parameters.

Each is (arguments, result); a function as result is a test of it, a fault what the call ends
with. Wrong calls are not listed: they
are derived from the declared kinds, and WRONG has those of parameters that check by themselves.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from flinfast.runtime.fault import AbortFault
from flinfast.runtime.operators import OPERATORS
from flinfast.runtime.parameter import Parameter
from flinfast.runtime.response import Reply, ResponseState
from flinfast.runtime.upload import UploadedFile
from flinfast.values import Time
from tests.runtime.fake_services import FakeConnection

KEY = "0123456789abcdef0123456789abcdef"
# 2026-02-03T04:05:06Z, a Tuesday.
MOMENT = Time(1_770_091_506_000)
FILE = UploadedFile("a.txt", "text/plain", b"hello")
NOWHERE = "http://127.0.0.1:1/"
QUICK = {"timeout": 500}


def is_text(value: Any) -> bool:
    return type(value) is str and value != ""


def is_reply(value: Any) -> bool:
    return isinstance(value, Reply)


def is_unreachable(value: Any) -> bool:
    return type(value) is dict and value["status"] == 0 and value["ok"] is False


def double(value: Any) -> Any:
    return OPERATORS.mul(value, 2)


def is_big(value: Any) -> bool:
    return OPERATORS.lt(1, value)


TEXT: dict[str, tuple[tuple[Any, ...], Any]] = {
    "capitalize": (("ada",), "Ada"),
    "char_at": (("abc", 1), "b"),
    "chars": (("añ",), ["a", "ñ"]),
    "contains/text": (("abc", "bc"), True),
    "count/text": (("banana", "an"), 2),
    "ends_with": (("abc", "bc"), True),
    "escape_html": (("<b>",), "&lt;b&gt;"),
    "index_of/text": (("abc", "c"), 2),
    "is_alpha": (("añ",), True),
    "is_alphanumeric": (("a1",), True),
    "is_blank": ((" ",), True),
    "is_email": (("a@b.co",), True),
    "is_empty/text": (("",), True),
    "is_numeric": (("1.5",), True),
    "join/text": ((", ", ["a", 1]), "a, 1"),
    "last_index_of": (("abcb", "b"), 3),
    "len/text": (("añ",), 2),
    "lines": (("a\nb",), ["a", "b"]),
    "lower": (("ÀB",), "àb"),
    "pad_end": (("7", 3, "0"), "700"),
    "pad_start": (("7", 3, "0"), "007"),
    "remove_prefix": (("abc", "a"), "bc"),
    "remove_suffix": (("abc", "c"), "ab"),
    "repeat": (("ab", 2), "abab"),
    "replace": (("aa", "a", "b"), "ba"),
    "replace_all": (("aa", "a", "b"), "bb"),
    "reverse/text": (("abc",), "cba"),
    "slice/text": (("hello", 1, 3), "el"),
    "slug": (("Hello you!",), "hello-you"),
    "split": (("a,b", ","), ["a", "b"]),
    "starts_with": (("abc", "ab"), True),
    "substring": (("hello", 1, 3), "el"),
    "title": (("ada byron",), "Ada Byron"),
    "trim": ((" a ",), "a"),
    "trim_end": ((" a ",), " a"),
    "trim_start": ((" a ",), "a "),
    "truncate": (("abcdef", 5, "…"), "abcd…"),
    "upper": (("a",), "A"),
    "words": ((" a b ",), ["a", "b"]),
    "decode_utf8": ((b"\xc3\xa9",), "é"),
    "encode_utf8": (("é",), b"\xc3\xa9"),
    "is_empty/bytes": ((b"",), True),
    "len/bytes": ((b"abc",), 3),
    "slice/bytes": ((b"abc", 1, 2), b"b"),
    "url_decode": (("a%20b",), "a b"),
    "url_encode": (("a b",), "a%20b"),
}

LISTS: dict[str, tuple[tuple[Any, ...], Any]] = {
    "avg": (([1, 2], double), 3.0),
    "chunk": (([1, 2, 3], 2), [[1, 2], [3]]),
    "concat": (([1], [2], [3]), [1, 2, 3]),
    "contains/list": (([1, 2], 2), True),
    "copy/list": (([1],), [1]),
    "count/list": (([1, 2], is_big), 1),
    "difference": (([1, 2], [2]), [1]),
    "drop": (([1, 2], 1), [2]),
    "each": (([1], double), [1]),
    "every": (([1, 2], is_big), False),
    "filter": (([1, 2], is_big), [2]),
    "find": (([1, 2], is_big), 2),
    "find_index": (([1, 2], is_big), 1),
    "first": (([1, 2],), 1),
    "flat_map": (([1], lambda x: [x, x]), [1, 1]),
    "flatten": (([[1], [[2]]], 2), [1, 2]),
    "from_entries": (([["a", 1]],), {"a": 1}),
    "group_by": (([1, 2], is_big), {"false": [1], "true": [2]}),
    "index_of/list": (([1, 2], 2), 1),
    "insert_at": (([1], 0, 2), [2, 1]),
    "intersection": (([1, 2], [2, 3]), [2]),
    "is_empty/list": (([],), True),
    "join/list": (([1, "a"], "-"), "1-a"),
    "last": (([1, 2],), 2),
    "len/list": (([1],), 1),
    "map": (([1, 2], double), [2, 4]),
    "max/list": (([1, 2], double), 4),
    "min/list": (([1, 2], double), 2),
    "pop": (([1, 2],), 2),
    "push": (([1], 2), [1, 2]),
    "range": ((1, 6, 2), [1, 3, 5]),
    "reduce": (([1, 2], OPERATORS.add, 0), 3),
    "remove_at": (([1, 2], 0), 1),
    "rest": (([1, 2],), [2]),
    "reverse/list": (([1, 2],), [2, 1]),
    "shift": (([1, 2],), 1),
    "slice/list": (([1, 2, 3], 1, 2), [2]),
    "some": (([1, 2], is_big), True),
    "sort": (([1, 3, 2], double, "desc"), [3, 2, 1]),
    "splice": (([1, 2, 3], 0, 2, 9), [1, 2]),
    "sum": (([1, 2], double), 6),
    "symmetric_difference": (([1, 2], [2, 3]), [1, 3]),
    "take": (([1, 2], 1), [1]),
    "union": (([1], [1, 2]), [1, 2]),
    "unique": (([1, 1, 2],), [1, 2]),
    "unshift": (([1], 0), [0, 1]),
    "zip": (([1], ["a"]), [[1, "a"]]),
    "zip_with": (([1], [2], OPERATORS.add), [3]),
}

MAPS: dict[str, tuple[tuple[Any, ...], Any]] = {
    "copy/map": (({"a": 1},), {"a": 1}),
    "delete_key": (({"a": 1}, "a"), {}),
    "entries": (({"a": 1},), [["a", 1]]),
    "get": (({"a": 1}, "b", 2), 2),
    "has_key": (({"a": 1}, "a"), True),
    "is_empty/map": (({},), True),
    "keys": (({"a": 1},), ["a"]),
    "len/map": (({"a": 1},), 1),
    "map_values": (({"a": 1}, double), {"a": 2}),
    "merge": (({"a": 1}, {"b": 2}), {"a": 1, "b": 2}),
    "omit": (({"a": 1, "b": 2}, ["a"]), {"b": 2}),
    "pick": (({"a": 1, "b": 2}, ["a"]), {"a": 1}),
    "set": (({"a": 1}, "a", 2), {"a": 2}),
    "values": (({"a": 1},), [1]),
}

NUMBERS: dict[str, tuple[tuple[Any, ...], Any]] = {
    "abs": ((-2,), 2),
    "ceil": ((1.2,), 2),
    "clamp": ((9, 0, 5), 5),
    "floor": ((1.8,), 1),
    "format/number": ((1.005, 1), "1.0"),
    "is_nan": ((1.0,), False),
    "max/number": ((1, 3, 2), 3),
    "min/number": ((2, 1, 3), 1),
    "pow": ((2, 3), 8),
    "random": ((), lambda x: 0 <= x < 1),
    "random_int": ((1, 3), lambda x: x in (1, 2, 3)),
    "round": ((2.345, 2), 2.35),
    "sign": ((-3,), -1),
    "sqrt": ((9,), 3.0),
    "trunc": ((-1.8,), -1),
    "seconds": ((2,), 2_000),
    "minutes": ((2,), 120_000),
    "hours": ((2,), 7_200_000),
    "days": ((2,), 172_800_000),
    "weeks": ((1,), 604_800_000),
    "months": ((1,), 2_592_000_000),
    "years": ((1,), 31_536_000_000),
    "ago": ((1000,), lambda t: type(t) is Time),
    "from_now": ((1000,), lambda t: type(t) is Time),
    "day/time": ((MOMENT,), 3),
    "format/time": ((MOMENT, "YYYY-MM-DD"), "2026-02-03"),
    "hour/time": ((MOMENT,), 4),
    "minute/time": ((MOMENT,), 5),
    "month/time": ((MOMENT,), 2),
    "second/time": ((MOMENT,), 6),
    "start_of_day": ((MOMENT,), Time(1_770_076_800_000)),
    "timestamp": ((MOMENT,), 1_770_091_506_000),
    "weekday": ((MOMENT,), 2),
    "year/time": ((MOMENT,), 2026),
    "now": ((), lambda t: type(t) is Time),
    "today": ((), lambda t: type(t) is Time),
    "tomorrow": ((), lambda t: type(t) is Time),
    "yesterday": ((), lambda t: type(t) is Time),
    "parse_time": (("2026-02-03T04:05:06Z",), MOMENT),
    "time_from_ms": ((1_770_091_506_000,), MOMENT),
}

VALUES: dict[str, tuple[tuple[Any, ...], Any]] = {
    "is_none": ((None,), True),
    "parse_json": (("[1]",), [1]),
    "to_bool": (("no",), False),
    "to_int": (("5",), 5),
    "to_json": (([1],), "[1]"),
    "to_number": (("1.5",), 1.5),
    "to_text": ((1.0,), "1"),
    "type_of": ((1,), "int"),
    "apply_patch": (("abc", {"start": 0, "delete": 1}), "bc"),
    "env": (("NO_SUCH_VARIABLE",), None),
    "generate_uuid": ((), is_text),
    "server_uptime": ((), lambda n: type(n) is int),
    "sleep": ((1,), None),
    "validate": (({"a": 1}, {"a": "int"}), {"ok": True, "data": {"a": 1}, "fields": {}}),
    "log_debug": (("d", {"a": 1}), None),
    "log_error": (("e", {"a": 1}), None),
    "log_info": (("i", {"a": 1}), None),
    "log_warn": (("w", {"a": 1}), None),
}

SERVER: dict[str, tuple[tuple[Any, ...], Any]] = {
    "broadcast": (("room", {"a": 1}, True), 1),
    "broadcast_all": (({"a": 1}, True), 1),
    "broadcast_others": (("room", {"a": 1}, True), 1),
    "ws_clients": (("room",), []),
    "ws_close": ((4000, "bye"), None),
    "ws_count": (("room",), 0),
    "ws_join": (("room",), True),
    "ws_leave": (("room",), False),
    "ws_rooms": ((), []),
    "ws_send": (("room", "x", True), 1),
    "delete_cookie": (("a", {"path": "/"}), None),
    "set_cookie": (("a", "b", {"max_age": 60}), None),
    "error": ((404, "none", {"a": 1}), is_reply),
    "event_stream": (("room", [1]), is_reply),
    "redirect": (("/x", 303), is_reply),
    "next": ((), None),
    "rate_limit": (("key", 5, 60), None),
    "abort": ((404, "none", {"a": 1}), AbortFault),
    "http_delete": ((NOWHERE, QUICK), is_unreachable),
    "http_get": ((NOWHERE, QUICK), is_unreachable),
    "http_patch": ((NOWHERE, QUICK), is_unreachable),
    "http_post": ((NOWHERE, QUICK), is_unreachable),
    "http_put": ((NOWHERE, QUICK), is_unreachable),
    "http_request": (("GET", NOWHERE, QUICK), is_unreachable),
    "delete_file": (("files/none.txt",), False),
    "file_exists": (("none.txt",), False),
    "read_binary": (("none.txt",), None),
    "read_file": (("none.txt",), None),
    "save_binary": ((b"x", "files"), is_text),
    "save_file": ((FILE, "files"), is_text),
}

SECURITY: dict[str, tuple[tuple[Any, ...], Any]] = {
    "base64_decode": (("w6k=",), "é"),
    "base64_decode_bytes": (("w6k=",), b"\xc3\xa9"),
    "base64_encode": (("é",), "w6k="),
    "create_token": (({"id": 1}, {"expires": "7d"}), is_text),
    "csrf_token": ((), is_text),
    "csrf_verify": (("a", "a"), True),
    "decrypt": (("x", KEY), None),
    "encrypt": (("x", KEY), is_text),
    "hash_password": (("geheim",), is_text),
    "hmac": (("data", "key", "sha256"), is_text),
    "jwt_decode": (("x", KEY, "HS256"), None),
    "jwt_encode": (({"a": 1}, KEY, "HS256"), is_text),
    "md5": (("abc",), "900150983cd24fb0d6963f7d28e17f72"),
    "otp_generate": ((6,), is_text),
    "refresh_token": (("x",), None),
    "secure_random": ((8,), is_text),
    "sha256": (("abc",), is_text),
    "sha512": (("abc",), is_text),
    "totp_secret": ((), is_text),
    "totp_verify": (("GEZDGNBVGY3TQOJQ", "1"), False),
    "verify_password": (("a", "no hash"), False),
    "verify_token": (("x",), None),
}

# The context of these gives back what the user of a test was asked for.
TESTS: dict[str, tuple[tuple[Any, ...], Any]] = {
    "test_get": (("/a", {"x": "1"}), ("GET", "/a", None, {"x": "1"})),
    "test_login": (({"id": 1},), None),
    "test_post": (("/a", 1), ("POST", "/a", 1, None)),
    "test_request": (("PUT", "/a", 1), ("PUT", "/a", 1, None)),
    "test_ws": (("/a",), ("/a", None)),
}

CALLS = {**TEXT, **LISTS, **MAPS, **NUMBERS, **VALUES, **SERVER, **SECURITY, **TESTS}

# Parameters that take several kinds and refuse the others themselves: (position, wrong value).
WRONG: dict[str, tuple[tuple[int, Any], ...]] = {
    "apply_patch": ((2, 5),),
    "avg": ((2, 5),),
    "base64_encode": ((1, 5),),
    "broadcast": ((1, None), (3, 1)),
    "broadcast_all": ((2, 1),),
    "broadcast_others": ((1, []), (3, 1)),
    "create_token": ((2, {"claims": 5}),),
    "event_stream": ((1, None), (1, [None])),
    "group_by": ((2, 5),),
    "hmac": ((1, 5), (2, None)),
    "log_debug": ((2, 5),),
    "log_error": ((2, 5),),
    "log_info": ((2, 5),),
    "log_warn": ((2, "x"),),
    "max/list": ((2, 5),),
    "md5": ((1, 5),),
    "min/list": ((2, 5),),
    "reduce": ((2, 5),),
    "save_file": ((1, "x"),),
    "sha256": ((1, 5),),
    "sha512": ((1, None),),
    "sort": ((2, 5),),
    "sum": ((2, 5),),
    "validate": ((2, 5), (2, {"a": 5}), (2, {"a": "txt"})),
    "ws_clients": ((1, None),),
    "ws_close": ((1, []), (2, 5)),
    "ws_count": ((1, []),),
    "ws_join": ((1, {}),),
    "ws_leave": ((1, {}),),
    "ws_send": ((1, None), (3, 1)),
}

# Parameters of these builtins that take any value, by position.
ANY: dict[str, tuple[int, ...]] = {
    "abort": (2,),
    "broadcast": (2,),
    "broadcast_all": (1,),
    "broadcast_others": (2,),
    "contains/list": (2,),
    "csrf_verify": (1, 2),
    "decrypt": (1,),
    "delete_key": (2,),
    "encrypt": (1,),
    "error": (2,),
    "get": (2, 3),
    "has_key": (2,),
    "index_of/list": (2,),
    "insert_at": (3,),
    "is_none": (1,),
    "jwt_decode": (1,),
    "log_debug": (1,),
    "log_error": (1,),
    "log_info": (1,),
    "log_warn": (1,),
    "parse_json": (1,),
    "push": (2,),
    "rate_limit": (1,),
    "reduce": (3,),
    "refresh_token": (1,),
    "set": (2, 3),
    "set_cookie": (2,),
    "splice": (4,),
    "test_login": (1,),
    "test_post": (2,),
    "test_request": (3,),
    "to_bool": (1,),
    "to_int": (1,),
    "to_json": (1,),
    "to_number": (1,),
    "to_text": (1,),
    "totp_verify": (2,),
    "type_of": (1,),
    "unique": (2,),
    "unshift": (2,),
    "url_encode": (1,),
    "validate": (1,),
    "verify_password": (1, 2, 3),
    "verify_token": (1,),
    "ws_send": (2,),
}

# A value of another kind than the declared one.
OTHER: dict[str, tuple[Any, str]] = {
    "text": (5, "int"),
    "int": ("x", "text"),
    "number": ("x", "text"),
    "list": (5, "int"),
    "map": (5, "int"),
    "function": (5, "int"),
    "time": (5, "int"),
    "bytes": ("x", "text"),
}


def wrong_calls(
    name: str, parameters: tuple[Parameter, ...]
) -> list[tuple[tuple[Any, ...], int, str]]:
    """Calls with one wrong argument each: (arguments, its position, the kind it has)."""
    args = CALLS[name][0]
    found = []
    for position, parameter in enumerate(parameters, 1):
        if parameter.kind.title in OTHER:
            value, kind = OTHER[parameter.kind.title]
            if position == 1 and "/" in name:
                value, kind = True, "bool"  # which none of the implementations takes
            found.append(((*args[: position - 1], value, *args[position:]), position, kind))
    for position, value in WRONG.get(name, ()):
        found.append(((*args[: position - 1], value, *args[position:]), position, ""))
    return found


def context_of(name: str, services: Any) -> Any:
    """A context in which the builtin works: of a connection, or of a request in a middleware."""
    if name.startswith(("ws_", "broadcast")):
        return FakeConnection()
    return SimpleNamespace(
        response=ResponseState(is_secure=False),
        next_reply=lambda: None,
        session=SimpleNamespace(state=None, csrf_token=lambda: "token"),
        services=services,
        test_user=SimpleNamespace(
            request=lambda *asked: asked,
            open=lambda *asked: asked,
            login=lambda user: user,
        ),
    )
