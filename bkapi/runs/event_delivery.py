"""Which listener or callback hears what, and in which order? Turns the event log and the machine's stops into events.

A run without listeners is one kernel call. Every listener or callback adds the stops that it needs, and payloads are
made only for channels that somebody listens to (spec engine.md 13).
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any, Protocol, TypeAlias, cast

from bkapi.base.context import ExecutionContext, MethodContext, RunKey, execution, run_key
from bkapi.base.coroutines import settle
from bkapi.base.timestamps import from_ms
from bkapi.errors import RefusedSignalError
from bkapi.events.channels import Channel
from bkapi.events.emitters import ErrorRepeats, emitters, report_error
from bkapi.events.payloads import (
    COMMIT_FIELDS,
    BacktestProgressEvent,
    CandlePingEvent,
    CommitAction,
    ExtremeEvent,
    IdlePingEvent,
    LevelEvent,
    PingEvent,
    ScheduleEvent,
    SignalEvent,
    StrategyCommitEvent,
)
from bkapi.events.results import (
    POSITIONS,
    ActiveResult,
    CancelledResult,
    ClosedResult,
    IdleResult,
    OpenedResult,
    PublicSignal,
    ScheduledResult,
    SignalInput,
    TickResult,
)
from bkapi.runs.answers import REAL_PRICE_FIELDS
from bkapi.runs.rows import CANCEL_REASONS, CLOSE_REASONS, Rows
from bkapi.runs.signal_view import or_none
from bkapi.runs.stopwatch import Stopwatch
from bkapi.runs.validation import violation_message
from bkapi.schemas.strategy import StrategyCallbacks
from bkcore.machine.codes import CancelReason, Commit, EventKind, Given, Listen, Wake
from bkcore.machine.record_views import read_event
from bkcore.machine.records import FROM_SLOT
from bkcore.machine.run import Frame, Run
from bkcore.machine.settings import EngineSettings
from bkcore.machine.signals import SignalTable

#: What a backtest yields.
BacktestResult: TypeAlias = ScheduledResult | OpenedResult | ClosedResult | CancelledResult
Results: TypeAlias = Generator[BacktestResult, None, None]

_ALWAYS = (EventKind.SCHEDULED, EventKind.OPENED, EventKind.CLOSED, EventKind.CANCELLED)
_BEGINS = (EventKind.SCHEDULED, EventKind.OPENED)
#: Names of the levels of a signal that gives them in percent of its entry.
_IN_PERCENT = ("take_profit_percent", "stop_loss_percent")
_EVENT_BITS = {kind: Listen.EVENTS << kind for kind in EventKind}
_ACTIONS: dict[int, CommitAction] = {
    int(code): cast("CommitAction", code.name.lower().replace("_", "-")) for code in Commit
}
#: The field of a commit that holds the number of its command.
_VALUE_FIELDS: dict[int, str] = {
    Commit.AVERAGE_BUY: "cost",
    Commit.PARTIAL_PROFIT: "percent_to_close",
    Commit.PARTIAL_LOSS: "percent_to_close",
    Commit.TRAILING_STOP: "percent_shift",
    Commit.TRAILING_TAKE: "percent_shift",
}
_ID_FIELDS: dict[int, str] = {
    Commit.CLOSE_PENDING: "close_id",
    Commit.CANCEL_SCHEDULED: "cancel_id",
    Commit.ACTIVATE_SCHEDULED: "activate_id",
}

#: Which channels and callbacks need a kind of event or stop.
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
            emitters.wake_subject,
        ),
        ("on_tick", "on_open", "on_close", "on_schedule", "on_cancel", "on_write", "on_wake"),
    ),
    (_EVENT_BITS[EventKind.ACTIVE], (emitters.signal_emitter, emitters.signal_backtest_emitter), ()),
    (_EVENT_BITS[EventKind.HIGHEST_PROFIT], (emitters.highest_profit_subject,), ("on_write",)),
    (_EVENT_BITS[EventKind.MAX_DRAWDOWN], (emitters.max_drawdown_subject,), ("on_write",)),
    (_EVENT_BITS[EventKind.PARTIAL_PROFIT], (emitters.partial_profit_subject,), ()),
    (_EVENT_BITS[EventKind.PARTIAL_LOSS], (emitters.partial_loss_subject,), ()),
    (_EVENT_BITS[EventKind.BREAKEVEN], (emitters.breakeven_subject,), ("on_breakeven",)),
    (_EVENT_BITS[EventKind.COMMIT], (emitters.strategy_commit_subject,), ()),
    (_EVENT_BITS[EventKind.REJECTED], (emitters.error_emitter,), ()),
)


def _wants_times() -> bool:
    """Whether somebody needs the duration of every tick; documents need only that of visited ticks."""
    return any(not subscription.collects for subscription in emitters.performance_emitter.listeners)


class RiskPlaces(Protocol):
    """The places that a run holds in its risk profiles; :class:`bkapi.risk.run_risk.RunRisk` implements it."""

    def hold(self, signal: PublicSignal) -> None:
        """Turn the reserved place into a position."""

    def release(self) -> None:
        """Give the place back: nothing is open and nothing rests."""


class DeliveringRun(Protocol):
    """What :class:`EventDelivery` reads of its run; :class:`bkapi.runs.strategy.StrategyRun` is one."""

    symbol: str
    names: MethodContext
    frame: Frame
    settings: EngineSettings
    run: Run
    rows: Rows
    watch: Stopwatch
    source: dict[str, Any]
    repeats: ErrorRepeats
    asks: bool
    table: SignalTable | None

    @property
    def backtest(self) -> bool:
        """True for history, False live."""

    @property
    def risk(self) -> RiskPlaces | None:
        """The places in its risk profiles; None without profiles."""

    @property
    def deferred_id(self) -> str | None:
        """The ``id`` that the deferred command was given."""

    def deferred_note(self, trade: int) -> str | None:
        """The ``note`` that the deferred command was given."""


class EventDelivery:
    """Delivers the events of a run to listeners and callbacks, in documented order.

    Besides its own place in the event log it changes two things: ``state.pending`` while a close is told, so that
    getters see the position as it was, and the places that the run holds in its risk profiles.
    """

    def __init__(self, owner: DeliveringRun, callbacks: StrategyCallbacks, own_bits: int) -> None:
        self._owner = owner
        self._run: Run = owner.run
        self._rows = owner.rows
        self._state = owner.run.now
        self._callbacks = callbacks
        self._own_bits = own_bits | self._callback_bits()
        #: The common fields of events, in their order.
        self._place: RunKey = run_key(owner.symbol, owner.names, backtest=owner.backtest)
        self._bits = 0
        self._bits_at = -1  # the value of `Channel.changes` when the bits were gathered
        self._times = owner.run.market.timestamps
        self._prices = owner.run.series.values
        self._told = 0
        self._commits_told = 0
        self._activation_price: float | None = None
        self._levels: tuple[int, int, PublicSignal] | None = None
        self.moment = owner.frame.start_ms
        self._dto: SignalInput = {}
        self._dto_at = -1

    # -------------------------------------------------------------------------------- who wants to hear

    def _callback_bits(self) -> int:
        bits = 0
        for bit, _, names in _HEARD_BY:
            if any(getattr(self._callbacks, name) is not None for name in names):
                bits |= bit
        return bits

    def bits(self) -> int:
        """``Listen`` bits of all channels and callbacks that somebody listens to now."""
        if self._bits_at != Channel.changes:
            self._bits_at = Channel.changes
            self._bits = self._gathered_bits()
        return self._bits

    def must_deliver(self) -> bool:
        """Whether events must be delivered during the run: somebody listens who cannot read the log afterwards."""
        return (
            bool(self._own_bits)
            or _wants_times()
            or any(
                not subscription.collects
                for _, channels, _ in _HEARD_BY
                for channel in channels
                for subscription in channel.listeners
            )
        )

    def _gathered_bits(self) -> int:
        bits = self._own_bits
        for bit, channels, _ in _HEARD_BY:
            for channel in channels:
                if channel.listeners:
                    bits |= bit
                    break
        if _wants_times():
            bits |= Listen.TICK
        if bits or self._owner.asks or self._owner.risk:
            for kind in (*_ALWAYS, EventKind.REJECTED):
                bits |= _EVENT_BITS[kind]
        return bits

    # ------------------------------------------------------------------------------------------- how

    def now(self, timestamp: int) -> None:
        """Set the ambient "now" in which user code runs to ``timestamp``."""
        self.moment = timestamp
        execution.set(ExecutionContext(self._owner.symbol, timestamp, self._owner.backtest))

    def _failed(self, error: Exception, source: str) -> None:
        """Report what a listener or callback raised; the engine goes on (spec adapters-and-events.md 1.2)."""
        report_error(error, source, self._owner.repeats)

    def tell(self, channel: Channel[Any], make: Callable[[], Any]) -> None:
        """Emit the payload that ``make`` returns; it is not called when nobody listens."""
        if channel.listeners:
            try:
                channel.emit(make())
            except Exception as error:  # noqa: BLE001 - whatever a listener raises
                self._failed(error, channel.name)

    def _emit(self, channel: Channel[Any], event: Any) -> None:
        """Emit an event that is made already; what is told at every candle saves the function that makes it."""
        try:
            channel.emit(event)
        except Exception as error:  # noqa: BLE001 - whatever a listener raises
            self._failed(error, channel.name)

    def _call(self, name: str, *arguments: Any) -> None:
        """Call the strategy's callback ``name(symbol, *arguments, when, backtest)`` if there is one."""
        callback = getattr(self._callbacks, name)
        if callback is not None:
            owner, moment = self._owner, execution.require(name)
            try:
                settle(callback(owner.symbol, *arguments, moment.when, owner.backtest))
            except Exception as error:  # noqa: BLE001 - whatever a callback raises
                self._failed(error, name)

    def written(self, row: PublicSignal | None, price: float) -> None:
        """Call ``on_write``; an error in it ends the run (spec engine.md 4.6)."""
        callback = self._callbacks.on_write
        if callback is not None:
            owner, moment = self._owner, execution.require("on_write")
            callback(owner.symbol, row, price, moment.when, owner.backtest)

    @property
    def wants_writes(self) -> bool:
        """Whether there is an ``on_write``."""
        return self._callbacks.on_write is not None

    def _tell_result(self, result: TickResult) -> None:
        """Serve the signal channels of a result (spec engine.md 13.2)."""
        try:
            emitters.signal_backtest_emitter.emit(result)
            emitters.signal_emitter.emit(result)
        except Exception as error:  # noqa: BLE001 - whatever a listener raises
            self._failed(error, "signal")

    def _tick_told(self, result: TickResult) -> None:
        self._call("on_tick", result, result.current_price)
        self._tell_result(result)

    def _hold(self, signal: PublicSignal) -> None:
        """Tell the risk profiles that the position is open (spec risk-sizing-walker-sweep.md 1.5)."""
        if self._owner.risk is not None:
            try:
                self._owner.risk.hold(signal)
            except Exception as error:  # noqa: BLE001 - documented: the run goes on
                self._failed(error, "add_signal")

    def released(self) -> None:
        """Tell the risk profiles that nothing is open and nothing rests."""
        if self._owner.risk is not None:
            try:
                self._owner.risk.release()
            except Exception as error:  # noqa: BLE001 - documented: the run goes on
                self._failed(error, "remove_signal")

    def source(self, timestamp: int) -> dict[str, Any]:
        """The common fields of an event."""
        return {**self._owner.source, "timestamp": timestamp}

    # ------------------------------------------------------------------------------------ rows of the log

    def tell_events(self) -> Results:
        """Deliver the rows that were added to the log since the last call."""
        run, state = self._run, self._state
        while self._told < state.event_count:
            timestamp, price, revision, kind, code = read_event(run.tables.events, self._told)
            self._told += 1
            if kind == EventKind.COMMIT:
                self._commits_told += 1
            if not self.bits() & (Listen.EVENTS << kind):
                continue
            self.now(timestamp)
            if kind == EventKind.REJECTED:
                self._tell_rejected(revision, price)
                continue
            trade = run.revisions["trade"].item(revision)
            if kind in _ALWAYS:
                if kind in _BEGINS:
                    self._owner.watch.signal()
                yield from _LIFE[kind](self, trade, timestamp, price)
                if kind not in _BEGINS:
                    self._owner.watch.end()
            else:
                _MOMENTS[kind](self, trade, timestamp, price, code)

    def _tell_rejected(self, candidate: int, price: float) -> None:
        error = RefusedSignalError(self._refusal(candidate, price))
        report_error(error, self._owner.names.strategy_name, self._owner.repeats)
        self.released()

    def _refusal(self, candidate: int, price: float) -> str:
        """What is wrong with the candidate that was refused last, in sentences."""
        dto = self._asked() if candidate == FROM_SLOT else None
        dto = self._described(candidate) if dto is None else dto
        return violation_message(
            self._state.violations,
            dto,
            self._owner.symbol,
            price=price,
            settings=self._owner.settings,
        )

    def newest_refusal(self) -> str:
        """Moment and reason of a refusal that is the newest event of the log."""
        timestamp, price, candidate, *_ = read_event(self._run.tables.events, self._state.event_count - 1)
        return f"{from_ms(timestamp):%Y-%m-%d %H:%M} UTC: {self._refusal(candidate, price)}"

    def candidate(self) -> SignalInput:
        """The candidate at hand as it was given, or made from the row of the table or kernel, with levels as prices."""
        asked = self._asked()
        if asked is not None:
            return asked
        number = self._state.candidate
        signal = {name: value for name, value in self._described(number).items() if name not in _IN_PERCENT}
        _, take, stop, *_ = self._run.candidate_terms()
        signal["price_take_profit"], signal["price_stop_loss"] = or_none(take), or_none(stop)
        if number != FROM_SLOT:
            identity = int(self._run.signals[number]["id"])
            signal["id"], signal["note"] = self._rows.words_of(number, identity)
        return {name: value for name, value in signal.items() if value is not None}

    def asked(self, dto: SignalInput) -> None:
        """Keep the signal that ``get_signal`` or a command has given for this tick."""
        self._dto, self._dto_at = dto, self._state.tick_time

    def _asked(self) -> SignalInput | None:
        """The signal that was given for this tick; None when the candidate comes from a table or a kernel."""
        at_hand = self._state.candidate == FROM_SLOT and self._dto_at == self._state.tick_time
        return self._dto if at_hand else None

    def _described(self, candidate: int) -> SignalInput:
        """A candidate of the table or of the slot as the fields of a signal; None for fields that were not given."""
        slot = self._run.slot[0] if candidate == FROM_SLOT else self._run.signals[candidate]
        given = int(slot["given"])
        take = "take_profit_percent" if given & Given.TAKE_PERCENT else "price_take_profit"
        stop = "stop_loss_percent" if given & Given.STOP_PERCENT else "price_stop_loss"
        described: dict[str, Any] = {
            "position": POSITIONS.get(int(slot["side"])),
            "price_open": float(slot["price_open"]) if given & Given.PRICE_OPEN else None,
            take: float(slot["take_profit"]),
            stop: float(slot["stop_loss"]),
            "minute_estimated_time": float(slot["lifetime"]) if given & Given.LIFETIME else None,
            "cost": float(slot["cost"]) if given & Given.COST else None,
        }
        if self._run.at_real_prices:
            described |= {name: or_none(float(slot[name])) for name in REAL_PRICE_FIELDS}
            described |= {name: or_none(described[name]) for name in (take, stop)}
        table = self._owner.table
        if candidate != FROM_SLOT and table is not None:  # what the engine cannot use, as it was written
            odd = {"position": not slot["side"], "symbol": bool(given & Given.FOREIGN_SYMBOL)}
            described |= {name: column[candidate] for name, column in table.written.items() if odd[name]}
        return cast("SignalInput", described)

    def _tell_scheduled(self, trade: int, timestamp: int, price: float) -> Results:
        result = self._rows.scheduled(trade, price)
        self.tell(
            emitters.schedule_event_subject,
            lambda: ScheduleEvent(
                action="scheduled", data=result.signal, current_price=price, **self.source(timestamp)
            ),
        )
        self._call("on_schedule", result.signal, price)
        self._tick_told(result)
        yield result

    def _tell_opened(self, trade: int, timestamp: int, price: float) -> Results:
        result = self._rows.opened(trade)
        self.written(result.signal, price)
        self._hold(result.signal)
        if self._activation_price is not None:
            activation_price, self._activation_price = self._activation_price, None
            self._tell_commit(trade, timestamp, activation_price, int(Commit.ACTIVATE_SCHEDULED))
        self.tell(
            emitters.signal_event_subject,
            lambda: SignalEvent(
                action="opened", data=result.signal, current_price=price, **self.source(timestamp)
            ),
        )
        self._call("on_open", result.signal, price)
        if self._rows.row(trade).was_scheduled:
            self._tell_result(result)
        else:
            self._tick_told(result)
            yield result

    def _tell_closed(self, trade: int, timestamp: int, price: float) -> Results:
        row = self._rows.row(trade)
        result = self._rows.ended(trade, self._owner.deferred_id if row.by_command else None)
        # A close that nobody asked for is told while the position can still be looked at (spec engine.md 8.7).
        self._state.pending = not row.by_command
        try:
            self.tell(
                emitters.signal_event_subject,
                lambda: SignalEvent(
                    action="closed",
                    data=result.signal,
                    current_price=price,
                    close_reason=CLOSE_REASONS[row.reason],
                    **self.source(timestamp),
                ),
            )
            self._call("on_close", result.signal, price)
        finally:
            self._state.pending = 0
        self.released()
        if not row.by_command:
            self.written(None, price)
        self._tick_told(result)
        if row.was_scheduled:
            yield self._rows.opened(trade)
        yield result

    def _tell_cancelled(self, trade: int, timestamp: int, price: float) -> Results:
        row = self._rows.row(trade)
        reason = CANCEL_REASONS[row.reason]
        by_user = row.reason == CancelReason.USER
        result = self._rows.ended(trade, self._owner.deferred_id if by_user and row.by_command else None)
        commit = int(Commit.CANCEL_SCHEDULED)
        self.released()
        at_once = by_user and row.ended_at == row.scheduled_at  # before its first candle (spec engine.md 8.8)
        if at_once:
            self._tell_commit(trade, timestamp, price, commit)
        self.tell(
            emitters.schedule_event_subject,
            lambda: ScheduleEvent(
                action="cancelled",
                data=result.signal,
                current_price=price,
                reason=reason,
                **self.source(timestamp),
            ),
        )
        if by_user and not at_once:
            self._tell_commit(trade, timestamp, price, commit)
        self._call("on_cancel", result.signal, price)
        self._tick_told(result)
        yield result

    def _tell_active(self, trade: int, timestamp: int, price: float, code: int) -> None:
        signal = self._rows.public(trade, price)
        self._tell_result(
            ActiveResult(
                signal=signal,
                **self._owner.source,
                current_price=price,
                created_at=timestamp,
                percent_tp=0.0,
                percent_sl=0.0,
                pnl=signal.pnl,
                backtest_last_timestamp=timestamp,
            )
        )

    def _tell_extreme(
        self, channel: Channel[ExtremeEvent], trade: int, timestamp: int, price: float, code: int
    ) -> None:
        if self.wants_writes:
            self.written(self._rows.public(trade, price), price)
        self.tell(
            channel,
            lambda: ExtremeEvent(
                signal=self._rows.public(trade, price), current_price=price, **self.source(timestamp)
            ),
        )

    def _tell_level(
        self, channel: Channel[LevelEvent], trade: int, timestamp: int, price: float, code: int
    ) -> None:
        """Tell a level; all levels of a candle show the row as it was before the first of them (spec engine.md 8.3)."""
        if self._levels is None or self._levels[:2] != (trade, timestamp):
            self._levels = (trade, timestamp, self._rows.public(trade, price))
        data = self._levels[2]
        self.tell(
            channel,
            lambda: LevelEvent(data=data, current_price=price, level=code, **self.source(timestamp)),
        )

    def _candle_event(self, trade: int, timestamp: int, price: float) -> PingEvent:
        """A ping of the candle at hand; at real prices with its prices."""
        if not self._run.at_real_prices:
            return self._ping_event(trade, timestamp, price)
        market, row = self._run.market, self._state.row
        prices = (column.item(row) for column in (market.open, market.high, market.low, market.close))
        return CandlePingEvent(*self._place, timestamp, self._rows.public(trade, price), price, *prices)

    def _ping_event(self, trade: int, timestamp: int, price: float) -> PingEvent:
        return PingEvent(*self._place, timestamp, self._rows.public(trade, price), price)

    def _tell_breakeven(self, trade: int, timestamp: int, price: float, code: int) -> None:
        self.tell(emitters.breakeven_subject, lambda: self._ping_event(trade, timestamp, price))
        if self._callbacks.on_breakeven is not None:
            self._call("on_breakeven", self._rows.public(trade, price), price)

    def _tell_logged_commit(self, trade: int, timestamp: int, price: float, code: int) -> None:
        """Tell a commit; those of resting orders are told with the event they belong to (spec engine.md 13.2)."""
        if code == Commit.ACTIVATE_SCHEDULED:
            self._activation_price = price
        elif code != Commit.CANCEL_SCHEDULED:
            self._tell_commit(trade, timestamp, price, code)

    def _tell_commit(self, trade: int, timestamp: int, price: float, code: int) -> None:
        self.tell(emitters.strategy_commit_subject, lambda: self._commit_event(trade, timestamp, price, code))

    def queued_commit(self, price: float, value: float, code: int) -> dict[str, Any]:
        """A commit that has not been announced yet, as ``get_strategy_status`` shows it (spec live.md 4.2)."""
        row = {
            "action": _ACTIONS[code],
            "symbol": self._owner.symbol,
            "backtest": self._owner.backtest,
            "current_price": price,
        }
        if code in _VALUE_FIELDS:
            row[_VALUE_FIELDS[code]] = value
        return row

    def _commit_event(self, trade: int, timestamp: int, price: float, code: int) -> StrategyCommitEvent:
        """A commit with the row as it is when it is announced (spec engine.md 8.5, 13.1)."""
        about = self._owner.deferred_id, self._owner.deferred_note(trade)
        value = float(self._run.commits["value"][self._commits_told - 1]) if self._commits_told else 0.0
        return commit_event(
            self._rows.public(trade, price), code, price, value, about, self.source(timestamp)
        )

    # -------------------------------------------------------------------------------- stops without an event

    def _candle(self) -> tuple[int, int, float]:
        """Trade, time and price of the candle at which the run stands."""
        row = self._state.row
        return self._state.current, self._times.item(row) + self._run.moment_delay, self._prices.item(row)

    def _ping(self, channel: Channel[PingEvent], callback: str) -> None:
        trade, timestamp, price = self._candle()
        self.now(timestamp)
        if channel.listeners:
            self._emit(channel, self._candle_event(trade, timestamp, price))
        if getattr(self._callbacks, callback) is not None:
            self._call(callback, self._rows.public(trade, price), price)

    def _monitored(self) -> None:
        """Call ``on_partial_profit`` or ``on_partial_loss`` with the progress at every candle on their side."""
        branch = self._state.branch
        name = {1: "on_partial_profit", -1: "on_partial_loss"}.get(branch)
        if name is not None and getattr(self._callbacks, name) is not None:
            trade, timestamp, price = self._candle()
            self.now(timestamp)
            self._call(name, self._rows.public(trade, price), abs(self._state.progress), price)

    def _idle(self) -> None:
        timestamp, price = self._state.tick_time, self._state.tick_price
        self.now(timestamp)
        if emitters.idle_ping_subject.listeners:
            self._emit(emitters.idle_ping_subject, IdlePingEvent(*self._place, timestamp, price))
        self._call("on_idle", price)
        if (
            self._callbacks.on_tick is not None
            or emitters.signal_emitter.listeners
            or emitters.signal_backtest_emitter.listeners
        ):
            self._tick_told(
                IdleResult(signal=None, **self._owner.source, current_price=price, created_at=timestamp)
            )

    def _tick(self) -> None:
        """Tell how far the run has come; these listeners have no execution context (spec market-data.md 13)."""
        execution.set(None)
        self._owner.watch.tick(self._state.tick_time)
        done, total = self._state.frame_index, self._owner.frame.count
        self.tell(emitters.progress_backtest_emitter, lambda: self.progress(done, total))

    def _raised(self) -> None:
        """Report what a jitted function raised; the candle goes on without it."""
        self.now(self._run.when)
        report_error(self._run.raised(), self._owner.names.strategy_name, self._owner.repeats)

    def progress(self, done: int, total: int) -> BacktestProgressEvent:
        """The payload of ``listen_backtest_progress`` after ``done`` of ``total`` ticks."""
        return BacktestProgressEvent(
            exchange_name=self._owner.names.exchange_name,
            strategy_name=self._owner.names.strategy_name,
            symbol=self._owner.symbol,
            total_frames=total,
            processed_frames=done,
            progress=done / total if total else 0.0,
        )


_COMMIT_COMMON = (
    "total_entries",
    "total_partials",
    "original_price_open",
    "pnl",
    "peak_profit",
    "max_drawdown",
)


def commit_event(
    signal: PublicSignal,
    code: int,
    price: float,
    value: float,
    about: tuple[str | None, str | None],
    source: dict[str, Any],
) -> StrategyCommitEvent:
    """The payload of a commit; ``value`` is its number, ``about`` the id and note that the command was given."""
    action = _ACTIONS[code]
    note: str | None = signal.note
    values: dict[str, Any] = {"current_price": price, "effective_price_open": signal.price_open}
    if code in _ID_FIELDS:
        values[_ID_FIELDS[code]] = about[0]
        note = about[1] or note
    else:
        values[_VALUE_FIELDS.get(code, "")] = value
    own: dict[str, Any] = {
        name: values[name] if name in values else getattr(signal, name, None)
        for name in COMMIT_FIELDS[action]
    }
    return StrategyCommitEvent(
        action=action,
        signal_id=signal.id,
        signal=signal,
        note=note or "",
        **{name: getattr(signal, name) for name in _COMMIT_COMMON},
        **own,
        **source,
    )


_LIFE: dict[int, Callable[[EventDelivery, int, int, float], Results]] = {
    EventKind.SCHEDULED: EventDelivery._tell_scheduled,
    EventKind.OPENED: EventDelivery._tell_opened,
    EventKind.CLOSED: EventDelivery._tell_closed,
    EventKind.CANCELLED: EventDelivery._tell_cancelled,
}
_MOMENTS: dict[int, Callable[[EventDelivery, int, int, float, int], None]] = {
    EventKind.ACTIVE: EventDelivery._tell_active,
    EventKind.HIGHEST_PROFIT: lambda run, *row: run._tell_extreme(emitters.highest_profit_subject, *row),
    EventKind.MAX_DRAWDOWN: lambda run, *row: run._tell_extreme(emitters.max_drawdown_subject, *row),
    EventKind.PARTIAL_PROFIT: lambda run, *row: run._tell_level(emitters.partial_profit_subject, *row),
    EventKind.PARTIAL_LOSS: lambda run, *row: run._tell_level(emitters.partial_loss_subject, *row),
    EventKind.BREAKEVEN: EventDelivery._tell_breakeven,
    EventKind.COMMIT: EventDelivery._tell_logged_commit,
}
#: How a stop of the machine other than a row of the log is told.
STOPS: dict[Wake, Callable[[EventDelivery], None]] = {
    Wake.ACTIVE_PING: lambda run: run._ping(emitters.active_ping_subject, "on_active_ping"),
    Wake.SCHEDULE_PING: lambda run: run._ping(emitters.schedule_ping_subject, "on_schedule_ping"),
    Wake.IDLE: EventDelivery._idle,
    Wake.MONITORED: EventDelivery._monitored,
    Wake.TICK: EventDelivery._tick,
    Wake.WOKEN: lambda run: run._ping(emitters.wake_subject, "on_wake"),
    Wake.RAISED: EventDelivery._raised,
}
