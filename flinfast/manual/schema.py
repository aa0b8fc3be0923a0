"""Types, field modifiers, fields that every record has, queries and guards."""

from __future__ import annotations

from typing import Final

from flinfast.lang.modifier import MODIFIERS
from flinfast.manual.entry import Entry

TYPES: Final[dict[str, tuple[str, str, str]]] = {
    "text": ("Unicode text.", '`""`', "string"),
    "int": ("A whole number of any size; a field holds 64 bits.", "`0`", "integer"),
    "number": ("A 64-bit floating point number; an int is widened.", "`0.0`", "float decimal"),
    "bool": ("Either `true` or `false`.", "`false`", "boolean"),
    "time": ("A UTC instant with milliseconds, ISO 8601 in JSON.", "none", "datetime"),
    "duration": ("Whole milliseconds, such as `30.seconds`.", "`0`", ""),
    "bytes": ("Octets, such as `data.bytes` of a binary message.", "empty bytes", ""),
    "file": ("An uploaded file: `name size type`; `save_file` keeps it.", "none", ""),
    "list": ("A list; `[text]` is one of texts.", "`[]`", "array tuple"),
    "map": ("A map from text to values, in order; `[text:int]` is one to ints.", "`{}`", ""),
    "any": ("Every value.", "none", ""),
}

# Modifier -> (argument, what it asks for).
_MODIFIERS: Final[dict[str, tuple[str, str]]] = {
    "required": ("", "The field must be given, and must not be none or an empty text."),
    "unique": ("", "No two records have the same value; a second one is refused with 409."),
    "index": ("", "Queries by this field use an index."),
    "hidden": ("", "The field is left out of answers, such as a password hash."),
    "default": ("value", "The value of a field that was not given; `= value` is the same."),
    "one_of": ("a, b, ...", "The value is one of these."),
    "min_length": ("count", "At least that many characters, items or octets."),
    "max_length": ("count", "At most that many characters, items or octets."),
    "length": ("count", "Exactly that many characters, items or octets."),
    "min_items": ("count", "At least that many items."),
    "max_items": ("count", "At most that many items."),
    "min": ("number", "At least this number."),
    "max": ("number", "At most this number."),
    "positive": ("", "More than zero."),
    "negative": ("", "Less than zero."),
    "integer": ("", "Without a fraction."),
    "email": ("", "Looks like an e-mail address."),
    "url": ("", "An http or https address."),
    "phone": ("", "Looks like a telephone number."),
    "uuid": ("", "A UUID."),
    "ip": ("", "An IPv4 or IPv6 address."),
    "slug": ("", "Lower-case letters, digits and single hyphens."),
    "alpha": ("", "Letters only."),
    "alphanumeric": ("", "Letters and digits only."),
    "date": ("", "A date as `2026-03-09`."),
    "pattern": (
        '"regex"',
        "The regular expression is found in the text; `^...$` asks for all of it.",
    ),
    "trim": ("", "White space at both ends is removed."),
    "lowercase": ("", "The text is converted to lower case."),
    "max_size": ('"5MB"', "At most that many octets."),
    "allow_types": ('"image/png", ...', "The file has one of these media types."),
    "extension": ('"png", ...', "The file's name has one of these extensions."),
}
# What an example's field is called, and its type, when the modifier does not take text.
_FIELD_OF: Final = {
    "int": "count: int",
    "list": "tags: [text]",
    "file": "photo: file",
    "text": "name: text",
}
_ARGUMENTS: Final = {
    "default": '"new"', "one_of": '"open", "done"', "min_length": "3", "max_length": "80",
    "length": "8", "min_items": "1", "max_items": "5", "min": "0", "max": "100",
    "pattern": '"^[A-Z]+-[0-9]+$"', "max_size": '"5MB"', "allow_types": '"image/png"',
    "extension": '"png", "jpg"',
}  # fmt: skip

_FIELDS: Final[dict[str, tuple[str, str]]] = {
    "id": ("int", "Identifies a record among those of its entity; set when it is first saved."),
    "created_at": ("time", "When the record was first saved."),
    "updated_at": ("time", "When the record was last saved."),
    "deleted_at": ("time?", "When the record was deleted; none while it is not."),
    "version": ("int", "Grows by one with every `save`, from 1."),
}

# Query method -> (parameters, result, sentence, example of its use).
_QUERIES: Final[dict[str, tuple[str, str, str, str]]] = {
    "all": ("", "query", "Every record, in the order of `id`.", "Note.all"),
    "where": (
        "(condition)",
        "query",
        "The records that fit. A bare name is a field; every other name is evaluated once, "
        "before the query runs. Conditions add up.",
        "Note.where(owner_id == 7 && !done)",
    ),
    "order": (
        '(field, "asc" | "desc")',
        "query",
        "In the order of a field, ascending by default; further calls decide between equals.",
        'Note.all.order(created_at, "desc")',
    ),
    "limit": ("(count: int)", "query", "At most that many records.", "Note.all.limit(20)"),
    "offset": ("(count: int)", "query", "Without the first records.", "Note.all.offset(20)"),
    "skip": ("(count: int)", "query", "Without the first records.", "Note.all.skip(20)"),
    "with_deleted": ("", "query", "Deleted records, too.", "Note.with_deleted.count"),
    "with": (
        "(field)",
        "query",
        "Loads the records a reference field points at in one go.",
        "Note.all.with(owner_id)",
    ),
    "first": ("", "record?", "The first record, or none.", "Note.where(!done).first"),
    "last": ("", "record?", "The last record, or none.", "Note.all.last"),
    "find": (
        "(id)",
        "record?",
        "The record with this id, int or text of digits; none without one.",
        "Note.find(params.id)",
    ),
    "create": (
        "(fields: map)",
        "record",
        "Makes and saves a record.",
        "Note.create({ text: body.text })",
    ),
    "count": ("", "int", "The number of records.", "Note.where(done).count"),
    "exists": ("", "bool", "Whether there is one.", "Note.where(done).exists"),
    "sum": ("(field)", "number", "The sum of a field.", "Note.all.sum(owner_id)"),
    "avg": ("(field)", "number?", "The average of a field.", "Note.all.avg(owner_id)"),
    "min": ("(field)", "any", "The smallest value of a field.", "Note.all.min(created_at)"),
    "max": ("(field)", "any", "The largest value of a field.", "Note.all.max(created_at)"),
    "group_by": (
        "(field)",
        "map",
        "Records by the text of a field.",
        "Note.all.group_by(owner_id)",
    ),
    "distinct": (
        "(field)",
        "list",
        "The different values of a field.",
        "Note.all.distinct(owner_id)",
    ),
    "history": (
        "(id)",
        "list",
        "All versions of a record, oldest first.",
        "Note.history(params.id)",
    ),
}  # fmt: skip
_ENTITY: Final = "entity Note { text: text owner_id: int @index done: bool }"

_GUARDS: Final[dict[str, tuple[str, str, str]]] = {
    "auth": (
        "guard auth",
        "Somebody is logged in: `session.user` is set, or a valid bearer token came along; else "
        "401.",
        "guard auth",
    ),
    "role": (
        "guard role(name, ...)",
        "The user has one of the roles; 401 without a user, 403 without the role.",
        'guard role("admin", "editor")',
    ),
    "owner": (
        "guard owner(id)",
        "The user has this id, or the role `admin`; else 403.",
        "guard owner(params.id)",
    ),
    "rate_limit": (
        "guard rate_limit(limit, seconds = 60)",
        "At most so many requests per address and window; else 429 with `Retry-After`.",
        "guard rate_limit(100, 60)",
    ),
    "ws_rate_limit": (
        "guard ws_rate_limit(limit, seconds = 60)",
        "At most so many messages per connection and time, refilled evenly. What is beyond is "
        "dropped; the first of a row gets `{ error, status: 429, retry_after_ms }`, and who goes "
        "on is closed with 1008. Requests always pass.",
        "guard ws_rate_limit(20, 1)",
    ),
    "csrf": (
        "guard csrf",
        "A request that changes something brings the session's token in `X-CSRF-Token` or the "
        "form field `_csrf`; else 403. `csrf_token()` gives it.",
        "guard csrf",
    ),
    "ip_whitelist": (
        "guard ip_whitelist(network, ...)",
        "The request comes from one of the networks; else 403.",
        'guard ip_whitelist("10.0.0.0/8", "::1")',
    ),
    "api_key": (
        "guard api_key(key, ...)",
        "`X-API-Key` is one of the keys; else 401. An UPPER_CASE text names an environment "
        "variable with keys, by itself it is FLIN_API_KEYS.",
        'guard api_key("SERVICE_KEYS")',
    ),
    "time_window": (
        "guard time_window(start, end, days)",
        "It is between two times of day, UTC, on one of the days; else 403.",
        'guard time_window("09:00", "17:30", ["mon", "tue", "wed", "thu", "fri"])',
    ),
    "method": (
        "guard method(name, ...)",
        "The method is one of these; else 405.",
        'guard method("GET", "POST")',
    ),
}


def entries() -> list[Entry]:
    """All entries of this file."""
    found = [
        Entry(
            name,
            "type",
            "Types",
            summary,
            (f"field: {name}",),
            (f"A field without a value gets {default}; `{name}?` may be none.",),
            example=f"entity Example {{ value: {name} }}",
            aliases=tuple(other.split()),
        )
        for name, (summary, default, other) in TYPES.items()
    ]
    found += [_modifier(name, *row) for name, row in _MODIFIERS.items()]
    found += [
        Entry(name, "field", "Fields of every record", summary, (f"record.{name} -> {kind}",))
        for name, (kind, summary) in _FIELDS.items()
    ]
    found += [
        Entry(
            name,
            "query method",
            "Queries",
            summary,
            (f"Entity.{name}{parameters} -> {result}",),
            example=f"{_ENTITY}\n\nroute GET {{ {use} }}",
        )
        for name, (parameters, result, summary, use) in _QUERIES.items()
    ]
    found += [
        Entry(
            name,
            "guard",
            "Guards",
            summary,
            (written,),
            example=f"{use}\n\nroute GET {{ {{ ok: true }} }}",
        )
        for name, (written, summary, use) in _GUARDS.items()
    ]
    return found


def _modifier(name: str, argument: str, summary: str) -> Entry:
    spec = MODIFIERS[name]
    kind = next((k for k in ("text", "int", "list", "file") if k in spec.types), "text")
    given = f"({_ARGUMENTS[name]})" if name in _ARGUMENTS else ""
    block = "entity Example" if spec.entity_only else "route POST {\n    validate"
    inner = f"{_FIELD_OF[kind]} @{name}{given}"
    if spec.entity_only:
        example = f"{block} {{ {inner} }}"
    else:
        example = f"{block} {{ {inner} }}\n    body\n}}"
    notes = [f"For {', '.join(sorted(spec.types))}."] if spec.types else []
    if spec.entity_only:
        notes.append("For fields of entities only.")
    first, *rest = name.split("_")
    camel = first + "".join(word.capitalize() for word in rest)
    return Entry(
        f"@{name}",
        "modifier",
        "Field modifiers",
        summary,
        (f"field: type @{name}" + (f"({argument})" if argument else ""),),
        tuple(notes),
        ("FL530",) if name not in ("index", "hidden", "default", "unique", "trim", "lowercase")
        else ("FL531",) if name == "unique" else (),
        example=example,
        aliases=(f"@{camel}",) if rest else (),
    )  # fmt: skip
