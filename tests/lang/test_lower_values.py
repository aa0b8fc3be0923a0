"""Every lowered form on values of every kind, against the oracle: fast paths change nothing.

A form is the body of a function of two or three unknown values. It is compiled once and run for
every pair of values below; what it gives, the fault it ends in, and what it did to its arguments
have to be what plain evaluation with the runtime's operators gives and does.
"""

from __future__ import annotations

import copy
import math
from itertools import product
from typing import Any

import pytest

from flinfast.errors import RuntimeFault
from flinfast.lang import ast
from flinfast.lang.parser import parse
from flinfast.lang.source import Source
from flinfast.values import Time
from tests.lang.compiling import bind_one
from tests.lang.fake_abi import Record
from tests.lang.reference import Evaluator


def double(value: Any = None) -> Any:
    """A function value."""
    return value if value is None else [value, value]


VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, 1, 3, -2, 1 << 53, -(1 << 63), 1 << 13_950, 0.0, -0.0, 2.5, 3.0),
    *(math.nan, math.inf, "", "a", " #Ab,c ", "1", b"ab", Time(1_000), range(3)),
    *([1, 2, 2.5, 3], [2, 1, "x", 4], [1, True, 3], [3, None], double),
    *([0.5, 2.5], ["b", "Ab"], [{"k": 1}, {"k": "x", "a": 2}]),
    *([], [1], ["a", None, 2.5], [3, 1, 2], [True, [1]], {}, {"k": 1, "len": "own", "a": "x"}),
    *({"k": {"a": 2.0}, "1": [1], "trim": double}, Record("Note", ("k", "a"), {"k": 2})),
)
DEPTH = 4  # of a shape
THIRD = (2, "k", None, 1.5)

# Bodies of two values, one a line.
FORMS = r"""
a + b
a - b
a * b
a / b
a % b
a ++ b
a == b
a != b
a < b
a <= b
a > b
a >= b
a in b
!(a in b)
a && b
a || b
a ?? b
!a
-a
a[b]
a + 1
1 + a
a - 1
a * 2
2 * a
a / 2
a / 7
a % 2
a % 7
7 % a
a == 0
a == 1
a == 2.5
a == "a"
a == true
a != none
a < 2
2 < a
a <= 1.5
a > 0
0 >= a
a.k
a?.k
a.k.a
a["k"]
a[0]
a[1]
a[-1]
a.len
a.length
a.size
a.count
a.trim
a.lower
a.upper
a.first
a.k.len
a.len > 2
a.len == b
a.len == 0
a.len + 1
1 + a.len
a.len < b
a.len % 2
a.len()
a.trim()
a.lower()
a.trim_start()
a.trim_end()
a.upper()
a.sort()
a.starts_with("a")
a.ends_with(b)
a.contains("b")
a.contains(b)
a.index_of("b")
a.includes("A")
a.remove_prefix("a")
a.remove_suffix("c")
a.split(",")
a.split("")
a.split(b)
a.push(b)
a.keys()
a.join(b)
a.reverse()
a.nothing()
a.k(b)
if a.starts_with("a") { 1 } else { 2 }
a.contains("b") ? 1 : 2
!a.starts_with("a")
a % 2 == 0
a % 2 == b
a % 3 + 1
a / 2 + 1
a / 2 < 3
floor(a / 2)
floor(b)
floor(len([1, 2, 3]) / 2)
floor((0 - len(to_text(a))) / 2)
to_text(a)
len(a)
"<{a}|{b.k}>"
"t" + a
a + "t"
a + b + "t"
[a, ...b]
{ k: a, ...b }
a.map(x => x)
a.map(x => x + 1)
a.filter(x => x > 1)
a.filter(x => x)
a.sum()
a.map(x => x.k)
a.some(x => x == b)
a.group_by(x => x)
a.reduce((x, y) => x + y, b)
a.map(x => "{x}")
a.map((x, y) => y)
a.map(b)
a[0:1]
a[b:]
a.k ?? b
a.k || b
(a.k ?? 0) + b
(a.k ?? 0) + 1
(a.k ?? "").trim()
(a ?? "").len
(a ?? 0) > 1
a ? b : 1
(a && b) ? 1 : 2
!(a || b)
a.k.len + b
[a, b].len
[a][0]
[a][b]
{ k: a }.k
{ k: a }[b]
to_text(a)[0]
a in [1, 2]
a in ["a", "k"]
a in { k: 1 }
a[b.k]
a.k[b]
a[0].k
a[b][0]
a.first.k
a.k + a.k
a.k - a.k
a.k < a.k
a.k = b ; a
a.k += b ; a
a.k -= 1 ; a
a.k *= 2 ; a
a.k += "t" ; a
a.k.a = b ; a
a[b] = 1 ; a
a[b] += 1 ; a
a["k"] = b ; a
a["k"] += b ; a
a[0] = b ; a
a[0] += b ; a
m = { k: 1 } ; m[a] = b ; m
m = { k: 1 } ; m[a] += b ; m
m = {} ; m.k = a ; m.k += b ; m
m = {} ; m[a] = (m[a] ?? 0) + 1 ; m[a] = (m[a] ?? 0) + b ; m
l = [1, 2] ; l[a] = b ; l
l = [1, 2] ; l[a] += b ; l
l = [] ; l.push(a) ; l.push(b) ; l
a.push(b) ; a
a.k.push(b) ; a
a.append(b) ; a
a.push(a) ; a.len
x = a ; x += b ; x
x = 1 ; x += a ; x += b ; x
s = 0 ; for x in a { s += x } ; s
s = b ; for x in a { s += x } ; s
for x in a { b } ; a
l = [] ; for x in a { l.push(x) } ; l
l = [] ; for x, y in a { l.push([x, y]) } ; l
l = [] ; for [x, y] in a { l.push(y) } ; l
s = 0 ; for x, i in a { s += i } ; s
m = none ; for x in a { if m == none || x > m { m = x } } ; m
s = 0 ; for i in 0..3 { s += a[i] } ; s
s = 0 ; for i in 0..a { s += i ; if s > 9 { break } } ; s
for i in a..b { return i } ; 0
l = [3, 1, 2] ; for i in 0..2 { if l[i] > a { l[i] = b } } ; l
for i in 0..3 { a[i] = b } ; a
s = 0 ; for i in 0..3 { for j in 0..3 { if a[i] > a[j] { s += 1 } } } ; s
for i in 0..3 { if a[i] > a[i + 1] { [x, y] = [a[i + 1], a[i]] ; a[i] = x ; a[i + 1] = y } } ; a
s = 0 ; for x in a { if x == b { continue } ; s += 1 ; if s > 1 { break } } ; s
l = [] ; for x in "a,{a}".split(",") { l.push(x.len) } ; l
l = [] ; for x in to_text(a) { l.push(x) } ; l
p = "x,y".split(",") ; p.push(a) ; l = [] ; for x in p { l.push(x) } ; l
i = 0 ; s = [] ; while i < 4 { s.push(a[i]) ; i += 1 } ; s
i = 3 ; while i >= 0 { i -= 1 ; a[i] } ; i
i = a ; n = 0 ; while i < b { i += 1 ; n += 1 ; if n > 3 { break } } ; i
l = [1] ; l[0] = a ; l[0] + b
f = x => x + 1 ; f(2) + f(len(to_text(a)))
f = x => x + 1 ; f(a)
f = (x, y) => x < y ; f(1, a)
f = x => x * 2 ; g = (x, y) => x + y ; g(f(1), f(2))
f = x => x.len ; f([1]) + f(to_text(a))
f = (x, y) => y ; f(a)
f = (x, y) => x + y ; f(1)
f = x => { y = x + 1 ; y * 2 } ; f(3) + f(a)
x = a.k ; a.k = b ; [x, a.k]
x = a.k ; m = a ; m.k = b ; [x, a.k]
x = a.k ; a = b ; [x, a.k]
f = x => { a = b } ; y = a.k ; f(1) ; [y, a.k]
f = x => { x.k = b } ; y = a.k ; f(a) ; [y, a.k]
y = a.k ; a.push(b) ; [y, a.k, a.len]
y = a["k"] ; a["k"] = b ; [y, a.k]
if a.k == 1 && a.a == 2 { [a.k, a.a] } else { [a.a, a.k] }
if a.k == 1 || a.a == b { [a.k, a.a] } else { [a.a, a.k] }
if !(a.k == 1 && a.a) { [a.a, a.k] } else { [a.a, a.k] }
if a && (a.k || b.k) && b.a { [a.k, b.k, b.a] } else { [b, b] }
if a.k > 1 && a.push(3) == none && a.a { [a.k, a.a] }
a.k == b ? a.a : [a.a, a.k]
(a.k ?? a.a) == (a.a ?? a.k)
for i in 0..2 { if a.k == i { a = b } } ; a.k
n = 0 ; while n < 2 { y = a.k ; a.k = n ; n += 1 ; if a.k == y { break } } ; a
n = 0 ; for x in a { if x.k == b { n += 1 } ; if x.k == x.k { n += 2 } } ; n
l = [1, 2] ; x = l[0] ; l[0] = a ; [x, l[0], l[0]]
l = [a, b] ; m = l ; x = l[1] ; m[1] = 5 ; [x, l[1]]
l = [1, 2, 3] ; i = 0 ; x = l[i] ; i += 1 ; [x, l[i], l[i + 1], l[i - 1], l[i + 9]]
l = [1, 2] ; x = l[1] ; l.push(a) ; l = [b] ; [x, l[1], l[0]]
l = [a, b] ; n = 0 ; for i in 0..3 { if l[i] == 1 { n += 1 } ; if l[i] < 3 { n += 2 } } ; n
for i in 0..3 { if a[i] == b { a[i] = 1 } ; if a[i] == 1 { return [i, a[i]] } } ; a
x = a * 2 ; y = 3 * b ; [x, y, len([x]) * 2]
n = 0 ; for x in a { n += x * 3 } ; n
n = 1 ; for i in 0..4 { n = n * (i + 2) } ; [n, n * a]
n = 0 ; for x, i in a { n = i * i + 1 ; if x == b { return [x, i % 2, n] } } ; n
l = [] ; for x in a { if x.len > 1 { l.push(x.lower()) } ; if x == "a" { l.push(x + 1) } } ; l
l = [] ; for x in [a, b] { l.push(x.k) ; l.push(x is text) ; l.push(x is bool) } ; l
l = [] ; for x, y in { p: a, q: b } { l.push(y + 1) ; l.push(x.upper) ; l.push(y.k) } ; l
l = [] ; for x in a { for y in b { l.push(x < y) ; l.push(y.len) } } ; l
n = 0 ; for x in a { if n > 0 { n += x.k + 1 } ; n += 1 } ; n
if a.k == 1 { a.k = b } else { b } ; a.k
if a.k == 1 { return a.k } ; if a.k == b { return [a.k] } else { a.k = 2 } ; a.k
if a.k == 1 { a.push(2) ; return a.k } ; a.k
x = a.k == 1 ? a.push(2) : a.k ; [x, a.k]
m = { k: 1, l: [] } ; m.k += a ; m.l.push(b) ; m.k *= 2 ; [m.k, m.l, m.l.len, m.j]
m = { count: 0 - 5 } ; m.count -= 1 ; [m.count % 4, [1, 2][m.count], [1, 2][0 - m.count], a]
m = { k: a } ; m.k = b ; [m.k, m["k"]]
m = { k: 1 } ; n = m ; n.k = a ; m.k + 1
m = { k: 1 } ; m.delete_key("k") ; m.k
m = { k: 1 } ; m[a] = b ; m.k
m = { k: 1 } ; if a { m = { j: 2 } } ; m.k
m = { k: 1 } ; if a { m = { k: "x", j: b } } ; [m.k, m.k + m.k]
m = { k: 1, n: none } ; for x in a { m.k += x ; m.n = x ; if m.k > b { return m } } ; m
m = { k: 1 } ; f = x => { m.k = x } ; f(a) ; m.k + 1
m = { k: none } ; m.k = m.k ?? a ; m.k
m = { k: 1, ...b } ; m.k + 1
m = { len: 3, k: "x" } ; [m.len + 1, m.k + a, m.length]
m = { k: { j: 1 } } ; m.k.j = a ; m.k.j += b ; m
m = none ; for x in a { if m == none || x < m { m = x } else { m = none } } ; m
m = b ; n = 0 ; for x in a { n += x ; if m != none && x > m { m = x - 1 } } ; [m, n]
s = 0.0 ; for x in a { s += x * 0.5 ; if x < b { s -= 1.5 } } ; s
s = b ; m = none ; for x in a { s = s * 2.0 + x ; if m == none || x > m { m = x } } ; [s, m]
m = b ; for x in a { m = 1.5 - x ; if m < x || x == 2.5 { m = none } } ; m
n = 0 ; for x in a { n += x.len ; if x.len > n { n = x.len * 2 } } ; n
i = 0 ; n = 0 ; while i < a.len && n <= b.len { i += 1 ; n += 2 } ; [i, n]
n = 1 ; f = x => { n = b ; x } ; [n + f(a), n < f(3), n == f(b), n - f(2)]
n = 1.5 ; f = x => { n = b ; x } ; [n + f(a), n < f(3), n == f(b), n - f(2)]
x = len([a]) ; [x < a.len, x + a.len, x == b.len, x - b]
x = 1.5 ; [x + a, x - b, a - x, x * a, x == a, a == x]
x = 2.5 ; x < a || a < x || x >= b
n = 0 ; m = "" ; for x in a { n += x.len ; if x.len > m.len { m = x } } ; [n, m]
m = none ; for x in a { y = x.len + 1 ; if m == none || y > m.len { m = x.lower() } } ; m
l = [] ; for x in a { y = x.trim() ; z = y + "!" ; l.push(z) ; if x.ends_with(b) { break } } ; l
s = b ; for x in a { s = s + x.upper ; if s.len > 4 { break } } ; s
n = b ; for x in a { n += x.len ; y = x.len ; z = y * 2 ; n -= z } ; n
n = 0 ; for x in a { y = x * 2 ; z = y + 1 ; n += z } ; n
i = 0 ; s = [] ; while i < a.len { s.push(a[i]) ; i += 1 ; if a[i] == b { a[i] } } ; [s, a.len]
[a.len, a.len + 1, a[0], a[0], a[1]]
x = a[0] ; a[0] = b ; [x, a[0], a.len]
x = a ; n = x.len ; if n == x.len { x.push(b) ; [x.len, x[0], x[n]] } else { [x[0], x[0]] }
i = 1 ; j = i * i ; while j < 20 { j += j } ; [1, 2, 3][j % 3]
i = 0 ; i -= 1 ; [1, 2][i]
i = [a, b].len ; j = a == b ? 0 : 3 ; [i, j] = [j, i] ; n = i % j ; n += j % i ; n
i = 3 * a.len ; i = 3 * i * i * i * i + 1 ; x = floor(i / 2) ; [i, x, x * 0.5, i * 2.5, 1.5 - x]
for i in 0..4 { x = i * 0.5 + i ; y = a - i * 1.5 ; if y == b { return x } } ; 1.5 * a.len
m = { a: 1 } ; for x in a { m[x] = b ; if m[x] == none { m[x] = 1 } ; m[x] += 1 } ; m
m = { a: 1 } ; l = [] ; for x in a { l.push(m[x]) ; l.push(x in m) ; m[b] = x } ; [l, m]
i = 2 ; x = [5, 6, 7] ; while i >= 0 { x[i] = a ; i -= 1 } ; x[i] = b ; x
""".strip().splitlines()
# Bodies of three values.
FORMS_OF_THREE = r"""
s = 0 ; for x in a { y = x * 2 ; s += y ; if s > 6 { break } } ; s
s = 0 ; t = b ; for x in a { if x < 2 { continue } ; s += x ; t += x } ; [s, t]
s = 1 ; for x in a { if x > b { return [s, x] } ; s = s * x + c } ; s
s = b ; l = [] ; for x in a { l.push(x - s) ; s = x } ; [l, s]
m = 0 ; n = none ; for x in a { if x > m { m = x ; n = c } ; a[0] = b } ; [m, n, a]
s = 0 ; for x in a { s += x ; s = s == 3 ? c : s } ; s
s = 0 ; for x in a { s = x + len([s]) ; if s >= 3 { a.push(c) } } ; [s, a]
a[b] = c ; a
a + b + c
a < b && b < c
a.k = b ; a[c]
a[b][c]
a ? b : c
m = { k: a } ; m[c] += b ; m
x = a.k ?? b ; y = x + c ; y
s = c ; for x in a { s += x == b ? 1 : 0 } ; s
for i in 0..2 { if a[i] == b { a[i] = c } } ; a
[x, y] = a ; [z, u] = [y, x] ; [x, y] = [b, c] ; [x, y, z, u]
[x, y] = a ; m = { k: x } ; for z in [x, y, b, "k"] { m[z] = m[z] ?? c } ; m
[x, x] = a ; [y, y] = [b, c] ; f = z => { y = z } ; [x, y] = [y, x] ; f(c) ; [x, y]
l = [] ; for x in a { [y, z] = x ; l.push(z) ; l.push(x[0]) ; [y, z] = [z, y] ; l.push(y) } ; l
l = [] ; for x in [a, b, c] { for i in 0..3 { l.push(x[i]) ; l.push(x[i - 2]) } } ; l
l = [] ; for x in a { for i in 0..b { l.push(x[i]) } ; l.push(x[c]) } ; l
l = [] ; for x in [[1, 2], a, [b]] { y = x[0] ; l.push(y) ; l.push(x[1]) ; l.push(x[1] ?? c) } ; l
for x in a { [y, z] = x ; [u, v] = [z, y] ; if u == b { return [v, c] } } ; a
a.k += b ; a.k += c ; a
a[b] += c ; a
""".strip().splitlines()


# Nothing can change in these: they are neither copied nor looked at again.
FIXED = frozenset({type(None), bool, int, float, str, bytes})


def shape(value: Any, depth: int = 0) -> Any:
    """A value in a form that can be compared: exact types, NaN equal to itself."""
    if depth > DEPTH:
        return type(value).__name__  # a list in itself, perhaps
    if isinstance(value, list):
        return ("list", [shape(item, depth + 1) for item in value[:9]])
    if isinstance(value, dict):
        return ("map", [(name, shape(item, depth + 1)) for name, item in value.items()])
    if isinstance(value, Record):
        return ("record", shape(value.values, depth + 1))
    if isinstance(value, int) and abs(value) >= 1 << 64:
        return (type(value).__name__, hash(value))
    return (type(value).__name__, "" if callable(value) else repr(value))


def copied(args: tuple[Any, ...]) -> tuple[Any, ...]:
    """Arguments of a run's own; what was one value twice still is."""
    memo: dict[int, Any] = {}
    return tuple(arg if type(arg) in FIXED else copy.deepcopy(arg, memo) for arg in args)


def outcome(run: Any, args: tuple[Any, ...]) -> Any:
    """What a run gives or which fault it ends in, and its arguments afterwards."""
    try:
        result = ("value", shape(run(*args)))
    except RuntimeFault as fault:
        result = ("fault", (fault.code, str(fault)))
    return result, [shape(arg) for arg in args if type(arg) not in FIXED and not callable(arg)]


def check(body: str, names: str, values: list[tuple[Any, ...]]) -> None:
    """A body does what the oracle does for all these arguments."""
    text = f"fn f({', '.join(names)}) {{\n{body}\n}}"
    abi, closures = bind_one(text)
    tree, diagnostics = parse(Source("x.flin", text))
    assert not diagnostics
    declaration = tree.items[0]
    assert isinstance(declaration, ast.FunctionDecl)

    def plain(*args: Any) -> Any:
        evaluator = Evaluator(abi.ops, dict(zip(names, args, strict=True)), abi.builtins)
        return evaluator.function(declaration.body)

    for args in values:
        expected = outcome(plain, copied(args))
        found = outcome(lambda *given: closures["f"](None, *given), copied(args))
        assert found == expected, (body, args)


@pytest.mark.parametrize("body", FORMS)
def test_form_does_what_the_oracle_does(body: str) -> None:
    """All pairs of values, where the form has two."""
    others = VALUES if "b" in body.replace("append", "") else VALUES[:1]
    check(body, "ab", list(product(VALUES, others)))


@pytest.mark.parametrize("body", FORMS_OF_THREE)
def test_form_of_three_does_what_the_oracle_does(body: str) -> None:
    """All pairs of values with some third ones."""
    check(body, "abc", list(product(VALUES, VALUES[::2], THIRD)))
