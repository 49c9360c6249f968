"""Random commands and getters from any place: the same words for the product (a module) and the slow twin (an engine).

A rule speaks at every ``every``-th time that its place comes, so a few rules say a lot and shrink well.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

from bkapi.errors import BkError
from tests.golden.hosts import LISTEN_FUNCTIONS
from tests.golden.scenario import PRICED_PROBES, PROBE_FUNCTIONS
from tests.naive.commands import CommandError
from tests.naive.events import CALLBACKS
from tests.naive.records import answer_record, optional
from tests.property.scenes import SYMBOL

GETTERS = (
    *PROBE_FUNCTIONS,
    "get_pending_signal",
    "get_scheduled_signal",
    "has_no_pending_signal",
    "has_no_scheduled_signal",
    "get_position_entries",
    "get_position_partials",
    "get_strategy_paused",
    "get_average_price",
)
#: Where a command may come from. ``on_write`` is told in the middle of a command and only listens.
PLACES = ("get_signal", *LISTEN_FUNCTIONS, *(name for name in CALLBACKS if name != "on_write"))
_OFTEN = (
    "active_ping",
    "active_ping",
    "on_open",
    "idle_ping",
    "schedule_ping",
    "signal_event",
    "on_schedule",
)

percents = st.sampled_from([33.3, 10.0, 50.0, 100.0, 0.0, -5.0, 150.0, math.nan])
shifts = st.sampled_from([-0.3, -0.5, -1.0, -3.0, 0.3, 2.0, 0.0, 150.0, math.inf])
factors = st.sampled_from([1.0, 0.999, 1.001, 0.99, 1.01, 0.5, 0.0])
dollars = st.sampled_from([50.0, 10.0, 100.0, 171.0, 1e-3])
payloads = st.sampled_from([None, {}, {"id": "mine"}, {"id": "other", "note": "why"}])


@dataclass(frozen=True)
class Rule:
    """``command(SYMBOL, *values)`` at every ``every``-th time at ``place``; factors are of the price known now."""

    place: str
    every: int
    offset: int
    command: str
    values: tuple[Any, ...] = ()


def _valued(command: str, *values: st.SearchStrategy[Any]) -> st.SearchStrategy[tuple[str, tuple[Any, ...]]]:
    return st.tuples(st.just(command), st.tuples(*values))


#: Commands that end or change the position, and how often they are wanted.
_commands = st.one_of(
    _valued("commit_average_buy"),
    _valued("commit_average_buy", dollars),
    _valued("commit_partial_profit", percents),
    _valued("commit_partial_loss", percents),
    _valued("commit_partial_profit_cost", dollars),
    _valued("commit_partial_loss_cost", dollars),
    _valued("commit_trailing_stop", shifts, factors),
    _valued("commit_trailing_take", shifts, factors),
    _valued("commit_trailing_stop_cost", factors),
    _valued("commit_trailing_take_cost", factors),
    _valued("commit_breakeven"),
    _valued("commit_close_pending", payloads),
    _valued("commit_create_take_profit", payloads),
    _valued("commit_create_stop_loss", payloads),
    _valued("commit_cancel_scheduled", payloads),
    _valued("commit_activate_scheduled", payloads),
    _valued(
        "commit_create_signal",
        st.sampled_from(["long", "short", "up"]),
        st.sampled_from([None, 1.0, 0.999, 1.001]),
        st.sampled_from([1.0, 3.0, 0.1]),
        st.sampled_from([None, "queued"]),
    ),
    _valued("set_strategy_paused", st.booleans()),
    _valued("probe"),
    _valued("probe"),
)
_stop = _valued("stop_strategy")


@st.composite
def rules(draw: st.DrawFn) -> tuple[Rule, ...]:
    """A handful of rules; stopping is rare, since little happens afterwards."""
    found = []
    for _ in range(draw(st.integers(4, 12))):
        place = draw(st.one_of(st.sampled_from(_OFTEN), st.sampled_from(PLACES)))
        every = draw(st.sampled_from([3, 1, 2, 7, 20]))
        stops = draw(st.integers(0, 49)) == 49
        command, values = draw(_stop if stops else _commands)
        found.append(Rule(place, 100 if stops else every, draw(st.integers(0, every - 1)), command, values))
    return tuple(found)


class Script:
    """The rules, obeyed in a run on ``api``; ``answer`` is given every call with what came of it."""

    def __init__(self, rules: tuple[Rule, ...], api: Any, answer: Callable[[str, Any], None]) -> None:
        self.rules = rules
        self.api = api
        self.answer = answer
        self._times: Counter[str] = Counter()

    def at(self, place: str, event: Any) -> None:
        """What the rules want when ``event`` (or the arguments of a callback) is heard at ``place``."""
        self._times[place] += 1
        for rule in self.rules:
            if rule.place == place and self._times[place] % rule.every == rule.offset:
                self._obey(rule, place, event)

    def _obey(self, rule: Rule, place: str, event: Any) -> None:
        if rule.command == "probe":
            self._probe()
        elif not _is_refused(rule.command, place, event):
            values = self._values(rule)
            try:
                self.answer(rule.command, getattr(self.api, rule.command)(SYMBOL, *values))
            except (CommandError, BkError):
                self.answer(rule.command, "raised")

    def _values(self, rule: Rule) -> tuple[Any, ...]:
        price = self.api.get_average_price(SYMBOL)
        if rule.command == "commit_create_signal":
            return (_signal(price, *rule.values),)
        if rule.command in ("commit_trailing_stop", "commit_trailing_take"):
            return rule.values[0], price * rule.values[1]
        if rule.command in ("commit_trailing_stop_cost", "commit_trailing_take_cost"):
            return (price * rule.values[0],)
        return rule.values

    def _probe(self) -> None:
        price = self.api.get_average_price(SYMBOL)
        for getter in GETTERS:
            arguments = (price * 1.003,) if getter in PRICED_PROBES else ()
            try:
                self.answer(getter, answer_record(getattr(self.api, getter)(SYMBOL, *arguments)))
            except (CommandError, BkError):
                self.answer(getter, "raised")


def _signal(
    price: float, position: str, factor: float | None, reach: float, identity: str | None
) -> dict[str, Any]:
    entry, side = price * (factor or 1.0), -1 if position == "short" else 1
    signal: dict[str, Any] = {
        "position": position,
        "price_take_profit": entry * (1 + side * reach / 100),
        "price_stop_loss": entry * (1 - side * reach / 100),
        "minute_estimated_time": 15,
    }
    return signal | ({} if factor is None else {"price_open": entry}) | ({"id": identity} if identity else {})


def _is_refused(command: str, place: str, event: Any) -> bool:
    """What the two need not agree on, or what would not end.

    While a close is told the product shows the position but refuses commands on it, where the reference takes them
    for a position that is about to be forgotten. A pause that listens to pauses has no end.
    """
    if place == "pause":
        return command == "set_strategy_paused"
    is_close = place == "on_close" or (place == "signal_event" and optional(event, "action") == "closed")
    return is_close and command not in ("commit_create_signal", "set_strategy_paused", "stop_strategy")
