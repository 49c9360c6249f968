"""Does a strategy use candles that it could not know yet? Runs it again with other futures and compares.

All histories are equal up to a moment and differ after it, so everything the strategy says up to that moment must be
equal too.
"""

from __future__ import annotations

import inspect
import logging
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from bkapi.backtests.prepare import prepare, signal_table
from bkapi.base.context import Context, ExecutionContext, iterate_in_context
from bkapi.base.coroutines import settle
from bkapi.base.indicators import is_indicator
from bkapi.base.record import Record, record
from bkapi.base.timestamps import from_ms
from bkapi.errors import BkError, FatalError
from bkapi.guards.altered_globals import altered_globals
from bkapi.market.exchange import forget_exchanges
from bkapi.risk.services import clear_risks
from bkapi.runs.ledger import results_of
from bkapi.runs.strategy import StrategyRun
from bkapi.schemas.registry import exchanges, frames, strategies
from bkcore.candles.frame import CandleFrame
from bkcore.errors import did_you_mean
from bkcore.intervals import MINUTE_MS
from bkcore.machine.codes import CloseReason, Status
from bkcore.machine.market import Market

if TYPE_CHECKING:
    from datetime import datetime

Indicator = Callable[..., Any]
#: What a strategy said about a history: kind, name and moment (ms UTC), and the value.
Said = dict[tuple[str, str, int], Any]
Future = Literal["ends", "rises", "falls"]

_FUTURES: Final[dict[Future, float]] = {"ends": 1.0, "rises": 1.1, "falls": 0.9}
_BEYOND: Final = 2_000  # candles of a history after the moment at which it changes
_TOLERANCE: Final = 1e-9
_KINDS: Final = ("indicator", "signal", "trade")
_TRADE: Final = ("pending_at", "side", "price_open", "take_profit", "stop_loss", "lifetime")
_END: Final = ("ended_at", "end_price", "reason", "pnl_percent")
#: Fields of the records whose names in signals and trades differ.
_WORDS: Final = {
    "side": "position",
    "take_profit": "price_take_profit",
    "stop_loss": "price_stop_loss",
    "lifetime": "minute_estimated_time",
    "end_price": "close_price",
}
_SIDES: Final = {1: "long", -1: "short"}


class LookaheadError(BkError):
    """Raised by ``find_lookahead(...)`` of a strategy that gives different answers to the same candles."""


@record
class Lookahead(Record):
    """The first thing that changes when only the future does; ``kind`` is None when nothing did.

    kind      ``indicator``, ``signal`` or ``trade``
    name      of the indicator or the strategy
    when      the moment of the value, which the strategy could not know then
    column    what of it changed: a field of the signal or trade, a column of the indicator; "" where a whole signal or
              trade comes or goes
    before, after   the value with the true future, and with the other one
    future    how the history went on: it ``ends``, ``rises`` or ``falls``
    moments   how many moments were tried, with every future each
    """

    kind: str | None
    name: str
    when: datetime | None
    column: str
    before: str
    after: str
    future: str
    moments: int

    @property
    def found(self) -> bool:
        """Whether the strategy looks ahead."""
        return self.kind is not None

    def __repr__(self) -> str:
        if self.when is None:
            return f"{self.name}: no look-ahead at {self.moments:,} moments"
        column = f" in {self.column!r}" if self.column else ""
        return (
            f"{self.name}: look-ahead, {self.kind} of {self.when:%Y-%m-%d %H:%M} UTC depends on what comes after it"
            f"{column}\n"
            f"  with the true future: {self.before}\n  when the market {self.future}: {self.after}"
        )


def find_lookahead(
    symbol: str,
    context: Context,
    *,
    indicators: Mapping[str, Indicator] | None = None,
    moments: int = 16,
    seed: int = 0,
) -> Lookahead:
    """Run a registered strategy with other futures from ``moments`` moments on, and name the first thing that changes.

    indicators   functions of the candles (as ``signals`` gets them) that return a value per candle: a series, an
                 array, an expression or a frame
    moments      half of them are at signals, the others anywhere in the frame; a look-ahead that shows at few
                 candles needs more
    seed         chooses them

    Candles that the code of the strategy keeps in variables of its module or its closure get the other
    future too. Candles that it reads from files while it runs do not, so a look-ahead there is not found. Raises
    :class:`LookaheadError` for a strategy that is not repeatable.
    """
    strategy = strategies.get(context["strategy_name"], "find_lookahead")
    prepared = prepare(symbol, context, source="find_lookahead")
    base = prepared.run.market
    case = _Case(prepared, dict(context), dict(indicators or {}))
    schema = frames.get(context["frame_name"])
    start, end = schema.start_ms, min(schema.end_ms, int(base.timestamps[-3]))
    truth, asked = case.said(base, None)
    if case.strategy.get_signal is not None:
        again, _ = case.said(base, None)
        different = _first_difference(truth, again, np.iinfo(np.int64).max)
        if different is not None:
            raise LookaheadError(
                f"strategy {strategy.strategy_name!r} says something else the second time: {different[0][0]} of "
                f"{from_ms(different[0][2]):%Y-%m-%d %H:%M} UTC.",
                hint="seed its random numbers, and let it begin anew with every run.",
            )
    cuts = _moments(truth, asked, base, (start, end), moments, seed)
    first: tuple[tuple[str, str, int], str, str, str, Future] | None = None
    for cut in cuts:
        for future, factor in _FUTURES.items():
            history = _with_other_future(base, cut, factor, ends=future == "ends")
            other, _ = case.said(history, cut, with_run=future != "ends", factor=factor)
            kinds: tuple[str, ...] = _KINDS
            if future == "ends":  # nothing can be traded at its end
                kinds = _KINDS[:1] if strategy.signals is None else _KINDS[:2]
            found = _first_difference(truth, other, cut, kinds)
            if found is not None and (first is None or _order(found[0]) < _order(first[0])):
                first = (*found, future)
        if first is not None:
            break
    if first is None:
        return Lookahead(None, strategy.strategy_name, None, "", "", "", "", len(cuts))
    (kind, name, when), column, before, after, shown = first
    name, column = (name, column or name) if kind == "indicator" else (name, column)
    name = name if kind == "indicator" else strategy.strategy_name
    return Lookahead(kind, name, from_ms(when), column, before, after, shown, len(cuts))


def indicators_of(function: Callable[..., Any] | None, names: Sequence[str] = ()) -> dict[str, Indicator]:
    """The indicators beside a function, by name: what :func:`indicator` has marked in its module, and ``names``.

    Raises :class:`LookaheadError` for a name that is no function there.
    """
    beside = getattr(inspect.unwrap(function) if function else None, "__globals__", {})
    known = {name: value for name, value in beside.items() if inspect.isfunction(value)}
    for name in names:
        if name not in known:
            raise LookaheadError(
                f"--indicator {name}: there is no such function beside the strategy.",
                hint=f"{did_you_mean(name, known)}functions there: {', '.join(known) or 'none'}.",
            )
    return {
        name: value
        for name, value in known.items()
        if name in names or (is_indicator(value) and value is not function)
    }


class _Case:
    """A strategy and its exchange; collects what the strategy says about a history."""

    def __init__(
        self,
        prepared: StrategyRun,
        context: dict[str, str],
        indicators: dict[str, Indicator],
    ) -> None:
        strategy = prepared.schema
        self.symbol, self.context, self.strategy = prepared.symbol, context, strategy
        self.base, self.indicators = prepared.run.market, indicators
        self.settings, self.frame = prepared.settings, prepared.frame
        functions = (strategy.get_signal, strategy.signals, *indicators.values())
        self.functions = [function for function in functions if function is not None]

    def said(
        self, market: Market, cut: int | None, *, with_run: bool = True, factor: float = 1.0
    ) -> tuple[Said, list[int]]:
        """Everything said up to ``cut`` (ms UTC, None = all), and the moments at which ``get_signal`` was called."""
        row = None if cut is None else int(np.searchsorted(self.base.timestamps, cut))
        with altered_globals(self.functions, self.base, row, factor):
            said = self._indicators(market)
            asked: list[int] = []
            if self.strategy.signals is not None:
                said |= self._signals(market)
            if with_run:
                said |= self._run(market, cut, asked)
        return said, asked

    def _indicators(self, market: Market) -> Said:
        candles = _candles(market)
        said: Said = {}
        for name, function in self.indicators.items():
            found = settle(function(candles))
            if isinstance(found, pl.Expr):
                found = candles.select(found)
            if isinstance(found, pl.LazyFrame):
                found = found.collect()
            frame = found if isinstance(found, pl.DataFrame) else pl.DataFrame({name: found})
            if len(frame) != len(candles):
                raise LookaheadError(
                    f"indicator {name!r} returns {len(frame):,} values for {len(candles):,} candles.",
                    hint="return a value per candle.",
                )
            times = (market.timestamps + market.step_ms).tolist()
            for column in frame.get_columns():
                told = name if column.name in (name, "") or frame.width == 1 else f"{name}.{column.name}"
                said |= {
                    ("indicator", told, time): value
                    for time, value in zip(times, column.to_list(), strict=True)
                }
        return said

    def _signals(self, market: Market) -> Said:
        table = signal_table(self.strategy, market, self.symbol, settings=self.settings, frame=self.frame)
        assert table is not None
        said: Said = {}
        fields = ("side", "price_open", "take_profit", "stop_loss", "lifetime", "cost", "given")
        for place, signal in enumerate(table.records):
            time = int(signal["time"])
            identity = table.ids[signal["id"]] if signal["id"] >= 0 else None
            key = ("signal", str(sum(("signal", str(k), time) in said for k in range(place and 8))), time)
            values = {_WORDS.get(name, name): float(signal[name]) for name in fields}
            said[key] = {**values, "position": _SIDES.get(int(signal["side"])), "id": identity}
        return said

    def _run(self, market: Market, cut: int | None, asked: list[int]) -> Said:
        said: Said = {}
        strategy = self.strategy
        if strategy.get_signal is not None:
            ask = strategy.get_signal

            def heard(symbol: str, when: datetime, price: float) -> Any:
                time = round(when.timestamp() * 1000)
                asked.append(time)
                try:
                    found = settle(ask(symbol, when, price))
                except Exception as error:
                    said["signal", "0", time] = f"{type(error).__name__} raised"
                    raise
                said["signal", "0", time] = found
                return found

            strategy = strategy.model_copy(update={"get_signal": heard})
        with self._exchange(market), _without_log():
            context = self.context if cut is None else {**self.context, "frame_name": self._frame(cut)}
            run = prepare(self.symbol, context, source="find_lookahead", strategy=strategy)
            clear_risks(strategy.risks, run.names, backtest=True)
            try:
                moment = ExecutionContext(self.symbol, run.frame.start_ms, True)
                for _ in iterate_in_context(results_of(run), names=run.names, moment=moment):
                    pass
            except FatalError:
                if cut is None:
                    raise
        for trade in run.run.trades:
            if trade["pending_at"] > 0:
                opened = int(trade["pending_at"])
                # At real prices a trade opens at a price of the candle after the decision.
                known = opened + market.step_ms * run.settings.at_real_prices
                said["trade", "opened", known] = _fields(trade, _TRADE)
                if trade["status"] == Status.CLOSED:
                    known = int(trade["ended_at"]) + market.step_ms
                    said["trade", f"closed {opened}", known] = _fields(trade, _END)
        return said

    def _frame(self, cut: int) -> str:
        schema = frames.get(self.context["frame_name"])
        name = f"{schema.frame_name} up to a moment"
        values = {"start_date": schema.start_date, "end_date": from_ms(cut), "interval": schema.interval}
        if frames.known(name) is None:
            frames.add(frame_name=name, **values)
        else:
            frames.override(frame_name=name, **values)
        return name

    @contextmanager
    def _exchange(self, market: Market) -> Iterator[None]:
        """Give the exchange of the context these candles for a block."""
        if market is self.base:
            yield
            return
        name = self.context["exchange_name"]
        schema = exchanges.lookup(name)
        candles = CandleFrame.from_any(
            _candles(market).drop("closed_at"),
            symbol=self.symbol,
            interval=schema.base_interval,
            gaps="keep" if market.has_holes else "raise",
            price_anomaly_factor=math.inf,
        )
        exchanges.merge(name, {"candles": {self.symbol: candles}, "get_candles": None})
        forget_exchanges(name)
        try:
            yield
        finally:
            exchanges.merge(name, {"candles": schema.candles, "get_candles": schema.get_candles})
            forget_exchanges(name)


@contextmanager
def _without_log() -> Iterator[None]:
    """Log nothing for a block: the strategy's first run has reported its errors already."""
    logger = logging.getLogger("bkapi")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)


def _candles(market: Market) -> pl.DataFrame:
    columns = {name: getattr(market, name) for name in ("open", "high", "low", "close", "volume")}
    frame = pl.DataFrame({"timestamp": market.timestamps, **columns})
    return frame.with_columns(closed_at=pl.col("timestamp") + market.step_ms)


def _with_other_future(base: Market, cut: int, factor: float, *, ends: bool) -> Market:
    """The candles that are closed at ``cut``, followed by changed ones."""
    row = int(np.searchsorted(base.timestamps, cut))
    end = row if ends else min(len(base), row + _BEYOND)

    def other(column: NDArray[np.float64], by: float) -> NDArray[np.float64]:
        changed = column[:end].copy()
        changed[row:] *= by
        return changed

    return Market(
        base.symbol,
        base.timestamps[:end],
        other(base.open, factor),
        other(base.high, factor),
        other(base.low, factor),
        other(base.close, factor),
        other(base.volume, 3.0),
        base.step_ms,
    )


def _moments(
    truth: Said, asked: list[int], base: Market, span: tuple[int, int], count: int, seed: int
) -> list[int]:
    """Moments in ascending order: half of them where the strategy said something, the others anywhere."""
    dice = np.random.default_rng(seed)
    start, last = span
    said = {time for kind, _, time in truth if kind == "signal" and truth[kind, _, time] is not None}
    said |= {time for kind, name, time in truth if kind == "trade" and name == "opened"}
    spoken = np.array(sorted(time for time in said if start <= time <= last), np.int64)
    other = np.array(asked, np.int64) if asked else base.timestamps
    other = other[(other >= start + MINUTE_MS) & (other <= last)]
    chosen = [
        dice.choice(part, min(most, part.size), replace=False)
        for part, most in ((spoken, (count + 1) // 2), (other, count // 2))
        if part.size
    ]
    return np.unique(np.concatenate(chosen)).tolist() if chosen else []


def _order(key: tuple[str, str, int]) -> tuple[int, int]:
    return key[2], _KINDS.index(key[0])


def _first_difference(
    truth: Said, other: Said, cut: int, kinds: tuple[str, ...] = _KINDS
) -> tuple[tuple[str, str, int], str, str, str] | None:
    """The earliest thing up to ``cut`` that the sides do not both say, the column that differs, and both values."""
    keys = {key for key in truth.keys() | other.keys() if key[2] <= cut and key[0] in kinds}
    wrong = [key for key in keys if not _same(truth.get(key), other.get(key))]
    if not wrong:
        return None
    key = min(wrong, key=_order)
    one, two, column = truth.get(key), other.get(key), ""
    if isinstance(one, Mapping) and isinstance(two, Mapping):
        column = next(name for name in (*one, *two) if not _same(one.get(name), two.get(name)))
        one, two = one.get(column), two.get(column)
    return key, column, _told(one), _told(two)


def _fields(trade: Any, names: tuple[str, ...]) -> dict[str, Any]:
    """Fields of a trade by their names in the trades frame."""
    values: dict[str, Any] = {_WORDS.get(name, name): float(trade[name]) for name in names}
    if "side" in names:
        values["position"] = _SIDES.get(int(trade["side"]))
    if "ended_at" in names:
        values["ended_at"] = f"{from_ms(int(trade['ended_at'])):%Y-%m-%d %H:%M} UTC"
        values["reason"] = CloseReason(int(trade["reason"])).name.lower()
    return values


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, bool) or isinstance(other, bool):
        return bool(one == other)
    if isinstance(one, int | float) and isinstance(other, int | float):
        if math.isnan(one) or math.isnan(other):
            return math.isnan(one) and math.isnan(other)
        return math.isclose(one, other, rel_tol=_TOLERANCE, abs_tol=1e-12)
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(_same(one[key], other[key]) for key in one)
    if isinstance(one, tuple) and isinstance(other, tuple):
        return len(one) == len(other) and all(map(_same, one, other))
    return bool(one == other)


def _told(value: Any) -> str:
    return "nothing" if value is None else repr(value)
