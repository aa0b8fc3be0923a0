"""Every builtin over random values of every kind, and what all of them have in common."""

from pathlib import Path
from types import FunctionType
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flinfast.errors import RuntimeFault
from flinfast.runtime.builtins import REGISTRY, BoundBuiltins
from flinfast.runtime.operators import OperatorSet
from flinfast.runtime.reference import builtins_page
from flinfast.runtime.registry import KINDS, METHODS, PROPERTIES
from flinfast.runtime.response import Stop
from tests.runtime.fake_services import FakeConnection, fake_services
from tests.runtime.flin_values import BY_KIND, fault_code, values

ROOT = Path(__file__).resolve().parents[2]
# Slow by design, talking to the network, or for tests only; each has tests of its own.
APART = {"hash_password", "argon2_hash", "bcrypt_hash", "sleep"}
NAMES = sorted(
    name for name in REGISTRY if name not in APART and not name.startswith(("http_", "test_"))
)
RELAXED = settings(
    deadline=None, max_examples=8, suppress_health_check=list(HealthCheck), database=None
)


@pytest.fixture(scope="module")
def bound(tmp_path_factory: pytest.TempPathFactory) -> BoundBuiltins:
    return BoundBuiltins(fake_services(tmp_path_factory.mktemp("root")))


def survives(function: Any, *args: Any) -> None:
    """Anything but a result, a RuntimeFault or an early answer fails the test."""
    try:
        code = fault_code(function, *args)
    except Stop:
        return
    assert code == "" or code.startswith("FL5")


@pytest.mark.usefixtures("cheap_hashes")
@pytest.mark.parametrize("name", NAMES)
def test_builtin_never_raises_a_python_error(bound: BoundBuiltins, name: str) -> None:
    """Arguments of the right kinds and of any kind, as a function and as a method."""
    entry = REGISTRY[name]
    operators = OperatorSet(bound)

    @RELAXED
    @given(st.data())
    def attempt(data: st.DataObject) -> None:
        variant = data.draw(st.sampled_from(entry.variants))
        fitting = [
            data.draw(BY_KIND[parameter.kind.title])
            for parameter in variant.parameters
            if not parameter.optional or data.draw(st.booleans())
        ]
        context = [FakeConnection()] if entry.spec.context else []
        survives(bound[name], *context, *fitting)
        wild = [data.draw(values) for _ in fitting]
        survives(bound[name], *context, *wild)
        if fitting:
            args = tuple(fitting[1:])
            survives(operators.call_method, FakeConnection(), fitting[0], name, args, {})

    attempt()


WRONG: dict[str, Any] = {"text": 5, "list": 5, "map": 5, "bytes": "x", "time": "x", "bool": 1}


@pytest.mark.parametrize(
    ("name", "variant"),
    [(name, variant) for name in NAMES for variant in REGISTRY[name].variants],
    ids=lambda value: value if isinstance(value, str) else value.family or "-",
)
def test_wrong_argument_is_named(bound: BoundBuiltins, name: str, variant: Any) -> None:
    """Function, position, expected and given kind stand in the fault."""
    right: dict[str, Any] = {
        "any": "x",
        "text": "x",
        "int": 1,
        "number": 1,
        "list": [],
        "map": {},
        "bytes": b"",
        "time": None,
        "bool": True,
        "function": lambda x: x,
    }
    call = variant.bind(bound._services)
    context = [FakeConnection()] if variant.context else []
    for position, parameter in enumerate(variant.parameters):
        kind = parameter.kind
        if kind.title == "any":
            continue
        before = [right[p.kind.title] for p in variant.parameters[:position]]
        if None in before:
            continue
        after = variant.parameters[position + 1 :]
        rest = [right[p.kind.title] for p in after if not p.optional and not p.rest]
        wrong = WRONG.get(kind.title, "x")
        with pytest.raises(RuntimeFault) as caught:
            call(*context, *before, wrong, *rest)
        assert caught.value.code == "FL504"
        given_kind = "text" if wrong == "x" else "int"
        expected = kind.expected or kind.title
        wanted = f"`{name}` argument {position + 1}: expected {expected}, got {given_kind}"
        assert str(caught.value) == wanted


def test_every_builtin_has_a_sentence_and_known_results() -> None:
    kinds = {kind.title for kind in KINDS.values()} | {"none", "response", "duration"}
    for name, entry in REGISTRY.items():
        assert entry.spec.name == name
        assert entry.spec.summary.endswith(".")
        assert entry.spec.summary[0].isupper()
        assert entry.spec.result.removesuffix("?") in kinds


def test_specs_describe_what_binding_gives(bound: BoundBuiltins) -> None:
    """Parameter names are those of the callable, so named arguments reach it."""
    for name, entry in REGISTRY.items():
        function = bound[name]
        if len(entry.variants) > 1 or type(function) is not FunctionType:
            continue
        code = function.__code__
        names = [text.rstrip("_") for text in code.co_varnames[: code.co_argcount]]
        names = names[entry.spec.context :]
        declared = [text for text in entry.spec.parameters if not text.startswith("...")]
        assert names == [text.rstrip("?") for text in declared], name


def test_bound_builtins_without_services_are_the_pure_ones() -> None:
    pure = BoundBuiltins(None)
    assert pure["trim"](" a ") == "a"
    assert pure.get("broadcast") is None
    assert "broadcast" in pure
    with pytest.raises(KeyError):
        pure["broadcast"]
    with pytest.raises(KeyError):
        pure["no_such_function"]


def test_methods_and_properties_are_builtins_too() -> None:
    for table in (*METHODS.values(), *PROPERTIES.values()):
        assert set(table) <= set(REGISTRY)


def test_page_of_builtins_is_up_to_date() -> None:
    page = ROOT / "docs" / "language" / "builtins.md"
    assert page.read_text(encoding="utf-8") == builtins_page(), (
        "run `python -m flinfast.runtime.reference > docs/language/builtins.md`"
    )
