"""Examples of the built-in functions, by area and name.

A line `code // result` is run by the tests, and the result compared; examples without a result are
whole files that must compile.
"""

from __future__ import annotations

from typing import Final

_TEXT: Final = """\
capitalize: "ada lovelace".capitalize // "Ada lovelace"
char_at: "tea".char_at(1) // "e"
chars: "tea".chars // ["t", "e", "a"]
contains: "green tea".contains("tea") // true
count: "banana".count("an") // 2
ends_with: "photo.png".ends_with(".png") // true
escape_html: "<b>".escape_html // "&lt;b&gt;"
index_of: "green tea".index_of("tea") // 6
is_alpha: "tea4two".is_alpha // false
is_alphanumeric: "tea4two".is_alphanumeric // true
is_blank: "   ".is_blank // true
is_email: "ada@example.org".is_email // true
is_empty: "".is_empty // true
is_numeric: "-12.5".is_numeric // true
join: ", ".join(["a", "b"]) // "a, b"
last_index_of: "banana".last_index_of("an") // 3
len: "tea".len // 3
lines: lines("one\\ntwo") // ["one", "two"]
lower: "TEA".lower // "tea"
pad_end: "7".pad_end(3, ".") // "7.."
pad_start: "7".pad_start(3, "0") // "007"
remove_prefix: "room:tea".remove_prefix("room:") // "tea"
remove_suffix: "photo.png".remove_suffix(".png") // "photo"
repeat: "ab".repeat(3) // "ababab"
replace: "a-b-c".replace("-", "+") // "a+b-c"
replace_all: "a-b-c".replace_all("-", "+") // "a+b+c"
reverse: "abc".reverse // "cba"
slice: "green tea".slice(-3) // "tea"
slug: "Green Tea, please!".slug // "green-tea-please"
split: "a,b,c".split(",") // ["a", "b", "c"]
starts_with: "room:tea".starts_with("room:") // true
substring: "green tea".substring(0, 5) // "green"
title: "ada lovelace".title // "Ada Lovelace"
trim: "  tea ".trim // "tea"
trim_end: "tea  ".trim_end // "tea"
trim_start: "  tea".trim_start // "tea"
truncate: "a long title".truncate(9) // "a long..."
upper: "tea".upper // "TEA"
words: " one  two ".words // ["one", "two"]
"""

_LIST: Final = """\
avg: [1, 2, 6].avg // 3
chunk: [1, 2, 3].chunk(2) // [[1, 2], [3]]
concat: [1].concat([2], [3]) // [1, 2, 3]
contains: ["a", "b"].contains("b") // true
copy: [1, 2].copy // [1, 2]
count: [1, 2, 3].count(n => n > 1) // 2
difference: [1, 2, 3].difference([2]) // [1, 3]
drop: [1, 2, 3].drop(1) // [2, 3]
each: ["a", "b"].each(name => log_info(name)) // ["a", "b"]
every: [2, 4].every(n => n % 2 == 0) // true
filter: [1, 2, 3].filter(n => n > 1) // [2, 3]
find: [1, 2, 3].find(n => n > 1) // 2
find_index: [1, 2, 3].find_index(n => n > 1) // 1
first: [1, 2].first // 1
flat_map: ["a b", "c"].flat_map(t => t.words) // ["a", "b", "c"]
flatten: [1, [2, [3]]].flatten // [1, 2, [3]]
group_by: ["tea", "ale", "soup"].group_by(w => w.len) // { "3": ["tea", "ale"], "4": ["soup"] }
index_of: ["a", "b"].index_of("b") // 1
insert_at: ["a", "c"].insert_at(1, "b") // ["a", "b", "c"]
intersection: [1, 2].intersection([2, 3]) // [2]
is_empty: [].is_empty // true
join: ["a", "b"].join(" + ") // "a + b"
last: [1, 2].last // 2
len: ["a", "b"].len // 2
map: [1, 2].map(n => n * 10) // [10, 20]
max: [{ n: 1 }, { n: 5 }].max("n") // 5
min: [3, 1, 2].min // 1
pop: [1, 2].pop() // 2
push: [1].push(2) // [1, 2]
range: range(1, 4) // [1, 2, 3]
reduce: [1, 2, 3].reduce((sum, n) => sum + n, 0) // 6
remove_at: ["a", "b"].remove_at(0) // "a"
rest: [1, 2, 3].rest // [2, 3]
reverse: [1, 2].reverse // [2, 1]
shift: [1, 2].shift() // 1
slice: [1, 2, 3, 4].slice(1, -1) // [2, 3]
some: [1, 2].some(n => n > 1) // true
sort: [{ n: 2 }, { n: 1 }].sort("n") // [{ n: 1 }, { n: 2 }]
splice: [1, 2, 3].splice(1, 1) // [2]
sum: [{ price: 2 }, { price: 3 }].sum(i => i.price) // 5
symmetric_difference: [1, 2].symmetric_difference([2, 3]) // [1, 3]
take: [1, 2, 3].take(2) // [1, 2]
union: [1, 2].union([2, 3]) // [1, 2, 3]
unique: [1, 1, 2].unique // [1, 2]
unshift: [2].unshift(1) // [1, 2]
zip: [1, 2].zip(["a", "b"]) // [[1, "a"], [2, "b"]]
zip_with: [1, 2].zip_with([10, 20], (a, b) => a + b) // [11, 22]
"""

_MAP: Final = """\
copy: copy({ a: 1 }) // { a: 1 }
delete_key: delete_key({ a: 1, b: 2 }, "a") // { b: 2 }
entries: entries({ a: 1 }) // [["a", 1]]
from_entries: from_entries([["a", 1]]) // { a: 1 }
get: get({ a: 1 }, "b", 0) // 0
has_key: has_key({ a: none }, "a") // true
is_empty: is_empty({}) // true
keys: keys({ a: 1, b: 2 }) // ["a", "b"]
len: len({ a: 1, b: 2 }) // 2
map_values: map_values({ a: 1 }, n => n + 1) // { a: 2 }
merge: merge({ a: 1 }, { a: 2, b: 3 }) // { a: 2, b: 3 }
omit: omit({ a: 1, b: 2 }, ["b"]) // { a: 1 }
pick: pick({ a: 1, b: 2 }, ["b"]) // { b: 2 }
set: set({ a: 1 }, "b", 2) // { a: 1, b: 2 }
values: values({ a: 1, b: 2 }) // [1, 2]
"""

_NUMBER: Final = """\
abs: abs(-3) // 3
ago: 2.hours.ago < now() // true
ceil: 1.2.ceil // 2
clamp: 15.clamp(0, 10) // 10
days: 2.days // 172_800_000
floor: 1.8.floor // 1
format: 3.14159.format(2) // "3.14"
from_now: 2.hours.from_now > now() // true
hours: 1.5.hours // 5_400_000
is_nan: is_nan(sqrt(-1)) // true
max: max(3, 7, 5) // 7
min: min(3, 7, 5) // 3
minutes: 5.minutes // 300_000
months: 1.month // 2_592_000_000
pow: pow(2, 10) // 1024
random: random() < 1 // true
random_int: random_int(1, 6) <= 6 // true
round: 2.345.round(1) // 2.3
seconds: 30.seconds // 30_000
sign: sign(-5) // -1
sqrt: sqrt(9) // 3
trunc: trunc(-1.8) // -1
weeks: 1.week // 604_800_000
years: 1.year == 365.days // true
"""

_TIME: Final = """\
day: parse_time("2026-03-09T08:05:00Z").day // 9
format: parse_time("2026-03-09T08:05:00Z").format("D MMMM YYYY, HH:mm") // "9 March 2026, 08:05"
hour: parse_time("2026-03-09T08:05:00Z").hour // 8
minute: parse_time("2026-03-09T08:05:00Z").minute // 5
month: parse_time("2026-03-09T08:05:00Z").month // 3
now: now() > parse_time("2020-01-01") // true
parse_time: parse_time("not a time") // none
second: parse_time("2026-03-09T08:05:07Z").second // 7
start_of_day: to_text(parse_time("2026-03-09T08:05:00Z").start_of_day) // "2026-03-09T00:00:00Z"
time_from_ms: time_from_ms(0).year // 1970
timestamp: parse_time("1970-01-01T00:00:01Z").timestamp // 1000
today: today() <= now() // true
tomorrow: tomorrow() > now() // true
weekday: parse_time("2026-03-09").weekday // 1
year: parse_time("2026-03-09").year // 2026
yesterday: yesterday() < today() // true
"""

_BYTES: Final = """\
decode_utf8: decode_utf8(encode_utf8("tea")) // "tea"
encode_utf8: encode_utf8("t\\u{e9}").len // 3
is_empty: encode_utf8("").is_empty // true
len: encode_utf8("tea").len // 3
slice: decode_utf8(encode_utf8("tea").slice(1)) // "ea"
"""

_VALUE: Final = """\
is_none: is_none(none) // true
parse_json: parse_json("[1, 2]") // [1, 2]
to_bool: to_bool("off") // false
to_int: to_int("42") // 42
to_json: to_json([1, none]) // "[1,null]"
to_number: to_number("2.5") // 2.5
to_text: to_text(12) // "12"
type_of: type_of([]) // "list"
"""

_HTTP: Final = """\
url_decode: url_decode("a%20b") // "a b"
url_encode: url_encode("a b&c") // "a%20b%26c"
"""

_SECURITY: Final = """\
base64_decode: base64_decode("dGVh") // "tea"
base64_decode_bytes: base64_decode_bytes("dGVh").len // 3
base64_encode: base64_encode("tea") // "dGVh"
csrf_verify: csrf_verify("a", "b") // false
hmac: hmac("tea", "key").len // 64
jwt_decode: jwt_decode("not a token", "0123456789abcdef0123456789abcdef") // none
jwt_encode: jwt_encode({ id: 1 }, "0123456789abcdef0123456789abcdef").split(".").len // 3
md5: md5("tea") // "7239ea2b5dc943f61f3c0a0276c20974"
secure_random: secure_random(16).len // 32
sha256: sha256("tea").starts_with("a9f74d1e") // true
sha512: sha512("tea").len // 128
verify_token: verify_token("not a token") // none
"""

_CIPHER: Final = """\
decrypt: decrypt(encrypt({ card: 42 })) // { card: 42 }
encrypt: encrypt("secret") != "secret" // true
"""

_TOTP: Final = """\
otp_generate: otp_generate(6).len // 6
totp_secret: totp_secret().len >= 32 // true
totp_verify: totp_verify(totp_secret(), "000000x") // false
"""

_PROCESS: Final = """\
apply_patch: apply_patch("green tea", { start: 0, delete: 5, insert: "black" }) // "black tea"
env: env("NO_SUCH_VARIABLE") ?? "default" // "default"
generate_uuid: generate_uuid().len // 36
server_uptime: server_uptime() >= 0 // true
"""

_FILES: Final[dict[str, str]] = {
    "ws.broadcast": 'ws {\n    on message(data) { broadcast("room:tea", data) }\n}',
    "ws.broadcast_all": 'route POST { broadcast_all({ type: "news", text: body.text }) }',
    "ws.broadcast_others": (
        "ws {\n    on connect { ws_join(params.id) }\n"
        '    on message(data) { broadcast_others(params.id, { type: "typing" }) }\n}'
    ),
    "ws.ws_clients": 'route GET { ws_clients("room:tea") }',
    "ws.ws_close": (
        'ws {\n    on connect {\n        if !session.userId { ws_close(4001, "log in first") }\n'
        "    }\n}"
    ),
    "ws.ws_count": 'route GET { { here: ws_count("room:tea"), all: ws_count() } }',
    "ws.ws_join": 'ws {\n    on connect { ws_join("document:" + params.id) }\n}',
    "ws.ws_leave": (
        "ws {\n    on message(data) {\n"
        '        if data.type == "leave" { ws_leave(data.room) }\n    }\n}'
    ),
    "ws.ws_rooms": "ws {\n    on message(data) { ws_send(ws.connection_id, ws_rooms()) }\n}",
    "ws.ws_send": 'ws {\n    on connect { ws_send(ws.connection_id, { type: "hello" }) }\n}',
    "response.abort": (
        "entity Note { text: text }\n\n"
        'route GET { Note.find(query.id) ?? abort(404, "No such note") }'
    ),
    "response.delete_cookie": 'route POST {\n    delete_cookie("theme")\n    { ok: true }\n}',
    "response.error": 'route GET { error(404, "No such ticket", { id: params.id }) }',
    "response.next": 'middleware {\n    next()\n    response.headers["X-App"] = "tea"\n}',
    "response.rate_limit": (
        'route POST {\n    rate_limit("login:" + request.ip, 5, 60)\n    { ok: true }\n}'
    ),
    "response.redirect": 'route GET { redirect("/login") }',
    "response.set_cookie": (
        'route POST {\n    set_cookie("theme", "dark", { max_age: 86_400 })\n    { ok: true }\n}'
    ),
    "stream.event_stream": (
        "guard auth\n\nroute GET {\n"
        '    event_stream(["news", "user:" + session.userId], [{ type: "hello" }])\n}'
    ),
    "http.http_delete": 'route POST { http_delete("https://api.example.org/items/1").status }',
    "http.http_get": (
        "route GET {\n"
        '    answer = http_get("https://api.example.org/items", { timeout: 5.seconds })\n'
        '    if !answer.ok { return error(502, "No answer") }\n    answer.json\n}'
    ),
    "http.http_patch": (
        "route POST {\n"
        '    http_patch("https://api.example.org/items/1", { json: { done: true } }).ok\n}'
    ),
    "http.http_post": (
        "route POST {\n"
        '    answer = http_post("https://api.example.org/items", { json: body, retries: 2 })\n'
        "    { status: answer.status, item: answer.json }\n}"
    ),
    "http.http_put": (
        'route POST { http_put("https://api.example.org/items/1", { body: "text" }).status }'
    ),
    "http.http_request": (
        'route GET { http_request("OPTIONS", "https://api.example.org/items").headers }'
    ),
    "file.delete_file": "route DELETE { { gone: delete_file(body.path) } }",
    "file.file_exists": 'route GET { file_exists("uploads/" + params.id) }',
    "file.read_binary": 'route GET { read_binary("uploads/" + params.id) }',
    "file.read_file": 'route GET { read_file("texts/welcome.md") ?? error(404, "No text") }',
    "file.save_binary": (
        'ws {\n    on message(data) {\n        if data.type == "binary" {\n'
        '            path = save_binary(data.bytes, "uploads")\n'
        "            ws_send(ws.connection_id, { path: path })\n        }\n    }\n}"
    ),
    "file.save_file": (
        'route POST {\n    validate {\n        photo: file @required @maxSize("5MB")\n    }\n'
        '    { path: save_file(body.photo, "photos") }\n}'
    ),
    "security.create_token": (
        'route POST {\n    user = { id: 7, name: "Ada", role: "editor" }\n'
        '    { token: create_token(user, { expires: "7d" }) }\n}'
    ),
    "security.csrf_token": "route GET { { csrf: csrf_token() } }",
    "security.hash_password": "route POST { { stored: hash_password(body.password) } }",
    "security.refresh_token": "route POST { { token: refresh_token(body.token) } }",
    "security.verify_password": (
        "route POST {\n    if !verify_password(body.password, body.stored, body.name) {\n"
        '        return error(401, "Wrong password")\n    }\n    { ok: true }\n}'
    ),
    "log.log_debug": 'route GET {\n    log_debug("asked", { id: params.id })\n    { ok: true }\n}',
    "log.log_error": 'route GET {\n    log_error("mail server is away")\n    { ok: true }\n}',
    "log.log_info": 'ws {\n    on close { log_info("left: {session.userName}") }\n}',
    "log.log_warn": 'route GET {\n    log_warn("slow", { ms: 120 })\n    { ok: true }\n}',
    "validate.validate": (
        "ws {\n    on message(data) {\n"
        '        checked = validate(data, { text: "text @required @maxLength(500)" })\n'
        '        if checked.ok { broadcast("room:tea", checked.data) }\n    }\n}'
    ),
    "test.test_get": (
        'route GET { { ok: true } }\n\ntest "answers" {\n    expect test_get("/").status == 200\n}'
    ),
    "test.test_post": (
        "route POST { { got: body.text } }\n\n"
        'test "echoes" {\n    answer = test_post("/", { text: "hi" })\n'
        '    expect answer.body.got == "hi"\n}'
    ),
    "test.test_request": (
        "route DELETE { { gone: true } }\n\n"
        'test "deletes" {\n    expect test_request("DELETE", "/").status == 200\n}'
    ),
    "test.test_login": (
        "guard auth\n\nroute GET { { me: session.userId } }\n\n"
        'test "is for members" {\n    expect test_get("/").status == 401\n'
        '    test_login({ id: 7, name: "Ada" })\n    expect test_get("/").status == 200\n}'
    ),
    "test.test_ws": (
        "ws {\n    on message(data) { ws_send(ws.connection_id, data) }\n}\n\n"
        'test "echoes" {\n    socket = test_ws("/")\n    socket.send({ text: "hi" })\n'
        '    expect socket.receive().text == "hi"\n}'
    ),
    "process.sleep": "route GET {\n    sleep(2.seconds)\n    { ok: true }\n}",
}

_AREAS: Final = {
    "text": _TEXT,
    "list": _LIST,
    "map": _MAP,
    "number": _NUMBER,
    "time": _TIME,
    "bytes": _BYTES,
    "value": _VALUE,
    "http": _HTTP,
    "security": _SECURITY,
    "cipher": _CIPHER,
    "totp": _TOTP,
    "process": _PROCESS,
}


def examples() -> dict[str, str]:
    """Example by `area.name`."""
    found = dict(_FILES)
    for area, lines in _AREAS.items():
        for line in lines.splitlines():
            name, _, code = line.partition(": ")
            found[f"{area}.{name}"] = code
    return found
