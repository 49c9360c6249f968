"""A scene on the product and on the slow twin, with every event and callback heard, in the same words.

What is heard becomes ``(name, record)`` pairs; a generated id becomes its number, since both make their own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from unittest import mock

import bkapi
from bkapi.backtests import prepare
from bkapi.base.context import get_timestamp
from bkapi.base.timestamps import from_ms, to_ms
from bkcore.machine.run import Driver
from bkcore.machine.signals import Asking
from tests.golden.hosts import LISTEN_FUNCTIONS
from tests.naive.engine import Engine, RiskCheck
from tests.naive.events import CALLBACKS
from tests.naive.market import Market as NaiveMarket
from tests.naive.records import PNL_FIELDS, fields, optional, plain, read, result_record, row_record
from tests.property.commanding import Rule, Script
from tests.property.scenes import SYMBOL, Scene

CONTEXT = {"strategy_name": "plan", "exchange_name": "memory", "frame_name": "scene"}
#: Fields of an event or a result that say something; rows, PnL and exceptions are told apart below.
SCALARS = (
    "action",
    "created_at",
    "timestamp",
    "current_price",
    "level",
    "close_reason",
    "reason",
    "close_timestamp",
    "close_id",
    "cancel_id",
    "activate_id",
    "percent_to_close",
    "percent_shift",
    "cost",
    "effective_price_open",
    "note",
    "total_entries",
    "total_partials",
    "paused",
)
ROWS = ("data", "signal")


@dataclass
class Heard:
    """What a run told: results in order, and events and callbacks in one stream."""

    results: list[Any] = field(default_factory=list)
    stream: list[tuple[str, Any]] = field(default_factory=list)
    _ids: dict[str, str] = field(default_factory=dict)

    def keep(self, name: str, thing: Any) -> None:
        """Add an event, or the arguments of a callback."""
        self.stream.append((name, self._plain(thing)))

    def answer(self, name: str, value: Any) -> None:
        """Add what a command or getter answered."""
        if isinstance(value, dict) and "original_price_open" in value:
            value = self._named(value)
        self.stream.append((f"answer of {name}", value))

    def finish(self, results: Iterator[Any] | list[Any]) -> Heard:
        """Take the results, one by one."""
        ids: dict[str, str] = {}  # the twin returns them all at the end: they are counted on their own
        for result in results:
            self.results.append(_named(result_record(result), ids))
        return self

    def of(self, *names: str) -> list[tuple[str, Any]]:
        """The stream without anything else."""
        return [one for one in self.stream if one[0] in names]

    def _plain(self, thing: Any) -> Any:
        if isinstance(thing, tuple):
            return [self._plain(item) for item in thing]
        if isinstance(thing, Exception):
            return "error"
        if hasattr(thing, "original_price_open"):
            return self._named(row_record(thing))
        if hasattr(thing, "current_price") or hasattr(thing, "paused"):
            return {
                **{name: plain(optional(thing, name)) for name in SCALARS},
                **{name: self._plain(optional(thing, name)) for name in ROWS},
                "pnl": fields(read(thing, "pnl"), PNL_FIELDS) if optional(thing, "pnl") is not None else None,
            }
        return plain(thing)

    def _named(self, record: dict[str, Any]) -> dict[str, Any]:
        return _named(record, self._ids)


def _named(record: dict[str, Any], ids: dict[str, str]) -> dict[str, Any]:
    """The record with a generated id replaced by its number."""
    row = record.get("signal", record)
    if len(row["id"]) == 36:
        row["id"] = ids.setdefault(row["id"], f"generated {len(ids)}")
    return record


# the product


@contextmanager
def registered(scene: Scene, **strategy: Any) -> Iterator[dict[str, str]]:
    """The scene as schemas, from a clean start and leaving nothing behind; the strategy is as given.

    Signals between two askings, which the door refuses, are let in: the engine has a rule for them.
    """
    bkapi.reset()
    always = mock.patch.object(prepare, "asking_of", lambda market, interval_ms, **_: Asking(0, 2**62, 1))
    always.start()
    try:
        bkapi.set_config(scene.config, unsafe=True)
        bkapi.add_exchange_schema(
            exchange_name="memory",
            candles={SYMBOL: scene.candles()},
            base_interval=scene.base,  # type: ignore[arg-type]
        )
        bkapi.add_frame_schema(
            frame_name="scene",
            interval=scene.interval,  # type: ignore[arg-type]
            start_date=from_ms(scene.start_ms),
            end_date=from_ms(scene.end_ms),
        )
        bkapi.add_strategy_schema(
            strategy_name="plan",
            interval=scene.strategy_interval,  # type: ignore[arg-type]
            **strategy,
        )
        yield CONTEXT
    finally:
        always.stop()
        bkapi.reset()


def get_signal_of(scene: Scene) -> dict[str, Any]:
    """The plan as a function."""
    return {"get_signal": lambda symbol, when, price: scene.answer(to_ms(when))}


def signals_of(scene: Scene) -> dict[str, Any]:
    """The plan as a signal frame."""
    return {"signals": lambda candles: scene.signal_frame()}


def play(
    scene: Scene,
    strategy: dict[str, Any],
    *,
    driver: Driver = "skip",
    kinds: tuple[str, ...] | None = None,
    callbacks: tuple[str, ...] = (),
    rules: tuple[Rule, ...] = (),
    first: Callable[[], object] = lambda: None,
    then: Callable[[str], object] = lambda place: None,
    heard: Heard | None = None,
) -> Heard:
    """Run on the product; listen to ``kinds`` (None = all), and give the strategy ``callbacks``.

    ``rules`` are obeyed at every place that hears something, and ``then`` is called there; ``first`` is called before
    anybody listens. ``heard`` is what is added to, for runs that do not come to their end.
    """
    heard = Heard() if heard is None else heard
    script = Script(rules, bkapi, heard.answer)
    if "get_signal" in strategy:
        plan = strategy["get_signal"]

        def get_signal(*arguments: Any) -> Any:
            script.at("get_signal", arguments)
            then("get_signal")
            return plan(*arguments)

        strategy = {**strategy, "get_signal": get_signal}

    def listener(kind: str) -> Callable[[Any], None]:
        def hear(event: Any) -> None:
            heard.keep(kind, event)
            if (
                kind != "error"
            ):  # an assertion that fails becomes an error event, which the twin does not have
                assert get_timestamp() == (event.created_at if kind == "signal" else event.timestamp)
            script.at(kind, event)
            then(kind)

        return hear

    def callback(name: str) -> Callable[..., None]:
        def call(symbol: str, *arguments: Any) -> None:
            *told, when, backtest = arguments
            assert (symbol, backtest, to_ms(when)) == (SYMBOL, True, get_timestamp())
            heard.keep(name, (*told, to_ms(when)))
            script.at(name, arguments)
            then(name)

        return call

    with registered(scene, **strategy, callbacks={name: callback(name) for name in callbacks}) as context:
        first()
        for kind in LISTEN_FUNCTIONS if kinds is None else kinds:
            getattr(bkapi, LISTEN_FUNCTIONS[kind])(listener(kind))
        return heard.finish(bkapi.Backtest.run(SYMBOL, context, driver=driver))


# the slow twin


def play_naive(
    scene: Scene,
    *,
    kinds: tuple[str, ...] | None = None,
    callbacks: tuple[str, ...] = CALLBACKS,
    rules: tuple[Rule, ...] = (),
    risk: RiskCheck | None = None,
) -> Heard:
    """Run on the slow twin; arguments as for :func:`play`."""
    heard = Heard()
    script = Script(rules, None, heard.answer)

    def listener(kind: str) -> Callable[[Engine, Any], None]:
        def hear(engine: Engine, event: Any) -> None:
            heard.keep(kind, event)
            script.at(kind, event)

        return hear

    def get_signal(engine: Engine, when: int, price: float) -> Any:
        script.at("get_signal", (when, price))
        return scene.answer(when)

    columns = [
        scene.columns[name].tolist() for name in ("timestamp", "open", "high", "low", "close", "volume")
    ]
    heard_kinds = tuple(LISTEN_FUNCTIONS) if kinds is None else kinds
    engine = Engine(
        NaiveMarket(zip(*columns, strict=True), scene.settings.average_candles),
        frame=(scene.interval, scene.start_ms, scene.end_ms),
        get_signal=get_signal,
        config=scene.config,
        strategy_interval=scene.strategy_interval,
        listeners={kind: listener(kind) for kind in (*heard_kinds, *callbacks)},
        symbol=SYMBOL,
        risk=risk,
    )
    script.api = engine
    return heard.finish(engine.run())
