"""The loop that runs LALR tables over tokens: shift, reduce, call the actions.

SLY's own loop follows token objects, position tables and a lookahead stack that this grammar has no
use for; it is three times slower. Rules: tables and actions are SLY's, so are the names by which an
action reaches what it matched; what to do at a fault is the business of `lang.recovery`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple


class Symbol:
    """A nonterminal on the stack: what an action made, and the text it stands for."""

    __slots__ = ("end", "index", "type", "value")

    def __init__(self, kind: str, value: Any, index: int, end: int) -> None:
        self.type = kind
        self.value = value
        self.index = index
        self.end = end


class Matched:
    """What a production matched, as its action sees it: `p[0]`, `p.NAME`, `p.expr`.

    Attributes:
        _slice: The tokens and symbols of the right side.
    """

    __slots__ = ("_places", "_slice")

    _places: dict[str, int]
    _slice: list[Any]

    def __getitem__(self, place: int) -> Any:
        return self._slice[place].value

    def __getattr__(self, name: str) -> Any:
        return self._slice[self._places[name]].value

    def __len__(self) -> int:
        return len(self._slice)

    @property
    def index(self) -> Any:
        """Offset of the first character."""
        return self._slice[0].index

    @property
    def end(self) -> Any:
        """Offset after the last character."""
        return self._slice[-1].end


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
    """

    actions: Sequence[dict[str, int]]
    gotos: Sequence[dict[str, int]]
    defaults: Sequence[int | None]


_BOTTOM: Final = "$end"


class Driver:
    """Base of a parser that has `tables` and `rules`; a subclass says what happens at a fault."""

    tables: Tables
    rules: Sequence[Rule]

    statestack: list[int]
    symstack: list[Any]
    state: int
    next_index: int

    def error(self, token: Any) -> Any:
        """Deal with a token (None at the end) that no production takes.

        It may take symbols and states off the stacks and change `state` and `next_index`.

        Returns:
            The token to go on with; None ends the parse.
        """
        raise NotImplementedError

    def parse(self, tokens: list[Any]) -> Any:
        """Value of the start symbol, or None when `error` gave up."""
        actions, gotos, defaults = self.tables
        rules = self.rules
        self.statestack = states = [0]
        self.symstack = symbols = [Symbol(_BOTTOM, None, 0, 0)]
        count, place = len(tokens), 0
        end = tokens[-1].end if tokens else 0
        matched = Matched()
        state, lookahead = 0, None
        while True:
            action = defaults[state]
            if action is None:
                if lookahead is None:
                    lookahead = tokens[place] if place < count else Symbol(_BOTTOM, "", end, end)
                    place += 1
                action = actions[state].get(lookahead.type)
                if action is None:
                    self.state, self.next_index = state, min(place, count)
                    lookahead = self.error(None if lookahead.type == _BOTTOM else lookahead)
                    if lookahead is None:
                        return None
                    state, place = self.state, self.next_index
                    continue
                if action > 0:
                    states.append(action)
                    symbols.append(lookahead)
                    state, lookahead = action, None
                    continue
                if action == 0:
                    return symbols[-1].value
            name, _, length, make, matched._places = rules[-action]
            if length:
                matched._slice = parts = symbols[-length:]
                made = Symbol(name, make(self, matched), parts[0].index, parts[-1].end)
                del symbols[-length:]
                del states[-length:]
            else:
                matched._slice = []
                after = symbols[-1].end
                made = Symbol(name, make(self, matched), after, after)
            state = gotos[states[-1]][name]
            states.append(state)
            symbols.append(made)
