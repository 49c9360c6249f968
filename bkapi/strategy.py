"""How a strategy meets the machine: it asks ``get_signal``, calls callbacks and tells listeners, in documented order.

A run that nobody listens to is one kernel call; every listener or callback adds the stops that it needs, and
payloads are made only for those who hear them (spec engine.md 13).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Mapping
from typing import Any, TypeAlias, cast

import numpy as np

from bkapi import config
from bkapi.channels import Channel
from bkapi.context import ExecutionContext, MethodContext, execution
from bkapi.coroutines import settle
from bkapi.errors import FatalError, SignalError
from bkapi.events import emitters, install_gates, report_error
from bkapi.moments import from_ms
from bkapi.payloads import (
    BacktestProgressEvent,
    ExtremeEvent,
    IdlePingEvent,
    LevelEvent,
    PingEvent,
    ScheduleEvent,
    SignalEvent,
)
from bkapi.rows import CANCEL_REASONS, CLOSE_REASONS, Details, Rows
from bkapi.schemas import StrategyCallbacks, StrategySchema
from bkapi.signals import (
    ActiveResult,
    CancelledResult,
    ClosedResult,
    IdleResult,
    OpenedResult,
    ScheduledResult,
    SignalInput,
    TickResult,
)
from bkapi.validation import violation_message
from bkcore.codes import EventKind, Given, Listen, Wake
from bkcore.intervals import interval_step_ms
from bkcore.market import Market
from bkcore.records import SIGNAL
from bkcore.run import Driver, Frame, Run
from bkcore.settings import EngineSettings
from bkcore.signals import SignalTable

#: What a backtest yields.
BacktestResult: TypeAlias = ScheduledResult | OpenedResult | ClosedResult | CancelledResult
Results: TypeAlias = Generator[BacktestResult, None, None]
_NO_CALLBACKS = StrategyCallbacks()
_KNOWN_FIELDS = frozenset(
    {
        "id",
        "symbol",
        "position",
        "note",
        "price_open",
        "price_take_profit",
        "price_stop_loss",
        "minute_estimated_time",
        "cost",
    }
)
_ALWAYS = (EventKind.SCHEDULED, EventKind.OPENED, EventKind.CLOSED, EventKind.CANCELLED)
_EVENT_BITS = {kind: Listen.EVENTS << kind for kind in EventKind}

#: Which channels and callbacks want to hear a kind of event or stop; each is delivered in its own block.
_HEARD_BY: tuple[tuple[int, tuple[Channel[Any], ...], tuple[str, ...]], ...] = (
    (
        Listen.IDLE,
        (emitters.idle_ping_subject, emitters.signal_emitter, emitters.signal_backtest_emitter),
        ("on_idle", "on_tick"),
    ),
    (Listen.ACTIVE_PING, (emitters.active_ping_subject,), ("on_active_ping",)),
    (Listen.SCHEDULE_PING, (emitters.schedule_ping_subject,), ("on_schedule_ping",)),
    (Listen.MONITORED, (), ("on_partial_profit", "on_partial_loss")),
    (Listen.TICK, (emitters.progress_backtest_emitter,), ()),
    (
        sum(_EVENT_BITS[kind] for kind in _ALWAYS),
        (
            emitters.signal_emitter,
            emitters.signal_backtest_emitter,
            emitters.signal_event_subject,
            emitters.schedule_event_subject,
        ),
        ("on_tick", "on_open", "on_close", "on_schedule", "on_cancel", "on_write"),
    ),
    (_EVENT_BITS[EventKind.ACTIVE], (emitters.signal_emitter, emitters.signal_backtest_emitter), ()),
    (_EVENT_BITS[EventKind.HIGHEST_PROFIT], (emitters.highest_profit_subject,), ("on_write",)),
    (_EVENT_BITS[EventKind.MAX_DRAWDOWN], (emitters.max_drawdown_subject,), ("on_write",)),
    (_EVENT_BITS[EventKind.PARTIAL_PROFIT], (emitters.partial_profit_subject,), ()),
    (_EVENT_BITS[EventKind.PARTIAL_LOSS], (emitters.partial_loss_subject,), ()),
    (_EVENT_BITS[EventKind.BREAKEVEN], (emitters.breakeven_subject,), ("on_breakeven",)),
    (_EVENT_BITS[EventKind.REJECTED], (emitters.error_emitter,), ()),
)

RunKey = tuple[str, str, str, str, bool]
#: Runs in progress by context; the delivery gates of ``listen_*`` look here (spec engine.md 13.4).
running: dict[RunKey, StrategyRun] = {}


class StrategyRun:
    """One backtest of one strategy on one symbol (spec engine.md 4 to 8, 13).

    ``table`` holds the candidates of a vectorized strategy; without it ``get_signal`` is asked. ``driver`` chooses
    how candles are visited, never what happens.
    """

    backtest = True

    def __init__(
        self,
        symbol: str,
        names: MethodContext,
        strategy: StrategySchema,
        market: Market,
        frame: Frame,
        settings: EngineSettings,
        *,
        table: SignalTable | None = None,
        driver: Driver = "skip",
    ) -> None:
        self.symbol = symbol
        self.names = names
        self.frame = frame
        self.settings = settings
        self._get_signal = strategy.get_signal
        self._callbacks = strategy.callbacks or _NO_CALLBACKS
        self.vectorized = table is not None
        self.interval = strategy.interval
        self.yields = True
        signals = np.zeros(1, SIGNAL) if table is None else table.records
        self.run = Run(
            market,
            settings,
            frame,
            signals,
            interval_ms=interval_step_ms(strategy.interval),
            driver=driver,
            has_callback=table is None,
        )
        self._own_bits = self._callback_bits() | (Listen.IDLE if driver == "step" else 0)
        if driver == "step":
            self._own_bits |= Listen.ACTIVE_PING | Listen.SCHEDULE_PING | Listen.MONITORED
        ids, notes = ((), None) if table is None else (table.ids, table.notes)
        self.rows = Rows(self.run, symbol, names, ids=ids, notes=notes)
        self._state = self.run.state[0]
        self._codes: dict[str, int] = {}
        self._candidate: Details | None = None
        self._dto: SignalInput = {}
        self._told = 0

    # ---------------------------------------------------------------------------------------- the loop

    @property
    def key(self) -> RunKey:
        """What tells this run from others."""
        names = self.names
        return (self.symbol, names.strategy_name, names.exchange_name, names.frame_name, self.backtest)

    @property
    def has_position(self) -> bool:
        """Whether a position is open."""
        return bool(self._state["pending"])

    @property
    def has_scheduled(self) -> bool:
        """Whether an order is resting."""
        return bool(self._state["scheduled"])

    def stop(self) -> None:
        """Take no further signals; an open position is carried to its end (spec engine.md 4.7)."""
        self._state["is_stopped"] = 1

    def results(self) -> Results:
        """Run, and yield what opens, closes and is cancelled, in documented order (spec engine.md 4.2)."""
        running[self.key] = self
        try:
            if self._listens():
                yield from self._listening_results()
            else:
                self._finish_silently()
                if self.yields:
                    yield from self._results_of_tables()
        finally:
            if running.get(self.key) is self:
                del running[self.key]

    def _listens(self) -> bool:
        return not self.vectorized or bool(self._bits())

    def _finish_silently(self) -> None:
        if self.run.advance() is Wake.OUT_OF_CANDLES:
            self._raise_out_of_candles()
        refused = int(self._state["rejected_count"])
        if refused:
            event = next(e for e in self.run.events if e["kind"] == EventKind.REJECTED)
            report_error(
                SignalError(
                    f"{refused:,} signals were refused, the first one at "
                    f"{from_ms(int(event['time'])):%Y-%m-%d %H:%M} UTC.",
                    hint="listen_error tells the reasons of each.",
                ),
                self.names.strategy_name,
            )

    def _results_of_tables(self) -> Results:
        prices = {}
        if self.run.trades["was_scheduled"].any():
            scheduled = self.run.events[self.run.events["kind"] == EventKind.SCHEDULED]
            trades = self.run.revisions["trade"][scheduled["revision"]]
            prices = dict(zip(trades.tolist(), scheduled["price"].tolist(), strict=True))
        for trade in range(self.run.trades.size):
            if trade in prices:
                yield self.rows.scheduled(trade, prices[trade])
            row = self.rows.row(trade)
            if row.pending_at:
                yield self.rows.opened(trade)
            if row.ended_at:
                yield self.rows.ended(trade)

    def _listening_results(self) -> Results:
        while True:
            self.run.listen(self._bits())
            wake = self.run.advance()
            if len(self.rows.details) < self.run.trades.size and self._candidate is not None:
                self.rows.details.append(self._candidate)
            if wake is Wake.EVENTS:
                yield from self._tell_events()
            elif wake is Wake.GET_SIGNAL:
                self._ask()
            elif wake is Wake.DONE:
                return
            elif wake is Wake.OUT_OF_CANDLES:
                self._raise_out_of_candles()
            else:
                _STOPS[wake](self)

    def _raise_out_of_candles(self) -> None:
        last = from_ms(int(self.run.market.timestamps[-1]))
        raise FatalError(
            f"insufficient candle data: {self.symbol} ends at {last:%Y-%m-%d %H:%M} UTC while a signal of "
            f"{self.names.strategy_name!r} is still alive.",
            hint="let the frame end at least one candle before the data do, or load more candles.",
        )

    # -------------------------------------------------------------------------------- who wants to hear

    def _callback_bits(self) -> int:
        callbacks = self._callbacks
        bits = 0
        for bit, _, names in _HEARD_BY:
            if any(getattr(callbacks, name) is not None for name in names):
                bits |= bit
        return bits

    def _bits(self) -> int:
        bits = self._own_bits
        for bit, channels, _ in _HEARD_BY:
            for channel in channels:
                if channel.listeners:
                    bits |= bit
                    break
        if bits or not self.vectorized:
            for kind in (*_ALWAYS, EventKind.REJECTED):
                bits |= _EVENT_BITS[kind]
        return bits

    # ----------------------------------------------------------------------------------- the strategy's turn

    def _now(self, timestamp: int) -> None:
        execution.set(ExecutionContext(self.symbol, timestamp, self.backtest))

    def _ask(self) -> None:
        """Fill the candidate slot with what ``get_signal`` returns (spec engine.md 5, steps 6 to 9)."""
        state = self._state
        timestamp, price = int(state["tick_time"]), float(state["tick_price"])
        state["candidate"] = -1
        if self._get_signal is None:
            return
        self._now(timestamp)
        limit = config.value("CC_MAX_SIGNAL_GENERATION_SECONDS")
        started = time.monotonic()
        try:
            dto = settle(self._get_signal(self.symbol, from_ms(timestamp), price))
            _check_duration(time.monotonic() - started, limit)
            if dto is not None:
                self._candidate = self._bind(dto, timestamp)
                state["candidate"] = 0
        except Exception as error:  # noqa: BLE001 - a strategy may raise anything; the tick goes on as idle
            report_error(error, "get_signal")

    def _bind(self, dto: Any, timestamp: int) -> Details:
        """Write a signal into the candidate slot; returns what it carries besides numbers."""
        if not isinstance(dto, Mapping):
            raise SignalError(
                f"get_signal returned {type(dto).__name__}, not a mapping of signal fields.",
                hint='return {"position": "long", "price_take_profit": ..., "price_stop_loss": ...} or None.',
            )
        self._dto = dto
        given = 0
        slot = self.run.signals[0]
        for field, name, bit in _OPTIONAL_NUMBERS:
            number = dto.get(field)
            if number is not None:
                given |= bit
            slot[name] = _number(number)
        slot["time"] = timestamp
        slot["take_profit"] = _number(dto.get("price_take_profit"))
        slot["stop_loss"] = _number(dto.get("price_stop_loss"))
        slot["side"] = _SIDES.get(cast(str, dto.get("position")), 0)
        symbol = dto.get("symbol")
        if symbol is not None and symbol != self.symbol:
            given |= Given.FOREIGN_SYMBOL
        slot["given"] = given
        identity = dto.get("id") or None
        slot["id"] = -1 if identity is None else self._codes.setdefault(identity, len(self._codes))
        extra = {key: value for key, value in dto.items() if key not in _KNOWN_FIELDS}
        return Details(identity or self.rows.generated_id(timestamp), dto.get("note") or "", extra)

    # -------------------------------------------------------------------------------------- what is told

    def _block(self, source: str, *steps: Callable[[], object]) -> None:
        """Run the steps of one emission; an error is reported and skips the rest (spec adapters-and-events.md 1.2)."""
        try:
            for step in steps:
                settle(step())
        except Exception as error:  # noqa: BLE001 - whatever a listener raises, the engine goes on
            report_error(error, source)

    def _tell(self, channel: Channel[Any], make: Callable[[], Any]) -> None:
        """Emit a payload, made only if somebody listens."""
        if channel.listeners:
            self._block(channel.name, lambda: channel.emit(make()))

    def _call(self, name: str, *arguments: Any) -> None:
        """Call a strategy callback ``name(symbol, *arguments, when, backtest)`` if there is one."""
        callback = getattr(self._callbacks, name)
        if callback is not None:
            moment = execution.require(name)
            self._block(name, lambda: callback(self.symbol, *arguments, moment.when, self.backtest))

    def _written(self, row: Any, price: float) -> None:
        """``on_write`` is not guarded: an error in it ends the run (spec engine.md 4.6)."""
        callback = self._callbacks.on_write
        if callback is not None:
            callback(self.symbol, row, price, execution.require("on_write").when, self.backtest)

    def _tell_result(self, result: TickResult) -> None:
        """Serve the signal channels of a result (spec engine.md 13.2)."""
        self._block(
            "signal",
            lambda: emitters.signal_backtest_emitter.emit(result),
            lambda: emitters.signal_emitter.emit(result),
        )

    def _tick_told(self, result: TickResult) -> None:
        self._call("on_tick", result, result.current_price)
        self._tell_result(result)

    def _event(self, timestamp: int) -> dict[str, Any]:
        names = self.names
        return {
            "symbol": self.symbol,
            "strategy_name": names.strategy_name,
            "exchange_name": names.exchange_name,
            "frame_name": names.frame_name,
            "backtest": self.backtest,
            "timestamp": timestamp,
        }

    def _tell_events(self) -> Results:
        """Deliver the rows that the log has grown by since the last time."""
        while self._told < self.run.events.size:
            timestamp, price, revision, kind, code = self.run.events[self._told].item()
            self._told += 1
            if not self._bits() & (Listen.EVENTS << kind):
                continue
            self._now(timestamp)
            if kind == EventKind.REJECTED:
                self._tell_rejected(revision, price)
                continue
            trade = int(self.run.revisions["trade"][revision])
            if kind in _ALWAYS:
                yield from _LIFE[kind](self, trade, timestamp, price)
            else:
                _MOMENTS[kind](self, trade, timestamp, price, code)

    def _tell_rejected(self, candidate: int, price: float) -> None:
        dto = self._dto
        if self.vectorized:
            dto = self._described(candidate)
        message = violation_message(
            int(self._state["violations"]), dto, self.symbol, price=price, settings=self.settings
        )
        report_error(SignalError(message), self.names.strategy_name)

    def _described(self, candidate: int) -> SignalInput:
        """A row of the signal table in the words of a signal."""
        slot = self.run.signals[candidate]
        return {
            "position": {1: "long", -1: "short"}.get(int(slot["side"])),
            "price_open": float(slot["price_open"]) if slot["given"] & Given.PRICE_OPEN else None,
            "price_take_profit": float(slot["take_profit"]),
            "price_stop_loss": float(slot["stop_loss"]),
            "minute_estimated_time": float(slot["lifetime"]),
            "cost": float(slot["cost"]),
        }

    def _tell_scheduled(self, trade: int, timestamp: int, price: float) -> Results:
        result = self.rows.scheduled(trade, price)
        self._tell(
            emitters.schedule_event_subject,
            lambda: ScheduleEvent(
                action="scheduled", data=result.signal, current_price=price, **self._event(timestamp)
            ),
        )
        self._call("on_schedule", result.signal, price)
        self._tick_told(result)
        yield result

    def _tell_opened(self, trade: int, timestamp: int, price: float) -> Results:
        result = self.rows.opened(trade)
        self._written(result.signal, price)
        self._tell(
            emitters.signal_event_subject,
            lambda: SignalEvent(
                action="opened", data=result.signal, current_price=price, **self._event(timestamp)
            ),
        )
        self._call("on_open", result.signal, price)
        if self.rows.row(trade).was_scheduled:
            self._tell_result(result)
        else:
            self._tick_told(result)
            yield result

    def _tell_closed(self, trade: int, timestamp: int, price: float) -> Results:
        result = self.rows.ended(trade)
        row = self.rows.row(trade)
        self._tell(
            emitters.signal_event_subject,
            lambda: SignalEvent(
                action="closed",
                data=result.signal,
                current_price=price,
                close_reason=CLOSE_REASONS[row.reason],
                **self._event(timestamp),
            ),
        )
        self._call("on_close", result.signal, price)
        if not row.by_command:
            self._written(None, price)
        self._tick_told(result)
        if row.was_scheduled:
            yield self.rows.opened(trade)
        yield result

    def _tell_cancelled(self, trade: int, timestamp: int, price: float) -> Results:
        result = self.rows.ended(trade)
        reason = CANCEL_REASONS[self.rows.row(trade).reason]
        self._tell(
            emitters.schedule_event_subject,
            lambda: ScheduleEvent(
                action="cancelled",
                data=result.signal,
                current_price=price,
                reason=reason,
                **self._event(timestamp),
            ),
        )
        self._call("on_cancel", result.signal, price)
        self._tick_told(result)
        yield result

    def _tell_active(self, trade: int, timestamp: int, price: float, code: int) -> None:
        signal = self.rows.public(trade, price)
        names = self.names
        self._tell_result(
            ActiveResult(
                signal=signal,
                strategy_name=names.strategy_name,
                exchange_name=names.exchange_name,
                frame_name=names.frame_name,
                symbol=self.symbol,
                current_price=price,
                backtest=self.backtest,
                created_at=timestamp,
                percent_tp=0.0,
                percent_sl=0.0,
                pnl=signal.pnl,
                backtest_last_timestamp=timestamp,
            )
        )

    def _tell_extreme(self, channel: Channel[ExtremeEvent], trade: int, timestamp: int, price: float) -> None:
        signal = self.rows.public(trade, price)
        self._written(signal, price)
        self._tell(
            channel, lambda: ExtremeEvent(signal=signal, current_price=price, **self._event(timestamp))
        )

    def _tell_highest_profit(self, trade: int, timestamp: int, price: float, code: int) -> None:
        self._tell_extreme(emitters.highest_profit_subject, trade, timestamp, price)

    def _tell_max_drawdown(self, trade: int, timestamp: int, price: float, code: int) -> None:
        self._tell_extreme(emitters.max_drawdown_subject, trade, timestamp, price)

    def _tell_level(
        self, channel: Channel[LevelEvent], trade: int, timestamp: int, price: float, code: int
    ) -> None:
        self._tell(
            channel,
            lambda: LevelEvent(
                data=self.rows.public(trade, price), current_price=price, level=code, **self._event(timestamp)
            ),
        )

    def _tell_partial_profit(self, trade: int, timestamp: int, price: float, code: int) -> None:
        self._tell_level(emitters.partial_profit_subject, trade, timestamp, price, code)

    def _tell_partial_loss(self, trade: int, timestamp: int, price: float, code: int) -> None:
        self._tell_level(emitters.partial_loss_subject, trade, timestamp, price, code)

    def _tell_breakeven(self, trade: int, timestamp: int, price: float, code: int) -> None:
        self._tell(
            emitters.breakeven_subject,
            lambda: PingEvent(
                data=self.rows.public(trade, price), current_price=price, **self._event(timestamp)
            ),
        )
        if self._callbacks.on_breakeven is not None:
            self._call("on_breakeven", self.rows.public(trade, price), price)

    # -------------------------------------------------------------------------------- stops without an event

    def _candle(self) -> tuple[int, int, float]:
        """Trade, time and price of the candle at which the run stands."""
        row = int(self._state["row"])
        return (
            int(self._state["current"]),
            int(self.run.market.timestamps[row]),
            float(self.run.series.values[row]),
        )

    def _ping(self, channel: Channel[PingEvent], callback: str) -> None:
        trade, timestamp, price = self._candle()
        self._now(timestamp)
        self._tell(
            channel,
            lambda: PingEvent(
                data=self.rows.public(trade, price), current_price=price, **self._event(timestamp)
            ),
        )
        if getattr(self._callbacks, callback) is not None:
            self._call(callback, self.rows.public(trade, price), price)

    def _active_ping(self) -> None:
        self._ping(emitters.active_ping_subject, "on_active_ping")

    def _schedule_ping(self) -> None:
        self._ping(emitters.schedule_ping_subject, "on_schedule_ping")

    def _monitored(self) -> None:
        """``on_partial_profit`` / ``on_partial_loss`` hear the progress of every candle of their side."""
        branch = int(self._state["branch"])
        name = {1: "on_partial_profit", -1: "on_partial_loss"}.get(branch)
        if name is not None and getattr(self._callbacks, name) is not None:
            trade, timestamp, price = self._candle()
            self._now(timestamp)
            self._call(name, self.rows.public(trade, price), abs(float(self._state["progress"])), price)

    def _idle(self) -> None:
        timestamp, price = int(self._state["tick_time"]), float(self._state["tick_price"])
        self._now(timestamp)
        self._tell(
            emitters.idle_ping_subject, lambda: IdlePingEvent(current_price=price, **self._event(timestamp))
        )
        self._call("on_idle", price)
        if (
            self._callbacks.on_tick is not None
            or emitters.signal_emitter.listeners
            or emitters.signal_backtest_emitter.listeners
        ):
            names = self.names
            self._tick_told(
                IdleResult(
                    signal=None,
                    strategy_name=names.strategy_name,
                    exchange_name=names.exchange_name,
                    frame_name=names.frame_name,
                    symbol=self.symbol,
                    current_price=price,
                    backtest=self.backtest,
                    created_at=timestamp,
                )
            )

    def _tick(self) -> None:
        """Tell how far the run has come; these listeners have no execution context (spec market-data.md 13)."""
        execution.set(None)
        done, total = int(self._state["frame_index"]), self.frame.count
        self._tell(emitters.progress_backtest_emitter, lambda: self.progress(done, total))

    def progress(self, done: int, total: int) -> BacktestProgressEvent:
        """The payload of ``listen_backtest_progress`` after ``done`` of ``total`` ticks."""
        return BacktestProgressEvent(
            exchange_name=self.names.exchange_name,
            strategy_name=self.names.strategy_name,
            symbol=self.symbol,
            total_frames=total,
            processed_frames=done,
            progress=done / total if total else 0.0,
        )


_SIDES = {"long": 1, "short": -1}
_OPTIONAL_NUMBERS = (
    ("price_open", "price_open", Given.PRICE_OPEN),
    ("minute_estimated_time", "lifetime", Given.LIFETIME),
    ("cost", "cost", Given.COST),
)


def _check_duration(seconds: float, limit: float) -> None:
    if seconds > limit:
        raise SignalError(
            f"Timeout for get_signal: it took {seconds:.1f} s, the limit is {limit} s.",
            hint="CC_MAX_SIGNAL_GENERATION_SECONDS is the limit.",
        )


def _number(value: Any) -> float:
    """A number as it is; everything else is NaN, which no validation accepts."""
    if isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool):
        return float(value)
    return float("nan")


_LIFE: dict[int, Callable[[StrategyRun, int, int, float], Results]] = {
    EventKind.SCHEDULED: StrategyRun._tell_scheduled,
    EventKind.OPENED: StrategyRun._tell_opened,
    EventKind.CLOSED: StrategyRun._tell_closed,
    EventKind.CANCELLED: StrategyRun._tell_cancelled,
}
_MOMENTS: dict[int, Callable[[StrategyRun, int, int, float, int], None]] = {
    EventKind.ACTIVE: StrategyRun._tell_active,
    EventKind.HIGHEST_PROFIT: StrategyRun._tell_highest_profit,
    EventKind.MAX_DRAWDOWN: StrategyRun._tell_max_drawdown,
    EventKind.PARTIAL_PROFIT: StrategyRun._tell_partial_profit,
    EventKind.PARTIAL_LOSS: StrategyRun._tell_partial_loss,
    EventKind.BREAKEVEN: StrategyRun._tell_breakeven,
}
_STOPS: dict[Wake, Callable[[StrategyRun], None]] = {
    Wake.ACTIVE_PING: StrategyRun._active_ping,
    Wake.SCHEDULE_PING: StrategyRun._schedule_ping,
    Wake.IDLE: StrategyRun._idle,
    Wake.MONITORED: StrategyRun._monitored,
    Wake.TICK: StrategyRun._tick,
}


def _run_of(event: Any) -> StrategyRun | None:
    return running.get(
        (event.symbol, event.strategy_name, event.exchange_name, event.frame_name, event.backtest)
    )


def _has_position(event: Any) -> bool:
    run = _run_of(event)
    return run is not None and run.has_position


def _has_scheduled(event: Any) -> bool:
    run = _run_of(event)
    return run is not None and run.has_scheduled


install_gates(
    {
        "position": _has_position,
        "scheduled": _has_scheduled,
        "no position": lambda event: not _has_position(event),
    }
)
