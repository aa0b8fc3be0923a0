"""The loop that runs LALR tables over tokens: shift, reduce, call the actions.

SLY's own loop follows token objects, position tables and a lookahead stack that this grammar has no
use for; it is many times slower. Rules: tables and actions are SLY's, so are the names by which an
action reaches what it matched; what to do at a fault is the business of `lang.recovery`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

END: Final = "$end"  # type of the token after the last one


class Matched(list[Any]):
    """What a production matched, as its action sees it: `p[0]`, `p.NAME`, `p.expr`.

    Attributes:
        places: Names of the right side that stand there once -> where.
        symbols: The right side.
        starts: The driver's stack, whose last items are where each symbol starts.
        ends: The same for where it ends.
    """

    __slots__ = ("ends", "places", "starts", "symbols")

    places: dict[str, int]
    symbols: tuple[str, ...]
    starts: list[int]
    ends: list[int]

    def __getattr__(self, name: str) -> Any:
        return self[self.places[name]]


class Rule(NamedTuple):
    """A production: `name` from `symbols`, made by `action`.

    Attributes:
        name: The nonterminal.
        symbols: The right side.
        length: How many symbols that is.
        action: Called with the parser and a Matched.
        places: Names of the right side that stand there once -> where.
    """

    name: str
    symbols: tuple[str, ...]
    length: int
    action: Callable[[Any, Any], Any]
    places: dict[str, int]


def rule(name: str, symbols: Sequence[str], action: Callable[[Any, Any], Any]) -> Rule:
    """A production ready to run."""
    once = {symbol for symbol in symbols if symbols.count(symbol) == 1}
    places = {symbol: place for place, symbol in enumerate(symbols) if symbol in once}
    return Rule(name, tuple(symbols), len(symbols), action, places)


class Tables(NamedTuple):
    """The tables of a grammar; indexes are states.

    Attributes:
        actions: Token type -> state to shift to (> 0), production to reduce by (< 0), accept (0).
        gotos: Nonterminal -> state.
        defaults: The production (< 0) that a state reduces by whatever comes, or None.
        kinds: The symbol that leads to a state.
    """

    actions: Sequence[dict[str, int]]
    gotos: Sequence[dict[str, int]]
    defaults: Sequence[int | None]
    kinds: Sequence[str]


class Driver:
    """Base of a parser that has `tables` and `rules`; a subclass says what happens at a fault.

    Attributes:
        states: The stack of states.
        values: What each state's symbol stands for.
        starts: Where its text starts, and ...
        ends: ... ends.
        next_index: While a fault is dealt with, index of the token after the faulty one.
    """

    tables: Tables
    rules: Sequence[Rule]

    states: list[int]
    values: list[Any]
    starts: list[int]
    ends: list[int]
    next_index: int

    def error(self, token: Any) -> Any:
        """Deal with a token (None at the end) that no production takes.

        It may change the stacks, all in the same way, and `next_index`.

        Returns:
            The token to go on with; None ends the parse.
        """
        raise NotImplementedError

    def parse(self, tokens: list[Any], end: Any) -> Any:
        """Value of the start symbol, or None when `error` gave up.

        Args:
            tokens: All tokens.
            end: A token of type END.
        """
        actions, gotos, defaults, _ = self.tables
        rules = self.rules
        self.states = states = [0]
        self.values = values = [None]
        self.starts = starts = [0]
        self.ends = ends = [0]
        matched = Matched()
        matched.starts, matched.ends = starts, ends
        count, place, state = len(tokens), 1, 0
        token = tokens[0] if count else end
        kind = token.type
        while True:
            action = defaults[state] or actions[state].get(kind)
            if action is None:
                self.next_index = min(place, count)
                token = self.error(None if kind == END else token)
                if token is None:
                    return None
                kind, state, place = token.type, states[-1], self.next_index
                continue
            if action > 0:
                states.append(action)
                values.append(token.value)
                starts.append(token.index)
                ends.append(token.end)
                state = action
                token = tokens[place] if place < count else end
                kind = token.type
                place += 1
                continue
            if action == 0:
                return values[-1]
            name, matched.symbols, length, make, matched.places = rules[-action]
            if length == 1:
                matched[:] = values[-1:]
                values[-1] = make(self, matched)
                states[-1] = state = gotos[states[-2]][name]
            elif length:
                matched[:] = values[-length:]
                made = make(self, matched)
                rest = 1 - length
                del values[rest:], states[-length:], starts[rest:], ends[-length:-1]
                values[-1] = made
                state = gotos[states[-1]][name]
                states.append(state)
            else:
                matched.clear()
                after = ends[-1]
                values.append(make(self, matched))
                state = gotos[states[-1]][name]
                states.append(state)
                starts.append(after)
                ends.append(after)
