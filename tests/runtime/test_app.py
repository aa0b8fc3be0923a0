"""Programs answer requests: routes, middleware, guards, validation, errors."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from flinfast.errors import CompileError, ConfigError
from flinfast.runtime.app import App
from flinfast.settings import SecuritySettings, ServerSettings
from flinfast.testing import TestClient
from tests.runtime.programs import LOGIN, app_of, client_of, logged, write

Load = Callable[..., TestClient]


@pytest.fixture
def load(tmp_path: Path) -> Iterator[Load]:
    made: list[TestClient] = []

    def load(files: Mapping[str, str] | str, **tables: Any) -> TestClient:
        if isinstance(files, str):
            files = {"app/index.flin": files}
        made.append(client_of(tmp_path, files, **tables))
        return made[-1]

    yield load
    for client in made:
        client.close()


# --- values and context ----------------------------------------


@pytest.mark.parametrize(
    ("code", "status", "body"),
    [
        ("{ a: 1, b: [1.5, none, true] }", 200, b'{"a":1,"b":[1.5,null,true]}'),
        ('"text"', 200, b'"text"'),
        ("none", 200, b"null"),
        ("return 7", 200, b"7"),
        ("x = 1", 204, b""),
        ('error(409, "Taken")', 409, b'{"error":"Taken","status":409}'),
        ('if true { return error(418, "Tea") } 1', 418, b'{"error":"Tea","status":418}'),
        (
            'response { status: 201, body: "x", headers: { "Content-Type": "text/plain" } }',
            201,
            b"x",
        ),
        ("response.created({ id: 1 })", 201, b'{"id":1}'),
        ('response.html("<p>")', 200, b"<p>"),
        ("response.no_content()", 204, b""),
        ('redirect("/login")', 302, b""),
        ("response.status = 202\n5", 202, b"5"),
        ("response.status = 203 response.body = [1] response", 203, b"[1]"),
    ],
)
def test_value_of_a_handler_is_the_response(
    load: Load, code: str, status: int, body: bytes
) -> None:
    """The table of 8.3."""
    response = load(f"route GET {{ {code} }}").get("/")
    assert (response.status, response.body) == (status, body)


def test_context_names(load: Load) -> None:
    """params, query, headers, cookies, request."""
    client = load(
        {
            "app/[team]/x.flin": """route POST { {
                team: params.team, q: query.q, all: query.all("q"), none: query.none,
                agent: headers.user_agent, raw: headers["X-Id"], cookie: cookies.c,
                method: request.method, path: request.path, ip: request.ip, host: request.host,
                url: request.url, body: body, size: request.body_raw.len
            } }"""
        }
    )
    client.cookies["c"] = "v"
    response = client.post(
        "/a%20b/x?q=1&q=2",
        json={"k": [1]},
        headers={"User-Agent": "ua", "x-id": "7"},
        peer="192.0.2.7",
    )
    assert response.json() == {
        "team": "a b",
        "q": "1",
        "all": ["1", "2"],
        "none": None,
        "agent": "ua",
        "raw": "7",
        "cookie": "v",
        "method": "POST",
        "path": "/a b/x",
        "ip": "192.0.2.7",
        "host": "testserver",
        "url": "http://testserver/a%20b/x?q=1&q=2",
        "body": {"k": [1]},
        "size": 9,
    }


def test_cookies_are_set_and_deleted(load: Load) -> None:
    """set_cookie, response.cookies and delete_cookie."""
    client = load(
        """
        route GET {
            set_cookie("a", "1", { max_age: 60 })
            response.cookies["b"] = "2"
            { c: cookies.a }
        }
        route DELETE { delete_cookie("a") }
        """
    )
    response = client.get("/")
    assert "a=1; Max-Age=60; Path=/; HttpOnly; SameSite=Lax" in response.headers["set-cookie"]
    assert client.cookies == {"a": "1", "b": "2"}
    assert client.get("/").json() == {"c": "1"}
    client.delete("/")
    assert client.cookies == {"b": "2"}


# --- methods ----------------------------------------


def test_methods_of_a_path(load: Load) -> None:
    """HEAD from GET, OPTIONS, 405 with Allow, 404, 400."""
    client = load(
        {"app/a.flin": "route GET { 1 } route DELETE { 2 }", "app/b.flin": "route POST { 3 }"}
    )
    assert client.request("HEAD", "/a").status == 200
    options = client.request("OPTIONS", "/a")
    assert (options.status, options.headers["allow"]) == (204, "DELETE, GET, HEAD, OPTIONS")
    put = client.put("/a")
    assert (put.status, put.headers["allow"]) == (405, "DELETE, GET, HEAD, OPTIONS")
    assert put.json() == {"error": "Method Not Allowed", "status": 405}
    assert client.get("/b").status == 405
    assert client.request("HEAD", "/b").status == 405
    assert client.get("/c").json() == {"error": "Not Found", "status": 404}
    assert client.get("/../a").status == 400


def test_browser_gets_pages_for_errors(load: Load) -> None:
    """404 and 405 as HTML where that is preferred."""
    client = load("route GET { 1 }")
    client.base_headers["accept"] = "text/html"
    assert client.get("/x").text.startswith("<!doctype html>")
    assert client.post("/").headers["content-type"] == "text/html; charset=utf-8"


def test_defined_options_and_head_are_used(load: Load) -> None:
    """A block of one's own comes first, guards included."""
    client = load('guard method("GET") route OPTIONS { "o" } route HEAD { 1 } route GET { 2 }')
    assert client.request("OPTIONS", "/").status == 405
    assert client.request("HEAD", "/").status == 200


# --- validate ----------------------------------------


def test_validate_block(load: Load) -> None:
    """Errors by field; converted values and defaults in body; unknown fields pass through."""
    client = load(
        """route POST {
            validate { name: text @required @minLength(2)  age: int @min(1)  role: text = "user" }
            body
        }"""
    )
    assert client.post("/", json={"name": "Ada", "age": 2.0, "x": 1}).json() == {
        "name": "Ada",
        "age": 2,
        "x": 1,
        "role": "user",
    }
    response = client.post("/", json={"name": "A", "age": "x"})
    assert response.status == 400
    assert response.json() == {
        "error": "Validation failed",
        "status": 400,
        "fields": {"name": "must be at least 2 characters", "age": "must be an integer"},
    }
    assert client.post("/", form={"name": "Ada", "age": "3"}).json()["age"] == 3
    assert client.post("/").json()["fields"]["name"] == "is required"
    broken = client.post("/", body=b"{", headers={"content-type": "application/json"})
    assert broken.json() == {"error": "Invalid JSON", "status": 400}


def test_validate_knows_entities(load: Load) -> None:
    """A field of entity type needs an id that exists."""
    client = load(
        {**LOGIN, "app/a.flin": "route POST { validate { user: User @required } body.user }"}
    )
    client.post("/login", json={"name": "Ada"})
    assert client.post("/a", json={"user": 1}).json() == 1
    assert client.post("/a", json={"user": 2}).json()["fields"] == {
        "user": "must be an existing User"
    }


# --- faults ----------------------------------------


def test_fault_answers_500_and_names_its_line(load: Load) -> None:
    """Nothing of Python reaches the client; the log has file and line."""
    client = load("route GET {\n    a = none\n    a.b\n}")
    response = client.get("/")
    assert response.json() == {"error": "Internal Server Error", "status": 500}
    line = next(line for line in client.log if line.level == "error")
    assert line.place == "app/index.flin:3"
    assert line.fields["code"] == "FL502"


@pytest.mark.parametrize(
    ("code", "fault"),
    [
        ("1 / (query.n || 0)", "FL503"),
        ("f(1)", "FL551"),
        ("x = { }\n x.a.b.c", "FL502"),
        ("[1] < 2", "FL501"),
        ("to_text(1).no_such_thing()", "FL505"),
        ("response { status: 42 }", "FL560"),
        ("{ f: f }", "FL504"),
        ("session.x = f", "FL562"),
        ('set_cookie("a", "b;c")', "FL561"),
        ("request.path = 1", "FL507"),
    ],
)
def test_fault_codes(load: Load, code: str, fault: str) -> None:
    """Each kind of failure has its code, also where Python raised it."""
    client = load(f"fn f(n) {{ f(n + 1) + 1 }}\nroute GET {{ {code} }}")
    assert client.get("/").status == 500
    fields = [line.fields for line in client.log if line.level == "error"]
    assert [f["code"] for f in fields] == [fault]


def test_failing_handler_leaves_nothing(load: Load) -> None:
    """No row, no session, no cookie: only its error."""
    client = load(
        {
            **LOGIN,
            "app/a.flin": """
                route POST {
                    save User { name: "x" }
                    session.n = 1
                    set_cookie("a", "b")
                    broadcast("r", "never")
                    none.x
                }
                route GET { { users: User.count, n: session.n } }
            """,
        }
    )
    response = client.post("/a")
    assert response.status == 500
    assert "set-cookie" not in response.headers
    assert client.get("/a").json() == {"users": 0, "n": None}


def test_validation_on_save_and_unique(load: Load) -> None:
    """400 with fields, 409 with fields."""
    client = load({**LOGIN, "app/a.flin": "route POST { save User { name: body.name } 1 }"})
    assert client.post("/a", json={"name": ""}).status == 400
    assert client.post("/a", json={"name": ""}).json()["fields"].keys() == {"name"}
    assert client.post("/a", json={"name": "x"}).status == 200
    taken = client.post("/a", json={"name": "x"})
    assert taken.status == 409
    assert taken.json()["fields"].keys() == {"name"}
    assert logged(client, "error") == []


def test_dev_mode_shows_the_source(tmp_path: Path) -> None:
    """File, line, source and code, as JSON and as a page."""
    from flinfast.settings import Settings

    write(tmp_path, {"app/index.flin": "route GET {\n    none.x\n}"})
    with TestClient(tmp_path, settings=Settings(mode="dev")) as client:
        detail = client.get("/").json()["detail"]
        assert detail["at"] == "app/index.flin:2"
        assert ">    2 |     none.x" in detail["source"]
        page = client.get("/", headers={"accept": "text/html"}).text
        assert "app/index.flin:2" in page


# --- guards ----------------------------------------


def test_guards_of_file_and_block(load: Load) -> None:
    """File guards first, then the block's; the handler never runs."""
    client = load(
        {
            **LOGIN,
            "app/a.flin": """
                guard auth
                route GET { session.userName }
                route POST { guard role("admin") save User { name: "made" } 1 }
                route DELETE { guard owner(query.id) "yours" }
            """,
            "app/count.flin": "route GET { User.count }",
        }
    )
    for method in ("GET", "POST", "DELETE"):
        assert client.request(method, "/a").status == 401
    client.post("/login", json={"name": "Ada"})
    assert client.get("/a").json() == "Ada"
    assert client.post("/a").status == 403
    assert client.get("/count").json() == 1
    assert client.delete("/a?id=1").json() == "yours"
    assert client.delete("/a?id=2").status == 403
    admin = client.another()
    admin.post("/login", json={"name": "Eve", "role": "admin"})
    assert admin.post("/a").status == 200


def test_custom_guards(load: Load) -> None:
    """Definitions in guards/, in a middleware file and in the file itself."""
    client = load(
        {
            "guards/level.flin": """guard_definition min_level(n) {
                if query.level == none { return error(401, "Login required") }
                if to_int(query.level) < n { return response { status: 403, body: { need: n } } }
            }""",
            "app/a.flin": "guard min_level(3)\nroute GET { 1 }",
            "app/b.flin": """guard_definition odd() { to_int(query.n) % 2 == 1 }
                route GET { guard odd() 2 }""",
        }
    )
    assert client.get("/a").json() == {"error": "Login required", "status": 401}
    response = client.get("/a?level=2")
    assert (response.status, response.json()) == (403, {"need": 3})
    assert client.get("/a?level=3").json() == 1
    assert client.get("/b?n=1").json() == 2
    assert client.get("/b?n=2").status == 403
    assert client.get("/b").status == 403


def test_guard_arguments_by_name(load: Load) -> None:
    """Definitions take named arguments; a wrong name denies."""
    client = load(
        """guard_definition between(low, high) {
            n = to_int(query.n)
            if n < low || n > high { return error(403, "out") }
        }
        route GET { guard between(high: 9, low: 3) 1 }"""
    )
    assert [client.get(f"/?n={n}").status for n in (2, 3, 9, 10)] == [403, 200, 200, 403]


def test_answer_with_a_new_session_is_not_cached(load: Load) -> None:
    """A shared cache must not hand a session cookie to somebody else."""
    client = load(
        """route GET { session.n = 1 "x" }
        route POST {
            session.n = 1
            response { body: 1, headers: { "cache-control": "private" } }
        }"""
    )
    assert client.get("/").headers["cache-control"] == "no-store"
    assert client.another().post("/").headers["cache-control"] == "private"
    assert "cache-control" not in client.get("/").headers


def test_rate_limit_counts_per_route(load: Load) -> None:
    """File and method; another method has its own window."""
    client = load("guard rate_limit(2, 60) route GET { 1 } route POST { 2 }")
    assert [client.get("/").status for _ in range(3)] == [200, 200, 429]
    assert client.post("/").status == 200
    assert client.get("/").headers["retry-after"] == "60"


# --- middleware ----------------------------------------


def test_middleware_runs_from_the_root_inwards(load: Load) -> None:
    """Headers before and after next(); request.user; the inner response is seen."""
    client = load(
        {
            "app/_middleware.flin": """middleware {
                response.headers["X-Root"] = "1"
                request.user = { name: "mw" }
                next()
                response.headers["X-Status"] = to_text(response.status)
            }""",
            "app/api/_middleware.flin": """middleware {
                if query.stop { return error(402, "Pay") }
                if query.go { return redirect("/x") }
                response.headers["X-Root"] = "2"
                next()
            }""",
            "app/api/a.flin": "route GET { response { status: 201, body: request.user.name } }",
            "app/b.flin": "route GET { 1 }",
        }
    )
    a = client.get("/api/a")
    assert (a.status, a.json(), a.headers["x-root"], a.headers["x-status"]) == (
        201,
        "mw",
        "2",
        "201",
    )
    b = client.get("/b")
    assert (b.headers["x-root"], b.headers["x-status"]) == ("1", "200")
    stopped = client.get("/api/a?stop=1")
    assert (stopped.status, stopped.headers["x-status"]) == (402, "402")
    assert client.get("/api/a?go=1").headers["location"] == "/x"


def test_middleware_without_next_is_forbidden(load: Load) -> None:
    """Nothing built: 403; something built: that; the handler never runs."""
    client = load(
        {
            "app/_middleware.flin": """middleware {
                if query.own { response.status = 451 response.body = { no: true } }
                else { if query.pass { next() } }
            }""",
            "app/index.flin": "route GET { 1 }",
        }
    )
    assert client.get("/").json() == {"error": "Forbidden", "status": 403}
    own = client.get("/?own=1")
    assert (own.status, own.json()) == (451, {"no": True})
    assert client.get("/?pass=1").json() == 1


def test_middleware_sees_the_error_of_a_failing_handler(load: Load) -> None:
    """It may add headers; the run has failed all the same."""
    client = load(
        {
            **LOGIN,
            "app/_middleware.flin": """middleware {
                if request.method == "PUT" { save User { name: "audit" } }
                next()
                response.headers["X-Seen"] = to_text(response.status)
            }""",
            "app/a.flin": "route PUT { none.x } route GET { User.count }",
        }
    )
    response = client.put("/a")
    assert (response.status, response.headers["x-seen"]) == (500, "500")
    assert client.get("/a").json() == 0


def test_next_twice_is_a_fault(load: Load) -> None:
    """The handler runs at most once."""
    client = load(
        {
            "app/_middleware.flin": "middleware { next() next() }",
            "app/index.flin": "route GET { 1 }",
        }
    )
    assert client.get("/").status == 500
    assert [line.fields["code"] for line in client.log if line.level == "error"] == ["FL563"]


def test_failing_middleware_stops_the_chain(load: Load) -> None:
    """500, and the handler never runs."""
    client = load(
        {
            **LOGIN,
            "app/_middleware.flin": "middleware { if query.bad { none.x } next() }",
            "app/a.flin": 'route POST { save User { name: "x" } } route GET { User.count }',
        }
    )
    assert client.post("/a?bad=1").status == 500
    assert client.get("/a").json() == 0


def test_middleware_can_answer_preflights(load: Load) -> None:
    """OPTIONS without a block goes through the chain."""
    client = load(
        {
            "app/_middleware.flin": """middleware {
                response.headers["Access-Control-Allow-Origin"] = "*"
                next()
            }""",
            "app/index.flin": "route POST { 1 }",
        }
    )
    response = client.request("OPTIONS", "/")
    assert (response.status, response.headers["access-control-allow-origin"]) == (204, "*")


def test_guards_decide_about_blocks_and_not_about_their_names(load: Load) -> None:
    """OPTIONS without a block runs no statement of the file; with one it is guarded like others."""
    guard = 'guard_definition closed() { log_info("asked"); false }\nguard closed\n'
    client = load(
        {
            "app/index.flin": guard + 'route POST { log_info("ran") }',
            "app/own.flin": guard + "route OPTIONS { 1 }",
        }
    )
    response = client.request("OPTIONS", "/")
    assert (response.status, response.headers["allow"]) == (204, "OPTIONS, POST")
    assert response.body == b""
    assert client.put("/").headers["allow"] == "OPTIONS, POST"  # nor does 405 keep them secret
    assert client.log == []
    assert client.post("/").status == 403
    assert client.request("OPTIONS", "/own").status == 403
    assert [line.text for line in client.log] == ["asked", "asked"]


# --- sessions ----------------------------------------


def test_login_and_logout(load: Load) -> None:
    """The first write sets the cookie, login rotates it, logout deletes it."""
    client = load(
        {
            **LOGIN,
            "app/me.flin": """
                route GET { { id: session.userId, name: session.user?.name } }
                route POST { session.seen = 1 }
            """,
        }
    )
    assert client.get("/me").json() == {"id": None, "name": None}
    assert client.cookies == {}
    client.post("/me")
    before = client.cookies["flin_session"]
    client.post("/login", json={"name": "Ada"})
    after = client.cookies["flin_session"]
    assert before != after
    assert client.get("/me").json() == {"id": "1", "name": "Ada"}
    stolen = client.another()
    stolen.cookies["flin_session"] = before
    assert stolen.get("/me").json() == {"id": None, "name": None}
    client.delete("/login")
    assert client.cookies == {}
    stolen.cookies["flin_session"] = after
    assert stolen.get("/me").json() == {"id": None, "name": None}


def test_session_survives_a_restart(tmp_path: Path) -> None:
    """Data and secret are in the data folder."""
    files = {**LOGIN, "app/me.flin": "route GET { session.userName }"}
    with client_of(tmp_path, files) as first:
        first.post("/login", json={"name": "Ada"})
        cookies = dict(first.cookies)
    with client_of(tmp_path, files) as second:
        second.cookies = cookies
        assert second.get("/me").json() == "Ada"


def test_foreign_page_cannot_use_the_session(load: Load) -> None:
    """Unsafe requests with our cookie need our origin; without the cookie anyone may ask."""
    client = load({**LOGIN, "app/a.flin": "route POST { 1 } route GET { 2 }"})
    evil = {"Origin": "http://evil.test"}
    assert client.post("/a", headers=evil).status == 200
    client.post("/login", json={"name": "Ada"})
    assert client.post("/a", headers=evil).status == 403
    assert client.get("/a", headers=evil).status == 200
    assert client.post("/a", headers={"Origin": "http://testserver"}).status == 200


def test_listed_origin_may_use_the_session(load: Load) -> None:
    """security.cors_origins names other front ends; `*` never opens sessions."""
    client = load(
        {**LOGIN, "app/a.flin": "route POST { 1 }"},
        security=SecuritySettings(cors_origins=("https://web.test", "*")),
    )
    client.post("/login", json={"name": "Ada"})
    assert client.post("/a", headers={"Origin": "https://web.test"}).status == 200
    assert client.post("/a", headers={"Origin": "https://other.test"}).status == 403


# --- waiting ----------------------------------------


def test_waiting_handlers_overlap(tmp_path: Path) -> None:
    """A sleeping handler does not hold others up, and its writes before the wait stay."""
    files = {
        **LOGIN,
        "app/a.flin": """
            route POST {
                save User { name: "before" }
                sleep(1000)
                save User { name: "after" }
                User.count
            }
            route GET { User.count }
        """,
    }
    app, loop = app_of(tmp_path, files)
    slow = ask(app, "POST", "/a")
    assert slow == []
    assert ask(app, "GET", "/a") == []
    loop.run_threads()
    loop.pass_time(1.1)
    loop.run_threads()
    assert [r.body for r in slow] == [b"2"]
    app.close()


def test_waiting_handler_beyond_its_time_answers_503(tmp_path: Path) -> None:
    """server.handler_timeout_s."""
    app, loop = app_of(
        tmp_path,
        {"app/index.flin": "route GET { sleep(60000) 1 }"},
        server=ServerSettings(handler_timeout_s=0.2),
    )
    app._pool._monotonic = loop.monotonic
    answers = ask(app, "GET", "/")
    loop.pass_time(0.3)
    loop.run_threads()
    assert [r.status for r in answers] == [503]
    app.close()


def ask(app: App, method: str, target: str, **parts: Any) -> list[Any]:
    """Send a request; the list gets its answer."""
    from tests.runtime.harness import make_request

    answers: list[Any] = []
    request = make_request(method, target, **parts)
    match = app.match(request.path)
    assert match is not None
    app.handle(match, request, answers.append)
    return answers


# --- durability ----------------------------------------

COUNTER = {
    "app/n.flin": "route POST { save N { } 1 } route GET { N.count } route PUT { 1 }",
    "entities/n.flin": "entity N { x: int = 0 }",
}


def test_answer_waits_for_the_disk(tmp_path: Path) -> None:
    """Writers, and readers of what they wrote; whoever reads nothing does not wait."""
    app, loop = app_of(tmp_path, COUNTER)
    write_answer = ask(app, "POST", "/n")
    read_answer = ask(app, "GET", "/n")
    assert (write_answer, read_answer) == ([], [])
    assert [r.body for r in ask(app, "PUT", "/n")] == [b"1"]
    loop.run_threads()
    assert [r.body for r in (*write_answer, *read_answer)] == [b"1", b"1"]
    assert [r.body for r in ask(app, "GET", "/n")] == [b"1"]
    app.close()


def test_lost_write_is_not_acknowledged(tmp_path: Path) -> None:
    """A failed sync answers 503, and so does every write after it."""
    app, loop = app_of(tmp_path, COUNTER)
    loop.thread_error = OSError("EIO")
    answers = ask(app, "POST", "/n")
    loop.run_threads()
    loop.thread_error = None
    answers += ask(app, "POST", "/n")
    loop.run_threads()
    assert [r.status for r in answers] == [503, 503]


# --- loading ----------------------------------------


def test_all_faults_of_a_project_are_reported_at_once(tmp_path: Path) -> None:
    """Names, clashes, sizes, encodings and source in one CompileError."""
    write(
        tmp_path,
        {
            "app/a.flin": "route GET { 1 }",
            "app/a/index.flin": "route GET { 1 }",
            "app/[x.flin": "",
            "app/guarded.flin": "guard atuh\nroute GET { 1 }",
            "app/p.flin": 'route GET "/other" { 1 }',
        },
    )
    (tmp_path / "app/bad.flin").write_bytes(b"route \xff")
    with pytest.raises(CompileError) as caught:
        app_of(tmp_path, {})
    found = sorted((d.code, d.source.path) for d in caught.value.diagnostics)
    assert [code for code, _ in found] == ["FL201", "FL303", "FL902", "FL909"]
    clash = next(d for d in caught.value.diagnostics if d.code == "FL303")
    assert {clash.source.path, clash.notes[0].source.path} == {"app/a.flin", "app/a/index.flin"}


def test_path_operand_must_be_the_files_own(tmp_path: Path) -> None:
    """The file system is the only source of routes."""
    with pytest.raises(CompileError) as caught:
        app_of(tmp_path, {"app/p.flin": '\nroute GET "/other" { 1 }'})
    (fault,) = caught.value.diagnostics
    assert fault.code == "FL306"
    assert fault.source.position(fault.span.start)[0] == 2
    app, _ = app_of(tmp_path, {"app/p.flin": 'route GET "/p" { 1 }'})
    app.close()


def test_single_file_program(tmp_path: Path) -> None:
    """One file is `/`, and may name its own paths."""
    write(
        tmp_path,
        {
            "app.flin": """
                route GET { "root" }
                route GET "/items/[id]" { params.id }
                route POST "/items/:id" { 2 }
            """
        },
    )
    with TestClient(tmp_path / "app.flin") as client:
        assert client.get("/").json() == "root"
        assert client.get("/items/7").json() == "7"
        assert client.post("/items/7").json() == 2
        assert client.put("/items/7").headers["allow"] == "GET, HEAD, OPTIONS, POST"


def test_routes_are_listed(tmp_path: Path) -> None:
    """Method, path, place and guards of every handler."""
    app, _ = app_of(
        tmp_path,
        {"app/a/[id].flin": 'guard auth\nroute GET { guard role("x") 1 }\nws { on connect { } }'},
    )
    assert [(r.method, r.path, r.place, r.guards) for r in app.routes] == [
        ("GET", "/a/:id", "app/a/[id].flin:2", 'auth, role("x")'),
        ("WS", "/a/:id", "app/a/[id].flin:3", "auth"),
    ]
    app.close()


@pytest.mark.parametrize("path", ["none", "empty", "file.txt"])
def test_path_that_is_no_project(tmp_path: Path, path: str) -> None:
    """A sentence that says what is missing."""
    (tmp_path / "empty").mkdir()
    (tmp_path / "file.txt").touch()
    with pytest.raises(ConfigError):
        app_of(tmp_path / path, {})


def test_shared_functions_and_entities(load: Load) -> None:
    """lib/ and entities/ are global, order of files does not matter."""
    client = load(
        {
            "app/a.flin": "route GET { twice(total(2)) }",
            "lib/z.flin": "fn total(n) { n + base() }",
            "lib/a.flin": "fn twice(n) { n * 2 }",
            "entities/e.flin": "entity E { n: int = base() }\nfn base() { 40 }",
        }
    )
    assert client.get("/a").json() == 84


# --- reload ----------------------------------------


def test_reload_replaces_handlers(tmp_path: Path) -> None:
    """New code, new routes; sessions and data stay; a broken project changes nothing."""
    with client_of(tmp_path, {**LOGIN, "app/a.flin": "route GET { 1 }"}) as client:
        client.post("/login", json={"name": "Ada"})
        write(
            tmp_path,
            {"app/a.flin": "route GET { session.userName }", "app/b.flin": "route GET { 2 }"},
        )
        client.app.reload()
        assert client.get("/a").json() == "Ada"
        assert client.get("/b").json() == 2
        write(tmp_path, {"app/a.flin": "route GET {"})
        with pytest.raises(CompileError):
            client.app.reload()
        assert client.get("/a").json() == "Ada"


def test_reload_with_changed_entities(tmp_path: Path) -> None:
    """A new field is there at once; a lossy change is refused and the old program goes on."""
    with client_of(tmp_path, COUNTER) as client:
        client.post("/n")
        write(
            tmp_path,
            {
                "entities/n.flin": "entity N { x: int = 0  y: text }",
                "app/n.flin": """
                    route POST { save N { y: "new" } 1 }
                    route GET { N.all.map(n => n.y) }
                """,
            },
        )
        client.app.reload()
        client.post("/n")
        assert client.get("/n").json() == [None, "new"]
