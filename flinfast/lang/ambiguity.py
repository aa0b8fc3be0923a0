"""How long a regular expression may take, judged from the expression alone.

Python's matcher tries one way after the other. On a text that does not match it tries them all, and
a hostile text has as many as the expression allows: 2 ** length for `(a+)+$`, length ** 3 for
`.*.*.*$`. That is a property of the expression: the number of paths through its automaton with the
same characters.

The automaton has one state per character of the expression (Glushkov); its edges count in how many
ways one character can follow another. Paths multiply without end where a loop can be run through in
two ways with the same characters (exponential), and by the length of the text for each further loop
that can share characters with one before it (polynomial). The judgement errs on the safe side.

Source: Weber, Seidl, "On the degree of ambiguity of finite automata" (1991); Weideman and others,
"Analyzing matching time behavior of backtracking regular expression matchers" (2016).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Final, TypeVar

from msgspec import Struct, field

from flinfast.lang.charset import ALL
from flinfast.lang.regular import (
    Again,
    Chars,
    Either,
    Group,
    Item,
    Look,
    Place,
    Repeat,
    Sequence,
    parse,
)

T = TypeVar("T")

STEPS_MAX: Final = 1 << 24  # of one match, at most: some 0.1 s
FREE_BITS: Final = 4  # ways by which a text may be read that cost it no limit
LENGTH_LEAST: Final = 64  # an expression that cannot take so many characters is refused
COPIES_MAX: Final = 64  # of a part that is repeated so often that are states of their own
STATES_MAX: Final = 300  # with copies; an expression with more is looked at without them
PAIRS_MAX: Final = 60_000  # of states that are looked at; an expression with more is refused


class Cost(Struct, frozen=True):
    """What matching may take.

    Attributes:
        is_endless: Whether a short text can take longer than anybody waits.
        length_max: Characters of a text that are matched within STEPS_MAX; None when any number is.
    """

    is_endless: bool = False
    length_max: int | None = None


class _Part(Struct):
    """A piece of the automaton, and in how many ways (2: several) it begins, ends and is empty."""

    first: dict[int, int] = field(default_factory=dict)
    last: dict[int, int] = field(default_factory=dict)
    empty: int = 0


class _Loop(Struct):
    """A repetition.

    Attributes:
        states: Where it begins and ends.
        bits: How many ways its count leaves, as a power of 2; infinite when it has no limit.
        inner_bits: The same with what is repeated inside of each round.
    """

    states: frozenset[int]
    bits: float
    inner_bits: float


@lru_cache(maxsize=256)
def cost_of(pattern: str, *, is_search: bool = True) -> Cost:
    """Judge an expression.

    Args:
        pattern: A valid one, as `re.compile()` takes it.
        is_search: Whether it is looked for anywhere in the text.

    Raises:
        re.error: It is not valid.
        OverflowError, RecursionError: It is too large.
    """
    tree = _without_end(parse(pattern))
    for copies in (COPIES_MAX, 1):
        automaton = _Automaton(copies)
        if is_search and not _is_anchored(tree):
            automaton.add_prefix()
        if automaton.build(tree):
            return automaton.cost()
    return Cost(is_endless=True)


class _Automaton:
    """States, edges and loops of one expression."""

    def __init__(self, copies_max: int) -> None:
        self._copies_max = copies_max
        self._sets: list[int] = []  # by state: what it reads
        self._edges: list[dict[int, int]] = []  # by state: next states, and in how many ways
        self._loops: list[_Loop] = []
        self._prefix = self._whole = _Part(empty=1)

    def add_prefix(self) -> None:
        """Let it begin anywhere: a loop over every character stands in front."""
        self._prefix = self._optional(self._endless(self._state(ALL)))

    def build(self, tree: Sequence) -> bool:
        """Add the whole expression; False when it has too many states."""
        try:
            self._whole = self._sequence(self._prefix, self._part(tree))
        except _TooLargeError:
            return False
        return True

    # --- construction

    def _state(self, chars: int) -> _Part:
        if len(self._sets) >= (STATES_MAX if self._copies_max > 1 else 4 * STATES_MAX):
            raise _TooLargeError
        number = len(self._sets)
        self._sets.append(chars)
        self._edges.append({})
        return _Part({number: 1}, {number: 1}, 0)

    def _connect(self, last: dict[int, int], first: dict[int, int], ways: int = 1) -> None:
        for start, begin_ways in last.items():
            edges = self._edges[start]
            for end, end_ways in first.items():
                edges[end] = min(2, edges.get(end, 0) + begin_ways * end_ways * ways)

    def _sequence(self, one: _Part, two: _Part) -> _Part:
        self._connect(one.last, two.first)
        return _Part(
            _sum(one.first, two.first, one.empty),
            _sum(two.last, one.last, two.empty),
            min(2, one.empty * two.empty),
        )

    def _loop(self, part: _Part, bits: float, inner_bits: float) -> _Part:
        """A part that may follow itself."""
        # Rounds that may be empty and are counted can be left out in many ways.
        self._connect(part.last, part.first, 2 if part.empty and bits < math.inf else 1)
        states = frozenset(part.first) | frozenset(part.last)
        self._loops.append(_Loop(states, bits, inner_bits))
        return part

    def _endless(self, part: _Part) -> _Part:
        return self._loop(part, math.inf, math.inf)

    def _optional(self, part: _Part) -> _Part:
        return _Part(part.first, part.last, 1)

    def _part(self, tree: Sequence) -> _Part:
        whole = _Part(empty=1)
        for item in tree:
            whole = self._sequence(whole, self._item(item))
        return whole

    def _item(self, item: Item) -> _Part:
        match item:
            case Chars(bits):
                return self._state(bits)
            case Repeat(least, most, part):
                return self._repeat(least, most, part)
            case Group(part):
                return self._part(part)
            case Either(branches):
                return self._either([self._part(branch) for branch in branches])
            case Look(part):
                inside = self._part(part)  # read, and then the text goes on where it was
                return _Part(inside.first, {}, 1)
            case Again():  # as long as what a group has found
                return self._optional(self._endless(self._state(ALL)))
            case Place():
                return _Part(empty=1)

    def _either(self, parts: list[_Part]) -> _Part:
        whole = _Part()
        for part in parts:
            whole = _Part(
                _sum(whole.first, part.first, 1),
                _sum(whole.last, part.last, 1),
                min(2, whole.empty + part.empty),
            )
        return whole

    def _repeat(self, least: int, most: float, tree: Sequence) -> _Part:
        has_limit = most < math.inf
        extra = most - least if has_limit else 0
        inner_bits = _bits(tree) * most if has_limit else math.inf
        whole = _Part(empty=1)
        if least > self._copies_max:
            whole = self._loop(self._part(tree), 0.0, inner_bits)
        for number in range(least if least <= self._copies_max else 0):
            part = self._part(tree)
            if not has_limit and number == least - 1:
                part = self._endless(part)
            whole = self._sequence(whole, part)
        if not has_limit and least == 0:
            whole = self._optional(self._endless(self._part(tree)))
        elif not has_limit and least > self._copies_max:
            whole = self._endless(whole)
        elif extra == 1:
            whole = self._sequence(whole, self._optional(self._part(tree)))
        elif extra:
            bits = math.log2(extra + 1)
            rest = self._loop(self._part(tree), bits, bits + inner_bits)
            whole = self._sequence(whole, self._optional(rest))
        return whole

    # --- judgement

    def cost(self) -> Cost:
        """What the paths through the automaton make of a hostile text."""
        groups = _components(range(len(self._sets)), lambda state: self._edges[state])
        groups.reverse()  # the first come first
        chains: list[int] = []  # by group: loops without limit that share characters, up to it
        paths = dict.fromkeys(range(len(self._sets)), 0.0)  # by state: bits of the ways to it
        bits_max = self._choice_bits(self._whole.first)
        for index, group in enumerate(groups):
            states = frozenset(group)
            loops = [loop for loop in self._loops if loop.states & states]
            is_loop = len(group) > 1 or group[0] in self._edges[group[0]]
            is_endless = is_loop and any(loop.bits == math.inf for loop in loops)
            has_two_ways = is_loop and self._has_two_ways(states)
            if has_two_ways and is_endless:
                return Cost(is_endless=True)
            bits = max(paths[state] for state in group)
            if has_two_ways:
                bits += max(loop.inner_bits for loop in loops)
            elif is_loop and not is_endless:
                bits += sum(loop.bits for loop in loops)
            bits_max = max(bits_max, self._leave(states, bits, paths))
            shared = [
                chains[at]
                for at in range(index)
                if is_endless and chains[at] and self._shares(groups[at], group)
            ]
            chains.append(max(shared, default=0) + 1 if is_endless else 0)
        return _cost(max(chains, default=0), bits_max)

    def _leave(self, group: frozenset[int], bits: float, paths: dict[int, float]) -> float:
        """Tell the states after a group in how many ways they are come to; the most of these."""
        most = bits
        for state in group:
            ends = {end: ways for end, ways in self._edges[state].items() if end not in group}
            own = bits + self._choice_bits(ends)
            most = max(most, own)
            for end in ends:
                paths[end] = max(paths[end], own)
        return most

    def _choice_bits(self, ends: dict[int, int]) -> float:
        """Between how many next states one character leaves the choice, as a power of 2."""
        most = 1
        for end in ends:
            chars = self._sets[end]
            most = max(most, sum(ways for o, ways in ends.items() if self._sets[o] & chars))
        return math.log2(most)

    def _has_two_ways(self, group: frozenset[int]) -> bool:
        """Whether a loop can be run through in two ways with the same characters."""
        edges, sets = self._edges, self._sets
        inside = {
            state: [(end, ways) for end, ways in edges[state].items() if end in group]
            for state in group
        }
        if any(ways > 1 for ends in inside.values() for _, ways in ends):
            return True
        if len(group) == 1:
            return False

        def pairs_after(pair: tuple[int, int]) -> list[tuple[int, int]]:
            return [
                (one, two)
                for one, _ in inside[pair[0]]
                for two, _ in inside[pair[1]]
                if sets[one] & sets[two]
            ]

        try:
            components = _components([(state, state) for state in group], pairs_after)
        except _TooLargeError:
            return True
        return any(
            len(component) > 1
            and any(one == two for one, two in component)
            and any(one != two for one, two in component)
            for component in components
        )

    def _shares(self, one: list[int], two: list[int]) -> bool:
        """Whether characters can be read by either of two loops: where one ends is then open."""
        both = self._read(one) & self._read(two)
        if not both:
            return False
        goal, seen, line = frozenset(two), set(one), list(one)
        while line:
            for end in self._edges[line.pop()]:
                if end in goal:
                    return True
                if end not in seen and self._sets[end] & both:
                    seen.add(end)
                    line.append(end)
        return False

    def _read(self, group: list[int]) -> int:
        chars = 0
        for state in group:
            chars |= self._sets[state]
        return chars


class _TooLargeError(Exception):
    """There are too many states."""


def _cost(count: int, bits: float) -> Cost:
    """Of so many loops one after the other that share characters."""
    left = math.log2(STEPS_MAX) - bits
    if left < 0:
        return Cost(is_endless=True)
    if count == 0 or (count == 1 and bits <= FREE_BITS):
        return Cost()
    length = int(2 ** (left / count) + 1e-9)
    return Cost(length_max=length) if length >= LENGTH_LEAST else Cost(is_endless=True)


def _bits(tree: Sequence) -> float:
    """In how many ways a part can be run through at most, as a power of 2."""
    total = 0.0
    for item in tree:
        match item:
            case Repeat(least, most, part):
                if most == math.inf:
                    return math.inf
                total += math.log2(most - least + 1) + most * _bits(part)
            case Either(branches):
                total += math.log2(len(branches)) + max(map(_bits, branches))
            case Group(part) | Look(part):
                total += _bits(part)
            case _:
                pass
    return total


def _sum(one: dict[int, int], two: dict[int, int], ways: int) -> dict[int, int]:
    if not ways:
        return one
    total = dict(one)
    for state, count in two.items():
        total[state] = min(2, total.get(state, 0) + count * ways)
    return total


def _without_end(tree: Sequence) -> Sequence:
    """Take off what cannot fail any more: with what stands before it, a text has matched."""
    while tree and isinstance(last := tree[-1], Repeat):
        tree = tree[:-1]
        if last.least:
            return (*tree, Repeat(last.least, last.least, last.part))
    return tree


def _is_anchored(tree: Sequence) -> bool:
    """Whether it can match at the start of the text only."""
    for item in tree:
        match item:
            case Place(is_start):
                if is_start:
                    return True
            case Group(part):
                return _is_anchored(part)
            case Either(branches):
                return all(map(_is_anchored, branches))
            case _:
                return False
    return False


def _components(starts: Iterable[T], after: Callable[[T], Iterable[T]]) -> list[list[T]]:
    """Strongly connected components of what can be reached, the last ones first (Tarjan)."""
    order: dict[T, int] = {}
    low: dict[T, int] = {}
    stack: list[T] = []
    found: list[list[T]] = []
    waiting: set[T] = set()
    for start in starts:
        if start in order:
            continue
        order[start] = low[start] = len(order)
        stack.append(start)
        waiting.add(start)
        work = [(start, iter(after(start)))]
        while work:
            node, ends = work[-1]
            for end in ends:
                if end not in order:
                    if len(order) >= PAIRS_MAX:
                        raise _TooLargeError
                    order[end] = low[end] = len(order)
                    stack.append(end)
                    waiting.add(end)
                    work.append((end, iter(after(end))))
                    break
                if end in waiting:
                    low[node] = min(low[node], order[end])
            else:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[node])
                if low[node] == order[node]:
                    at = stack.index(node)
                    found.append(stack[at:])
                    waiting.difference_update(stack[at:])
                    del stack[at:]
    return found
