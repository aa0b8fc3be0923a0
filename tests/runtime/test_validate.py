"""validate blocks and field modifiers."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flinfast.lang.modifier import MODIFIERS
from flinfast.lang.program import EntityInfo, FieldInfo, TypeInfo
from flinfast.runtime.check import MAKERS, NOT_CHECKS, TRANSFORMS, checks_of, size_bytes
from flinfast.runtime.entity_spec import entity_specs
from flinfast.runtime.upload import UploadedFile
from flinfast.runtime.validate import INT_MAX, INT_MIN, ITEMS_MAX, Schema, Validator
from flinfast.values import Time

SCHEMA = Schema(
    enums={"State": ("Open", "Closed")},
    entities=frozenset({"User"}),
    exists=lambda entity, id: entity == "User" and id == 7,
)


def kind(text: str) -> TypeInfo:
    """`list int?` and the like: arguments by blanks, `?` for optional."""
    names = text.split(" ")
    made: TypeInfo | None = None
    for name in reversed(names):
        arguments = () if made is None else (made,)
        made = TypeInfo(name.rstrip("?"), arguments, name.endswith("?"))
    assert made is not None
    return made


def field(
    type_text: str = "text", *modifiers: Any, name: str = "f", default: str | None = None
) -> FieldInfo:
    listed = tuple(m if isinstance(m, tuple) else (m, ()) for m in modifiers)
    return FieldInfo(name, kind(type_text), listed, default, 1)


def run(body: Any, *fields: FieldInfo, form: bool = False) -> tuple[dict[str, Any], dict[str, str]]:
    return Validator(fields, SCHEMA, {"d": lambda: "made"}).check(body, is_form=form)


def test_every_modifier_of_the_language_has_a_check() -> None:
    """The compiler's table and ours name the same modifiers."""
    assert set(MAKERS) | set(TRANSFORMS) | NOT_CHECKS == set(MODIFIERS)


def test_seed_example() -> None:
    """user_id: int @required, message: text @required."""
    fields = (field("int", "required", name="user_id"), field("text", "required", name="message"))
    assert run({"user_id": 7, "message": "hi", "x": 1}, *fields) == (
        {"user_id": 7, "message": "hi", "x": 1},
        {},
    )
    for body in ({}, None, [], "text", {"user_id": None, "message": ""}):
        assert run(body, *fields)[1] == {"user_id": "is required", "message": "is required"}
    assert run({"user_id": "7", "message": 5}, *fields)[1] == {
        "user_id": "must be an integer",
        "message": "must be text",
    }


@pytest.mark.parametrize(
    ("type_text", "given_value", "result"),
    [
        ("text", "x", "x"),
        ("int", 3, 3),
        ("int", 3.0, 3),
        ("int", INT_MAX, INT_MAX),
        ("int", INT_MIN, INT_MIN),
        ("number", 3, 3),
        ("number", 2.5, 2.5),
        ("bool", False, False),
        ("time", "2026-01-31T12:00:00Z", Time.parse("2026-01-31T12:00:00Z")),
        ("time", "2026-01-31", Time.parse("2026-01-31")),
        ("duration", 1500, 1500),
        ("bytes", "aGk=", b"hi"),
        ("any", [1, {"a": None}], [1, {"a": None}]),
        ("list", [1, "a"], [1, "a"]),
        ("list int", [1, 2.0], [1, 2]),
        ("list int?", [1, None], [1, None]),
        ("map", {"a": 1}, {"a": 1}),
        ("map int", {"a": 1.0}, {"a": 1}),
        ("State", "Open", "Open"),
        ("User", 7, 7),
        ("User", "7", 7),
    ],
)
def test_json_value_of_its_type_passes(type_text: str, given_value: Any, result: Any) -> None:
    """Values are converted where that loses nothing."""
    assert run({"f": given_value}, field(type_text)) == ({"f": result}, {})


@pytest.mark.parametrize(
    ("type_text", "given_value", "error"),
    [
        ("text", 5, "must be text"),
        ("int", "5", "must be an integer"),
        ("int", 5.5, "must be an integer"),
        ("int", True, "must be an integer"),
        ("int", INT_MAX + 1, "must fit in 64 bits"),
        ("int", INT_MIN - 1, "must fit in 64 bits"),
        ("number", "1", "must be a number"),
        ("number", True, "must be a number"),
        ("number", float("nan"), "must be a number"),
        ("number", 10**400, "must be a number"),
        ("bool", 1, "must be true or false"),
        ("bool", "true", "must be true or false"),
        ("time", "tomorrow", "must be a time such as 2026-01-31T12:00:00Z"),
        ("time", 5, "must be a time such as 2026-01-31T12:00:00Z"),
        ("duration", "1s", "must be a duration in milliseconds"),
        ("file", "x", "must be a file"),
        ("bytes", "?", "must be bytes in base64"),
        ("list", {"a": 1}, "must be a list"),
        ("list", "a", "must be a list"),
        ("list int", [1, "2"], "item 2 must be an integer"),
        ("list int", [None], "item 1 must not be none"),
        ("list", [0] * (ITEMS_MAX + 1), f"must have at most {ITEMS_MAX} items"),
        ("map", [], "must be a map"),
        ("map int", {"a": "x"}, "entry `a` must be an integer"),
        ("State", "open", "must be one of: Open, Closed"),
        ("User", 8, "must be an existing User"),
        ("User", "x", "must be the id of a User"),
        ("User", True, "must be the id of a User"),
        ("User", -7, "must be the id of a User"),
    ],
)
def test_json_value_of_another_type_is_named(type_text: str, given_value: Any, error: str) -> None:
    """JSON is taken strictly."""
    assert run({"f": given_value}, field(type_text))[1] == {"f": error}


@pytest.mark.parametrize(
    ("type_text", "given_value", "result"),
    [
        ("int", " 5 ", 5),
        ("int", "-0", 0),
        ("number", "1e3", 1000.0),
        ("number", "7", 7),
        ("bool", "on", True),
        ("bool", "0", False),
        ("bool", "FALSE", False),
        ("list int", ["1", "2"], [1, 2]),
        ("list", "one", ["one"]),
        ("User", "7", 7),
        ("duration", "250", 250),
    ],
)
def test_form_text_is_read(type_text: str, given_value: Any, result: Any) -> None:
    """Forms send only text."""
    assert run({"f": given_value}, field(type_text), form=True) == ({"f": result}, {})


@pytest.mark.parametrize("text", ["1_0", "٣", "0x1", "1.5", "", " ", "1" * 20, "+-1", "NaN", "1e5"])
def test_odd_digits_are_no_integer(text: str) -> None:
    """Only ASCII digits with a sign."""
    result, errors = run({"f": text}, field("int", "required"), form=True)
    assert errors == {"f": "is required" if text == "" else "must be an integer"}
    assert result["f"] == text


def test_missing_field_takes_its_default_or_none() -> None:
    """Optional fields skip their checks; form fields left empty are missing."""
    fields = (
        field("text", ("min_length", (5,)), name="a"),
        field("text", ("min_length", (5,)), name="b", default="d"),
    )
    assert run({}, *fields) == ({"a": None, "b": "made"}, {})
    assert run({"a": "", "b": ""}, *fields, form=True) == ({"a": None, "b": "made"}, {})
    assert run({"a": ""}, *fields)[1] == {"a": "must be at least 5 characters"}


def test_union_takes_the_first_member_that_fits() -> None:
    """`int | text`."""
    union = TypeInfo("union", (TypeInfo("int"), TypeInfo("text")))
    info = FieldInfo("f", union, (), None, 1)
    assert run({"f": 3.0}, info)[0] == {"f": 3}
    assert run({"f": "x"}, info)[0] == {"f": "x"}
    assert run({"f": []}, info)[1] == {"f": "must be an integer or must be text"}


def test_transforms_come_before_checks() -> None:
    """@trim and @lowercase change the value; blanks alone do not satisfy @required."""
    info = field("text", "required", "trim", "lowercase", ("min_length", (2,)))
    assert run({"f": "  AB "}, info) == ({"f": "ab"}, {})
    assert run({"f": " A "}, info)[1] == {"f": "must be at least 2 characters"}
    assert run({"f": "   "}, info)[1] == {"f": "is required"}


PNG = UploadedFile("a.png", "image/png", b"\x89PNG\r\n\x1a\n....")
FAKE = UploadedFile("a.png", "image/png", b"<script>")


@pytest.mark.parametrize(
    ("type_text", "modifier", "good", "bad", "error"),
    [
        ("text", ("one_of", ("a", "b")), ["a"], ["c", "A"], "must be one of: a, b"),
        ("text", ("one_of", (("a", "b"),)), ["b"], ["ab"], "must be one of: a, b"),
        ("int", ("one_of", (1, True)), [1], [0], "must be one of: 1, true"),
        ("text", ("min_length", (2,)), ["ab", "éé"], ["a", ""], "must be at least 2 characters"),
        ("text", ("max_length", (1,)), ["", "é"], ["ab"], "must be at most 1 character"),
        ("list", ("min_items", (1,)), [[0]], [[]], "must have at least 1 item"),
        ("list", ("max_length", (1,)), [[0]], [[1, 2]], "must have at most 1 item"),
        ("text", ("length", (3,)), ["abc"], ["ab"], "must be exactly 3 characters"),
        ("int", ("min", (2,)), [2, 3], [1], "must be at least 2"),
        ("number", ("max", (2.5,)), [2.5], [2.6], "must be at most 2.5"),
        ("int", "positive", [1], [0, -1], "must be positive"),
        ("int", "negative", [-1], [0], "must be negative"),
        ("number", "integer", [1.0, 2], [1.5], "must be an integer"),
        (
            "text",
            "email",
            ["a@b.co", "a.b+c@d-e.fr"],
            [
                "a",
                "a@b",
                "a@@b.c",
                "a@b.",
                "@b.c",
                "a b@c.d",
                "a@b..c",
                "a@b.c\n",
                "x" * 250 + "@b.co",
            ],
            "must be a valid email",
        ),
        (
            "text",
            "url",
            ["http://a", "https://a.b/c?d"],
            [
                "a",
                "ftp://a",
                "http://",
                "//a",
                "http:// a",
                "http://a\n",
                "http://[",
                "http://a:99999",
            ],
            "must be a valid URL",
        ),
        (
            "text",
            "phone",
            ["+49 30 1234567", "(030) 123"][:1],
            ["12", "abc", "+"],
            "must be a valid phone number",
        ),
        (
            "text",
            "uuid",
            ["123e4567-e89b-12d3-a456-426614174000"],
            ["123e4567e89b12d3a456426614174000", "x"],
            "must be a valid UUID",
        ),
        ("text", "ip", ["127.0.0.1", "::1"], ["1.2.3", "01.2.3.4"], "must be a valid IP address"),
        ("text", "slug", ["a-b-1"], ["A", "a--b", "-a", "a_b", ""], "must be a valid slug"),
        ("text", "alpha", ["abé"], ["a1", "", " "], "must contain only letters"),
        ("text", "alphanumeric", ["a1"], ["a-1", ""], "must contain only letters and digits"),
        ("text", "date", ["2026-02-28"], ["2026-02-30", "20260228", "x"], "must be a valid date"),
        ("text", ("pattern", ("^a+$",)), ["aa"], ["ab", "aa\n", "b\naa"], "has the wrong format"),
        ("text", ("pattern", ("a+",)), ["aa", "baab", "a\n"], ["b"], "has the wrong format"),
        ("text", ("pattern", ("^a$|^b$",)), ["a", "b"], ["a\n", "b\n"], "has the wrong format"),
        (
            "text",
            ("pattern", (r"^[$\]]+\$$",)),
            ["$$", "]$"],
            ["$$\n", "a$"],
            "has the wrong format",
        ),
        ("text", ("pattern", ("^[]$]$",)), ["]", "$"], ["]\n"], "has the wrong format"),
        ("text", ("pattern", ("(?m)^a$",)), ["a", "b\na\nc"], ["b"], "has the wrong format"),
        (
            "file",
            ("max_size", ("1KB",)),
            [UploadedFile("a", "", b"x" * 1024)],
            [UploadedFile("a", "", b"x" * 1025)],
            "must be at most 1KB",
        ),
        ("bytes", ("max_size", (2,)), ["aGk="], ["aGlp"], "must be at most 2 bytes"),
        (
            "file",
            ("allow_types", ("image/png", "text/plain")),
            [PNG, UploadedFile("a", "text/plain; charset=x", b"hi")],
            [FAKE, UploadedFile("a", "", b""), UploadedFile("a.txt", "text/plain", b"%PDF-1.7")],
            "must be of type: image/png, text/plain",
        ),
        (
            "file",
            ("allow_types", (("image/*",),)),
            [PNG],
            [FAKE, UploadedFile("a", "imagex/png", b"")],
            "must be of type: image/*",
        ),
        (
            "file",
            ("extension", (".png", "JPG")),
            [PNG, UploadedFile("B.JPG", "", b"")],
            [
                UploadedFile("png", "", b""),
                UploadedFile(".png", "", b""),
                UploadedFile("a.png.exe", "", b""),
            ],
            "must have the extension: .png, .jpg",
        ),
    ],
)
def test_modifier(
    type_text: str, modifier: Any, good: list[Any], bad: list[Any], error: str
) -> None:
    """What each modifier lets pass, and what it says about the rest."""
    info = field(type_text, modifier)
    for value in good:
        assert run({"f": value}, info)[1] == {}, value
    for value in bad:
        assert run({"f": value}, info)[1] == {"f": error}, value


def test_first_failure_of_each_field_is_reported() -> None:
    """All fields are checked, modifiers in order."""
    info = field("text", "required", ("min_length", (3,)), "email")
    assert run({"f": "x"}, info)[1] == {"f": "must be at least 3 characters"}
    assert run({"f": "xyz"}, info)[1] == {"f": "must be a valid email"}


@pytest.mark.parametrize(
    ("size", "count"), [(5, 5), ("10B", 10), ("1 kb", 1024), ("1.5MB", 3 << 19), ("1GB", 1 << 30)]
)
def test_sizes_are_powers_of_1024(size: Any, count: int) -> None:
    """B, KB, MB, GB."""
    assert size_bytes(size) == count


def test_reads_only_for_references() -> None:
    """A block that refers to entities needs the store."""
    assert Validator((field("list User"),), SCHEMA, {}).reads
    assert not Validator((field("list int"),), SCHEMA, {}).reads


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=8,
)
TYPES = ["text", "int", "number", "bool", "time", "duration", "file", "bytes", "any", "list int"]


@given(JSON, st.sampled_from([*TYPES, "map text", "State", "User", "list User"]), st.booleans())
def test_any_value_is_converted_or_named(value: Any, type_text: str, form: bool) -> None:
    """No input raises, and what passes once passes again unchanged."""
    info = field(type_text, "required")
    result, errors = run({"f": value}, info, form=form)
    if not errors:
        again, errors = run({"f": result["f"]}, info, form=form)
        assert errors == {}
        assert repr(again["f"]) == repr(result["f"])


# --- entities ----------------------------------------


def test_entity_declaration_becomes_a_spec() -> None:
    """Types, flags, late defaults and checks reach the store."""
    entity = EntityInfo(
        "Post",
        1,
        "entities/post.flin",
        (
            field("text", "required", "unique", name="title"),
            field("State", "index", name="state", default="d"),
            field("User", "hidden", name="author"),
            field("list User", name="readers"),
            field("list text", name="tags"),
            FieldInfo("either", TypeInfo("union", (TypeInfo("int"),)), (), None, 1),
            field("text", "trim", ("max_length", (3,)), name="code"),
        ),
    )
    user = EntityInfo("User", 1, "entities/user.flin", ())
    defaults: dict[str, Any] = {}
    specs = entity_specs(
        [entity, user], {"State": ("Open", "Closed")}, lambda path, key: defaults[f"{path}:{key}"]
    )
    defaults["entities/post.flin:d"] = lambda: "Open"
    title, state, author, readers, tags, either, code = specs[0].fields
    assert (title.type, title.required, title.unique) == ("text", True, True)
    assert (state.type, state.variants, state.index) == ("enum", ("Open", "Closed"), True)
    assert state.default is not None
    assert state.default() == "Open"
    assert (author.type, author.target, author.hidden) == ("ref", "User", True)
    assert (readers.type, readers.target) == ("list", "User")
    assert (tags.type, tags.target) == ("list", "")
    assert either.type == "any"
    assert [transform(" abcd ") for transform in code.transforms] == ["abcd"]
    assert [check(" abcd") for check in code.checks] == [
        "must be at most 3 characters",
    ]
    assert checks_of(entity.fields[6])[0]("abcd") is not None


def test_a_pattern_that_takes_long_limits_its_text() -> None:
    """At the limit, one below and one above it; others take any length."""
    check = MAKERS["pattern"]((r"^[ab]+[bc]+$",), TypeInfo("text"))
    assert check("a" * 4095 + "c") is None
    assert check("a" * 4094 + "c") is None
    assert check("a" * 4096 + "c") == "must have at most 4096 characters"
    assert check("c") == "has the wrong format"
    free = MAKERS["pattern"]((r"^[a-z]+$",), TypeInfo("text"))
    assert free("a" * 100_000) is None
    assert free("a" * 100_000 + "!") == "has the wrong format"
