"""Validation of any map (FLIN reference 9.1), such as a WebSocket message.

Rules are texts that read like the fields of a `validate` block, `"text @required @maxLength(500)"`.
The answer holds `ok`, `data` with converted values and defaults, and `fields` with a text for each
field that failed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from flinfast.lang.rule import BadRule, read_rule
from flinfast.runtime.kinds import argument_fault, as_map, range_fault
from flinfast.runtime.registry import Map, Value, builtin
from flinfast.runtime.services import Services
from flinfast.runtime.validate import Schema, Validator

VALIDATORS_MAX: Final = 256  # kept per program; rules are literals, so there are few
FIELDS_MAX: Final = 200
_SCHEMA: Final = Schema({}, frozenset(), lambda entity, id: False)


@builtin(parameters=("data", "fields"), result="map")
def validate(services: Services) -> Callable[..., Map]:
    """Check a map against rules, texts such as "text @required": give `{ ok, data, fields }`."""
    made: dict[tuple[tuple[str, Any], ...], Validator] = {}

    def validate(data: Value, fields: Value) -> Map:
        rules = as_map(fields)
        if rules is None:
            raise argument_fault("validate", 2, "map", fields)
        for rule in rules.values():
            if type(rule) is not str:
                raise argument_fault("validate", 2, "rules as texts", rule)
        key = tuple(rules.items())
        validator = made.get(key)
        if validator is None:
            validator = _validator(rules)
            if len(made) < VALIDATORS_MAX:
                made[key] = validator
        checked, errors = validator.check(as_map(data), is_form=False)
        return {"ok": not errors, "data": checked, "fields": errors}

    return validate


def _validator(rules: Map) -> Validator:
    if len(rules) > FIELDS_MAX:
        raise range_fault("validate", 2, f"at most {FIELDS_MAX} fields", len(rules))
    fields, defaults = [], {}
    for name, rule in rules.items():
        try:
            field, default = read_rule(name, rule)
        except BadRule as fault:
            expected = f"for `{name[:40]}` {fault}"
            raise range_fault("validate", 2, expected, f"`{rule[:60]}`") from None
        fields.append(field)
        defaults[name] = lambda default=default: default
    return Validator(tuple(fields), _SCHEMA, defaults)
