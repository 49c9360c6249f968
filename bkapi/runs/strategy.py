"""Plays one strategy on one symbol: asks it for signals, takes its commands and moves the machine on.

:mod:`bkapi.runs.event_delivery` tells listeners and callbacks what happens.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NoReturn, Protocol, cast

import numpy as np

from bkapi.base import config
from bkapi.base.context import MethodContext, RunKey, run_key
from bkapi.base.coroutines import settle
from bkapi.base.timestamps import from_ms
from bkapi.errors import FatalError, RefusedSignalError, SignalError
from bkapi.events.emitters import ErrorRepeats, emitters, report_error
from bkapi.events.payloads import PauseEvent
from bkapi.events.results import PublicSignal, SignalFields, SignalInput
from bkapi.runs.answers import write_answer, write_answer_at_real_prices
from bkapi.runs.event_delivery import STOPS, BacktestResult, EventDelivery, Results, RiskPlaces
from bkapi.runs.rows import Rows
from bkapi.runs.signal_view import Details
from bkapi.runs.stopwatch import Stopwatch
from bkapi.runs.validation import as_number, violation_message, violations_of
from bkapi.schemas.run_settings import setting_of
from bkapi.schemas.strategy import StrategyCallbacks, StrategySchema
from bkcore.intervals import interval_step_ms
from bkcore.machine.codes import Command, Deferred, EventKind, Listen, Status, Wake
from bkcore.machine.market import Market
from bkcore.machine.record_views import SignalView, bytes_of
from bkcore.machine.records import FROM_SLOT, NEW_WAKE, NO_BUCKET
from bkcore.machine.run import Driver, Frame, Hooks, Records, Run, no_signals
from bkcore.machine.settings import EngineSettings
from bkcore.machine.signals import SignalTable

__all__ = ["BacktestResult", "Results", "StrategyRun"]

_NO_CALLBACKS = StrategyCallbacks()
_KNOWN_FIELDS = frozenset(SignalFields.__annotations__)
_NO_HOOKS = Hooks()
#: What makes ``commit_create_signal`` fail, in the order in which it is tested (spec 10.10).
_BUSY: tuple[tuple[str, int], ...] = (
    ("an activation", Deferred.ACTIVATE),
    ("a close", Deferred.CLOSE),
    ("a cancel", Deferred.CANCEL),
    ("a take-profit fill", Deferred.TAKE_PROFIT_FILL),
    ("a stop-loss fill", Deferred.STOP_LOSS_FILL),
)


class RiskGate(RiskPlaces, Protocol):
    """What a run asks of its risk profiles; :class:`bkapi.risk.run_risk.RunRisk` answers."""

    def admits(self, signal: SignalInput | PublicSignal, price: float, when_ms: int) -> bool:
        """Whether the signal may open at ``price``; if so its place is reserved."""


class StrategyRun:
    """One backtest of one strategy on one symbol (spec engine.md 4 to 8, 10, 13).

    ``table`` holds the candidates of a vectorized strategy, ``hooks`` a jitted one; without either the run calls
    ``get_signal``. ``risk`` is asked before anything opens. ``driver`` chooses how candles are visited; the trades are
    the same with each.
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
        policy: Records | None = None,
        hooks: Hooks = _NO_HOOKS,
        risk: RiskGate | None = None,
        driver: Driver = "skip",
    ) -> None:
        self.symbol = symbol
        self.names = names
        self.frame = frame
        self.settings = settings
        self.yields = True
        #: What has been logged of errors.
        self.repeats = ErrorRepeats()
        #: Whether signals come from a Python function or commands.
        self.asks = table is None and hooks.kernel is None
        self.table = table
        self.policy = policy
        self.hooks = hooks
        self.risk = risk
        self.interval = strategy.interval
        self.schema = strategy
        #: The configuration that the run was started with.
        self.constants = config.get_config()
        #: The common fields of the events and results of this run.
        self.source: dict[str, Any] = {"symbol": symbol, **names.to_dict(), "backtest": self.backtest}
        self.watch = Stopwatch(self.source)
        self._get_signal = strategy.get_signal
        self.run = Run(
            market,
            settings,
            frame,
            no_signals() if table is None else table.records,
            interval_ms=interval_step_ms(strategy.interval),
            driver=driver,
            has_callback=self.asks,
            is_guarded=risk is not None,
            policy=policy,
            hooks=hooks,
            asks_in_position=strategy.when_in_position,
        )
        ids, notes = ((), None) if table is None else (table.ids, table.notes)
        self.rows = Rows(self.run, symbol, names, ids=ids, notes=notes)
        self._state = self.run.now
        self._slot: Any = SignalView.from_buffer(bytes_of(self.run.slot))
        self._codes = {identity: code for code, identity in enumerate(ids)}
        self._candidate: Details | None = None
        self._queued: SignalInput | None = None
        self._played_ahead: tuple[Wake, int, Exception | None] | None = None
        self._first_refusal = ""
        self._deferred: tuple[str | None, str | None] = (None, None)
        self._lock = threading.RLock()  # a command from another thread waits for the machine to stand still
        self.delivery = EventDelivery(
            self, strategy.callbacks or _NO_CALLBACKS, _STEP_BITS if driver == "step" else 0
        )

    # ---------------------------------------------------------------------------------------- the loop

    @property
    def key(self) -> RunKey:
        """The key of this run in the ledger."""
        return run_key(self.symbol, self.names, backtest=self.backtest)

    def results(self, take_log: Callable[[StrategyRun], object]) -> Results:
        """Play the run, and yield what opens, closes and is cancelled, in documented order (spec engine.md 4.2).

        take_log   called with the run if it delivered no events; :func:`bkapi.runs.ledger.results_of` passes it
        """
        try:
            if not self.is_played and (self.asks or self.risk or self.delivery.must_deliver()):
                yield from self._listening_results()
            else:
                self._finish_silently()
                take_log(self)
                if self.yields:
                    yield from self._results_of_tables()
        finally:
            self.delivery.released()  # an abandoned run gives back its places
            self.repeats.finish()

    def _finish_silently(self) -> None:
        """Play the run without events; report what was refused or raised once, with its count."""
        wake, raised, first = self._played_ahead or self._play_silently()
        if wake is Wake.OUT_OF_CANDLES:
            self._raise_out_of_candles()
        for error, times in self._survived(raised, first):
            report_error(error, self.names.strategy_name, self.repeats, times=times)

    def finish_unheard(self) -> None:
        """Play the run to its end; what it survives is told to nobody, and kept for the finished run."""
        _, raised, first = self._play_silently()
        for error, times in self._survived(raised, first):
            self.repeats.is_first(error, self.names.strategy_name, times)
        self.repeats.finish()

    def _survived(self, raised: int, first: Exception | None) -> Iterator[tuple[Exception, int]]:
        if first is not None:
            yield first, raised
        refused = self._state.rejected_count
        if refused:
            hint = "listen_error tells the reasons of each."
            yield RefusedSignalError(self._first_refusal, hint=hint), refused

    def _play_silently(self) -> tuple[Wake, int, Exception | None]:
        raised, first = 0, None
        with self._lock:
            self._state.listen = Listen.EVENTS << EventKind.REJECTED
            while (wake := self.run.advance()) in (Wake.RAISED, Wake.EVENTS):
                if wake is Wake.RAISED:
                    raised += 1
                    first = first or self.run.raised()
                else:
                    self._first_refusal = self.delivery.newest_refusal()
                    self._state.listen = 0  # one is enough
        return wake, raised, first

    @property
    def needs_no_python(self) -> bool:
        """True when the run needs no Python: no ``get_signal``, risk profile, action or listener."""
        return not (self.asks or self.risk or self.schema.actions or self.delivery.must_deliver())

    @property
    def is_played(self) -> bool:
        """Whether :meth:`play_ahead` has played it."""
        return self._played_ahead is not None

    def play_ahead(self) -> None:
        """Play a run that needs no Python before its turn, in any thread; :meth:`results` then reads the tables."""
        self._played_ahead = self._play_silently()

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
        trades = 0
        state, run, delivery = self._state, self.run, self.delivery
        while True:
            with self._lock:
                state.listen = delivery.bits()
                wake = run.advance()
            if state.trade_count > trades:
                trades = state.trade_count
                self._deferred = (None, None)
                if self._candidate is not None:
                    self.rows.details[trades - 1], self._candidate = self._candidate, None
            if wake in STOPS:
                STOPS[wake](delivery)
            elif wake is Wake.EVENTS:
                yield from delivery.tell_events()
            elif wake is Wake.GET_SIGNAL:
                self.watch.tick(state.tick_time)
                self._ask()
            elif wake is Wake.CANDIDATE:
                self._judge(self.delivery.candidate(), state.tick_price)
            elif wake is Wake.ACTIVATION:
                self._judge_activation()
            elif wake is Wake.OUT_OF_CANDLES:
                self._raise_out_of_candles()
            else:
                self.watch.end()
                return

    def _raise_out_of_candles(self) -> None:
        last = from_ms(int(self.run.market.timestamps[-1]))
        raise FatalError(
            f"insufficient candle data: {self.symbol} ends at {last:%Y-%m-%d %H:%M} UTC while a signal of "
            f"{self.names.strategy_name!r} is still alive.",
            hint="let the frame end at least one candle before the data do, or load more candles.",
        )

    # ----------------------------------------------------------------------------------- the strategy's turn

    def _ask(self) -> None:
        """Fill the slot with what ``get_signal`` returns or the user queued (spec engine.md 5, steps 6 to 9)."""
        state = self._state
        timestamp, price = state.tick_time, state.tick_price
        state.candidate = -1
        self._candidate = None
        self.delivery.now(timestamp)
        try:
            dto: Any = None
            if self._queued is None and self._get_signal is not None:
                limit = setting_of(self.schema, "CC_MAX_SIGNAL_GENERATION_SECONDS")
                started = time.monotonic()
                dto = self._get_signal(self.symbol, from_ms(timestamp), price)
                if dto is not None:
                    dto = settle(dto)
                seconds = time.monotonic() - started
                if seconds > limit:
                    _refuse_duration(seconds, limit)
            if self._queued is not None:
                dto = self._take_queued(price)
            if dto is not None:
                self._candidate = self._bind(dto, timestamp)
                state.candidate = FROM_SLOT
        except Exception as error:  # noqa: BLE001 - a strategy may raise anything; the tick goes on as idle
            report_error(error, "get_signal", self.repeats)

    def _judge(self, signal: SignalInput | PublicSignal, price: float) -> None:
        """Let the risk profiles say whether a signal may open at ``price`` (spec engine.md 5, step 12)."""
        assert self.risk is not None
        when = self.run.when
        self.delivery.now(when)
        try:
            self._state.is_refused = not self.risk.admits(signal, price, when)
        except Exception as error:  # noqa: BLE001 - documented: a check that raises rejects
            self._state.is_refused = True
            report_error(error, "check_signal_and_reserve", self.repeats)

    def _judge_activation(self) -> None:
        """Ask the risk profiles about a resting order: at its limit, for a command at the price now (spec 7.2, 7.3)."""
        by_user = self._state.deferred == Deferred.ACTIVATE
        price = (
            self.known_price() if self.run.at_real_prices else self.run.series.values.item(self._state.row)
        )
        signal = self.rows.public(self.trade, price)
        self._judge(signal, price if by_user else signal.price_open)
        if self._state.is_refused and self._state.deferred != Deferred.CANCEL:
            self._deferred = (None, None)

    def _take_queued(self, price: float) -> SignalInput:
        """The queued signal, taken exactly once; if it has become invalid, its interval is free again."""
        dto = cast("SignalInput", self._queued)
        self._drop_queued()
        try:
            self._refuse_invalid(dto, price)
        except SignalError:
            self._state.last_bucket = NO_BUCKET
            raise
        return dto

    def _drop_queued(self) -> None:
        self._queued = None
        self._state.has_queued = 0

    def _refuse_invalid(self, dto: SignalInput, price: float) -> None:
        """Raise for a signal that the combined validator refuses, after filling in defaults (spec engine.md 6.4)."""
        _refuse_other_types(dto)
        given = {name: value for name, value in dto.items() if value is not None}
        filled = cast(
            "SignalInput",
            {"price_open": price, "minute_estimated_time": self.settings.max_lifetime_minutes, **given},
        )
        if self.run.at_real_prices:
            self._bind(dto, self._state.tick_time)
            self._state.tick_price = price
            found = self.run.violations_in_slot()
        else:
            found = violations_of(filled, price, self.settings)
        if found:
            raise SignalError(
                violation_message(found, filled, self.symbol, price=price, settings=self.settings)
            )

    def _bind(self, dto: Any, timestamp: int) -> Details:
        """Write a signal into the slot; returns its parts that are not numbers."""
        _refuse_other_types(dto)
        self.delivery.asked(cast("SignalInput", dto))
        symbol = dto.get("symbol")
        identity = dto.get("id") or None
        write = write_answer_at_real_prices if self.run.at_real_prices else write_answer
        is_foreign = symbol is not None and symbol != self.symbol
        write(self._slot, cast("SignalInput", dto), timestamp=timestamp, is_foreign=is_foreign)
        self._slot.id = -1 if identity is None else self._codes.setdefault(identity, len(self._codes))
        extra = {key: value for key, value in dto.items() if key not in _KNOWN_FIELDS}
        return Details(identity or "", dto.get("note") or "", extra)

    # ------------------------------------------------------------------------------------- what can be seen

    @property
    def has_position(self) -> bool:
        """Whether a position is open."""
        return bool(self._state.pending)

    @property
    def has_scheduled(self) -> bool:
        """Whether an order is resting."""
        return bool(self._state.scheduled)

    @property
    def is_paused(self) -> bool:
        """Whether new signals are paused."""
        return bool(self._state.is_paused)

    @property
    def is_stopped(self) -> bool:
        """Whether no further signals are taken."""
        return bool(self._state.is_stopped)

    @property
    def trade(self) -> int:
        """Index of the current trade, -1 before the first."""
        trade: int = self._state.current
        return trade

    def position(self) -> Any:
        """The machine's record of the open position (fields of ``POSITION``), or None."""
        return self.rows.row(self.trade) if self.has_position else None

    def resting(self) -> Any:
        """The machine's record of the resting order, or None."""
        return self.rows.row(self.trade) if self.has_scheduled else None

    def now_ms(self) -> int:
        """The tick or candle that is being processed, ms UTC."""
        return self.delivery.moment

    def known_price(self) -> float:
        """Price of the last candle that is closed now; NaN before the first tick (spec engine.md 3.2)."""
        return self.run.known_price()

    def status(self) -> dict[str, Any]:
        """Which commands and signals wait for their candle or tick (spec live.md 4.2)."""
        state = self._state
        deferred = Deferred(state.deferred)
        waiting = None
        if deferred:
            waiting = self.rows.public(self.trade, self.known_price())
        queue = self.run.commits[state.commit_told : state.commit_count]
        return {
            "pending_signal_id": self.rows.identity(self.trade) if self.has_position else None,
            "last_pending_id": self._last_pending_id(),
            "created_signal": self._queued,
            "commit_queue": [self.delivery.queued_commit(*commit) for commit in queue.tolist()],
            **{
                f"{name}_signal": waiting if deferred == code else None
                for name, code in (
                    ("closed", Deferred.CLOSE),
                    ("cancelled", Deferred.CANCEL),
                    ("activated", Deferred.ACTIVATE),
                    ("take_profit", Deferred.TAKE_PROFIT_FILL),
                    ("stop_loss", Deferred.STOP_LOSS_FILL),
                )
            },
            "retry_open_signal": None,
            "retry_open_count": 0,
            "retry_close_count": 0,
            "is_paused": self.is_paused,
        }

    def _last_pending_id(self) -> str | None:
        opened = np.flatnonzero(self.run.trades["pending_at"])
        return self.rows.identity(int(opened[-1])) if opened.size else None

    @property
    def deferred_id(self) -> str | None:
        """The ``id`` that the deferred command was given."""
        return self._deferred[0]

    def deferred_note(self, trade: int) -> str | None:
        """The ``note`` that the deferred command was given; a full exit by partials has one of its own."""
        row = self.rows.row(trade)
        if row.partial_count and row.remaining <= row.invested * 1e-9:
            return "full_partial_close"
        return self._deferred[1]

    # --------------------------------------------------------------------------------------------- commands

    def order(self, command: Command, *, price: float, value: float = float("nan")) -> bool:
        """Give the open position a command; a refused one changes nothing (spec engine.md 10.2)."""
        with self._lock:
            if not self.has_position:
                return False
            granted = self.run.order(
                command, price=as_number(price), value=as_number(value), time=self.now_ms()
            )
        if granted and self.delivery.wants_writes:
            self.delivery.written(self.rows.public(self.trade, price), price)
        return granted

    def defer(self, deferred: Deferred, *, id: str | None = None, note: str | None = None) -> None:  # noqa: A002
        """Close the position or cancel the resting order at the next candle (spec engine.md 10.8, 10.9, 10.11)."""
        with self._lock:
            state = self._state
            if deferred in (Deferred.CANCEL, Deferred.ACTIVATE):
                if not self.has_scheduled or (deferred == Deferred.ACTIVATE and self.is_stopped):
                    return
                state.scheduled = 0
            else:
                if not self.has_position or self.run.trades[self.trade]["status"] != Status.OPEN:
                    return
                state.pending = 0
            state.deferred = deferred
            self._deferred = (id, note)

    def queue_signal(self, dto: SignalInput) -> None:
        """Keep a signal for the next tick; raises :class:`SignalError` when it cannot be (spec engine.md 10.10)."""
        with self._lock:
            if self.is_stopped:
                self._refuse_queueing("the strategy is stopped")
            self._refuse_invalid(dto, self.known_price())
            if self.has_position:
                self._refuse_queueing("a position is open")
            if self.has_scheduled:
                self._refuse_queueing("an order is resting")
            if self._queued is not None:
                self._refuse_queueing("a signal is queued already")
            for what, code in _BUSY:
                if self._state.deferred == code:
                    self._refuse_queueing(f"{what} waits for its candle")
            self._queued = cast("SignalInput", dict(dto))
            self._state.has_queued = 1

    def _refuse_queueing(self, why: str) -> None:
        raise SignalError(
            f"commit_create_signal: {why}, strategy_name={self.names.strategy_name!r} symbol={self.symbol}.",
            hint="has_no_pending_signal and has_no_scheduled_signal tell when there is room for a signal.",
        )

    def set_paused(self, paused: bool) -> None:
        """Pause new signals or resume them; tells ``listen_pause`` when that is a change (spec 10.12)."""
        if paused == self.is_paused:
            return
        self._state.is_paused = paused
        self.delivery.tell(
            emitters.pause_subject, lambda: PauseEvent(paused=paused, **self.delivery.source(self.now_ms()))
        )

    def stop(self) -> None:
        """Take no further signals; an open position goes on to its end (spec engine.md 4.7, 10.13)."""
        with self._lock:
            state = self._state
            state.is_stopped = 1
            self._drop_queued()
            if self.has_scheduled or state.deferred == Deferred.ACTIVATE:
                state.scheduled = 0
                state.deferred = Deferred.CANCEL
                self._deferred = (None, "stop_strategy")

    def wake(
        self,
        *,
        at_ms: int,
        above: float = math.inf,
        below: float = -math.inf,
        pnl_above: float = math.inf,
        pnl_below: float = -math.inf,
    ) -> None:
        """Stop at the first candle of the position at which any condition holds; replaces earlier conditions."""
        with self._lock:
            state = self._state
            state.wake_above = above
            state.wake_below = below
            state.wake_pnl_above = pnl_above
            state.wake_pnl_below = pnl_below
            state.wake_at = at_ms
            state.has_wake = NEW_WAKE


_STEP_BITS = int(Listen.IDLE | Listen.ACTIVE_PING | Listen.SCHEDULE_PING | Listen.MONITORED)


def _refuse_other_types(dto: object) -> None:
    if not isinstance(dto, Mapping):
        raise SignalError(
            f"a signal is a mapping of its fields, not {type(dto).__name__}.",
            hint='give {"position": "long", "price_take_profit": ..., "price_stop_loss": ...}.',
        )


def _refuse_duration(seconds: float, limit: float) -> NoReturn:
    raise SignalError(
        f"Timeout for get_signal: it took {seconds:.1f} s, the limit is {limit} s.",
        hint="CC_MAX_SIGNAL_GENERATION_SECONDS is the limit.",
    )
