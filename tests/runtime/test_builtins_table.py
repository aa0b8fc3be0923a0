"""Every builtin is called with right arguments, and with each argument of a wrong kind in turn."""

import contextlib
import copy
import re
from pathlib import Path
from typing import Any

import pytest

from flinfast.errors import RuntimeFault
from flinfast.runtime.builtins import REGISTRY
from flinfast.runtime.registry import Variant, call_checked
from flinfast.runtime.services import Services
from flinfast.values import Time
from tests.runtime.builtin_calls import ANY, CALLS, OTHER, WRONG, context_of, wrong_calls
from tests.runtime.fake_services import fake_services
from tests.runtime.flin_values import FakeRecord


def _variants() -> dict[str, tuple[Variant, tuple[str, ...]]]:
    """Every implementation by `name`, or `name/kind` where there are several; with its aliases."""
    names: dict[int, list[str]] = {}
    for name, entry in REGISTRY.items():
        for variant in entry.variants:
            if not name.startswith("_"):
                names.setdefault(id(variant.function), []).append(name)
    found = {}
    for entry in REGISTRY.values():
        for variant in entry.variants:
            own = names.get(id(variant.function), [""])
            if own[0] != variant.name:
                continue
            is_one_of_several = len(entry.variants) > 1
            key = f"{variant.name}/{variant.family}" if is_one_of_several else variant.name
            found[key] = (variant, tuple(own[1:]))
    return found


VARIANTS = _variants()
WRONG_CALLS = [
    (key, args, position, kind)
    for key, (variant, _) in VARIANTS.items()
    if key in CALLS
    for args, position, kind in wrong_calls(key, variant.parameters)
]
KINDS_OF_VALUES = [
    *(None, True, 0, -1, 10**30, 0.5, float("nan"), "", "text", "\x00", b"x", Time(0)),
    *([], [[]], {}, {"a": 1}, len, range(3), FakeRecord("User", 1, {"name": "Ada"})),
]


@pytest.fixture
def services(tmp_path: Path, cheap_hashes: None) -> Services:
    return fake_services(tmp_path)


def call(key: str, services: Services, args: tuple[Any, ...], *, name: str = "") -> Any:
    variant, _ = VARIANTS[key]
    function = REGISTRY[name or variant.name].bind(services)
    given = copy.deepcopy(list(args)) if variant.mutates else args
    return (
        function(context_of(variant.name, services), *given)
        if variant.context
        else function(*given)
    )


def test_every_builtin_has_a_call() -> None:
    """A builtin that is added is added to the table of builtin_calls.py, too."""
    assert sorted(set(VARIANTS) - set(CALLS)) == []
    assert sorted(set(CALLS) - set(VARIANTS)) == []


def test_every_parameter_of_any_kind_is_listed() -> None:
    """A parameter without a declared kind either takes everything, or refuses by itself."""
    unlisted, stale = [], []
    for key, (variant, _) in VARIANTS.items():
        free = {
            position
            for position, parameter in enumerate(variant.parameters, 1)
            if parameter.kind.title not in OTHER
        }
        listed = {*ANY.get(key, ()), *(position for position, _ in WRONG.get(key, ()))}
        unlisted += [(key, position) for position in sorted(free - listed)]
        stale += [(key, position) for position in ANY.get(key, ()) if position not in free]
    assert unlisted == []
    assert stale == []


@pytest.mark.parametrize("key", sorted(CALLS))
def test_right_arguments_give_the_result(key: str, services: Services) -> None:
    """Under its own name and every alias."""
    args, expected = CALLS[key]
    variant, aliases = VARIANTS[key]
    for name in (variant.name, *aliases):
        if isinstance(expected, type):
            with pytest.raises(expected):
                call(key, services, args, name=name)
            continue
        result = call(key, services, args, name=name)
        if callable(expected):
            assert expected(result), (name, result)
        else:
            assert result == expected, name
            assert type(result) is type(expected), name
        # The compiler relies on these: it lowers what is done to the result to Python's own.
        exact = {"text": str, "int": int, "bool": bool, "list": list, "map": dict}
        if not REGISTRY[name].spec.test_only:
            assert type(result) is exact.get(variant.result, type(result)), name


@pytest.mark.parametrize(
    ("key", "args", "position", "kind"),
    WRONG_CALLS,
    ids=[f"{key}-{position}-{number}" for number, (key, _, position, _) in enumerate(WRONG_CALLS)],
)
def test_wrong_kind_is_a_fault_that_names_it(
    key: str, args: tuple[Any, ...], position: int, kind: str, services: Services
) -> None:
    """Fault FL504 names function, position, and expected and given kind."""
    name = VARIANTS[key][0].name
    with pytest.raises(RuntimeFault) as caught:
        call(key, services, args)
    assert caught.value.code == "FL504", caught.value
    text = str(caught.value)
    assert re.match(rf"`{name}` argument ({position}|`\w+`): expected .+, got .+", text), text
    assert text.endswith(f", got {kind}") or not kind, text


@pytest.mark.parametrize(
    ("key", "position"),
    [(key, p) for key, (v, _) in sorted(VARIANTS.items()) for p in range(1, 1 + len(v.parameters))],
)
def test_no_value_makes_a_builtin_fail_otherwise(
    key: str, position: int, services: Services
) -> None:
    """Whatever one argument is, there is a result or a fault: never an exception of Python's."""
    args = CALLS[key][0]
    for value in KINDS_OF_VALUES:
        with contextlib.suppress(RuntimeFault):
            call(key, services, (*args[: position - 1], value, *args[position:]))


@pytest.mark.parametrize("key", sorted(CALLS))
def test_too_many_arguments_are_a_fault(key: str, services: Services) -> None:
    """The fault names the function and its parameters."""
    variant, _ = VARIANTS[key]
    if variant.maximum is None or variant.factory:
        return
    function = REGISTRY[variant.name].bind(services)
    first = CALLS[key][0] or (1,)
    args = (*first, *[1] * (variant.maximum + 1 - len(first)))
    passed = (context_of(variant.name, services), *args) if variant.context else args
    with pytest.raises(RuntimeFault, match=f"cannot call `{variant.name}") as caught:
        call_checked(variant.name, function, passed, {})
    assert caught.value.code == "FL509"


@pytest.mark.parametrize("key", sorted(CALLS))
def test_too_few_arguments_are_a_fault(key: str, services: Services) -> None:
    """Also where several kinds share a name and only one of them needs more: `"-".join()`."""
    variant, _ = VARIANTS[key]
    if variant.factory or variant.minimum < 2:
        return
    passed = (context_of(variant.name, services),) if variant.context else ()
    function = REGISTRY[variant.name].bind(services)
    with pytest.raises(RuntimeFault, match=f"cannot call `{variant.name}") as caught:
        call_checked(variant.name, function, (*passed, CALLS[key][0][0]), {})
    assert caught.value.code == "FL509"


# Every function and method that section 13 of the reference names, and those of sections 8 to 12.
OF_THE_REFERENCE = """
len length count size upper lower trim contains includes starts_with ends_with split slice
substring substr replace replace_all join capitalize title is_numeric is_email index_of
remove_prefix remove_suffix pad_start pad_end reverse repeat lines words chars is_empty is_alpha
char_at to_int to_number to_float to_text to_bool type
push pop shift unshift insert_at remove_at splice map filter where reduce flat_map find some any
every all sum min max avg sort list_reverse flatten zip zip_with concat rest first last unique
group_by chunk union intersection difference symmetric_difference range
keys values entries from_entries has_key get set delete_key pick omit clone merge
now today yesterday tomorrow seconds minutes hours days weeks months years format year month day
hour minute second weekday timestamp parse_time ago from_now
abs floor ceil round clamp pow sqrt random random_int
json_stringify to_json parse_json json_parse generate_uuid uuid server_uptime env print type_of
sleep apply_patch log_info log_debug log_warn log_error
hash_password verify_password argon2_hash argon2_verify bcrypt_hash bcrypt_verify create_token
verify_token refresh_token jwt_encode jwt_decode csrf_token csrf_verify secure_random encrypt
decrypt sha256 md5 hmac base64_encode base64_decode totp_secret totp_verify otp_generate
http_get http_post http_put http_patch http_delete http_request
error redirect set_cookie delete_cookie save_file save_binary delete_file read_file file_exists
validate next rate_limit ws_join ws_leave ws_send broadcast broadcast_all ws_close ws_rooms
ws_clients ws_count broadcast_others
"""


def test_every_function_of_the_reference_is_there() -> None:
    """Programs written for the reference find what it promises."""
    assert sorted(set(OF_THE_REFERENCE.split()) - set(REGISTRY)) == []
