"""What happened? One run of one strategy on one symbol, minute by minute (spec engine.md 4, 5, 7 and 8).

The points of deviations.md hold: "now" is always the candle being processed, every close is told once, what
is asked for while an order is announced or an activation opens executes on the next candle, and an order's
own reservation is not counted against it.
"""

import copy
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tests.naive.events import NewExtreme, Ping, Result, ScheduleEvent, SignalEvent
from tests.naive.getters import Getters
from tests.naive.market import Market
from tests.naive.pnl import Entry
from tests.naive.position import Deferred, Extreme, Row
from tests.naive.records import Recorder
from tests.naive.settings import MINUTE, interval_ms, settings
from tests.naive.validation import InvalidSignalError, check_signal, is_valid, opens_at_once

if TYPE_CHECKING:
    from tests.naive.events import Listener, Listeners

GetSignal = Callable[["Engine", int, float], Mapping[str, Any] | None]
"""Called with the engine (for commands and getters), time in ms and price; answers a signal or None."""

RiskCheck = Callable[[Mapping[str, Any], float, int], bool]
"""Called with the candidate, the price and the time; False rejects it."""

LEVELS = (10, 20, 30, 40, 50, 60, 70, 80, 90, 100)


@dataclass
class Outcome:
    """What came out of a run, in the shapes of the golden records.

    ``results`` are the yielded results, ``events`` what listeners heard in order (pings and idle results only
    counted), ``*_pings`` the runs of pings with one signal id.
    """

    results: list[dict[str, Any]] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)
    active_pings: list[dict[str, Any]] = field(default_factory=list)
    schedule_pings: list[dict[str, Any]] = field(default_factory=list)
    idle_pings: dict[str, Any] = field(default_factory=dict)
    signal_event_counts: dict[str, int] = field(default_factory=dict)
    error_count: int = 0


class Engine(Getters):
    """One run. ``listeners`` maps a kind of event (``events.KINDS``) to ``(engine, event)`` callables.

    candles : rows (timestamp ms, open, high, low, close, volume), 1 minute each, any order, no repeats; or a
        Market made of them, which remembers its averages from run to run
    frame : (interval, start ms, end ms), end inclusive
    risk : asked before anything opens, (candidate, price, when) -> accepted?

    MissingCandlesError when the run needs a minute the market does not have.
    """

    def __init__(
        self,
        candles: Iterable[Sequence[float]] | Market,
        *,
        frame: tuple[str, int, int],
        get_signal: GetSignal | None = None,
        config: Mapping[str, Any] | None = None,
        strategy_interval: str = "1m",
        listeners: "Listeners | None" = None,
        symbol: str = "BTCUSDT",
        risk: RiskCheck | None = None,
    ) -> None:
        chosen = settings(config)
        window = chosen["CC_AVG_PRICE_CANDLES_COUNT"]
        market = candles if isinstance(candles, Market) else Market(candles, window)
        if market.window != window:
            raise ValueError(f"the market averages {market.window} candles, the configuration {window}")
        super().__init__(market, chosen, symbol, listeners)
        step, start = interval_ms(frame[0]), frame[1] // MINUTE * MINUTE
        self.frames = list(range(start, frame[2] + 1, step))
        if not self.frames:
            raise ValueError("the frame has no tick")
        self.frame_end = self.frames[-1]
        self.strategy_interval = interval_ms(strategy_interval)
        self.get_signal = get_signal
        self.risk = risk

    # the frame loop (4.2)

    def run(self) -> list[Result]:
        """Tick through the frame; the results a backtest yields, in order."""
        yielded: list[Result] = []
        number = 0
        while number < len(self.frames) and not self.is_stopped:
            when = self.frames[number]
            result = self.tick(when)
            if result.action == "idle":
                number += 1
                continue
            yielded.append(result)
            finished = self.replay(when)
            yielded.extend(finished)
            closed_at = finished[-1].close_timestamp
            assert closed_at is not None
            while number < len(self.frames) and self.frames[number] <= closed_at:
                number += 1
        return yielded

    def tick(self, when: int) -> Result:
        """Ask the strategy; the answer is an idle, a scheduled or an opened result (12.2 step 8)."""
        self.when = when
        price = self.price_now()
        self.announce_commits(when)
        row = None if self.is_stopped else self.candidate_row(when, price)
        if row is None:
            return self.idle(when, price)
        if row.is_scheduled:
            return self.schedule(row, when, price)
        return self.open(row, when, row.price_open, tell_tick=True)

    def idle(self, when: int, price: float) -> Result:
        """Nothing to do at this tick (13.2)."""
        self.emit("idle_ping", lambda: Ping(None, price, when))
        self.callback("on_idle", lambda: (price, when))
        return self.tell(Result("idle", None, price, when))

    def schedule(self, row: Row, when: int, price: float) -> Result:
        """An order rests (13.2)."""
        self.set_scheduled(row)
        shown = self.public(row, price)
        self.emit("order_schedule", lambda: ScheduleEvent("scheduled", shown, price, when))
        self.callback("on_schedule", lambda: (shown, price, when))
        return self.tell(Result("scheduled", shown, price, when))

    def open(
        self, row: Row, when: int, price: float, *, tell_tick: bool, activated: Deferred | None = None
    ) -> Result:
        """A position opens (13.2); ``price`` is what a user activation was confirmed at."""
        self.set_pending(row)
        self.last_pending_id = row.id
        self.callback("on_write", lambda: (self.public(row, row.price_open), row.price_open, when))
        if activated is not None:
            self.announce("activate-scheduled", row, price, when, deferred=activated)
        shown = self.public(row, row.price_open)
        self.emit("signal_event", lambda: SignalEvent("opened", shown, row.price_open, when))
        self.callback("on_open", lambda: (shown, row.price_open, when))
        return self.tell(Result("opened", shown, row.price_open, when), tell_tick=tell_tick)

    def tell(self, result: Result, *, tell_tick: bool = True) -> Result:
        """The signal channel, after the strategy's own ``on_tick``."""
        if tell_tick:
            self.callback("on_tick", lambda: (result, result.current_price, result.created_at))
        self.emit("signal", lambda: result)
        return result

    # from a signal to a row (5)

    def candidate_row(self, when: int, price: float) -> Row | None:
        """The row this tick opens or rests, if any; whatever goes wrong is one error event."""
        try:
            return self._candidate_row(when, price)
        except Exception as error:
            self.error(error)
            return None

    def _candidate_row(self, when: int, price: float) -> Row | None:
        bucket = when // self.strategy_interval * self.strategy_interval
        if self.user_dto is None and bucket == self.last_signal_bucket:
            return None
        self.last_signal_bucket = bucket
        if self.is_paused:
            self.last_signal_bucket = None
            return None
        candidate: Mapping[str, Any] | None = None
        if self.user_dto is None and self.get_signal is not None:
            candidate = self.get_signal(self, when, price)
        if self.user_dto is not None:
            candidate, self.user_dto = self.user_dto, None
            if not is_valid(self.with_defaults(candidate, price), price, self.config):
                self.last_signal_bucket = None
                raise InvalidSignalError(f"the queued signal is no longer valid: {candidate!r}")
        if candidate is None:
            return None
        signal = copy.deepcopy({name: value for name, value in candidate.items() if value is not None})
        if signal.get("symbol") and signal["symbol"] != self.symbol:
            raise InvalidSignalError(f"Symbol mismatch: {signal['symbol']!r} is not {self.symbol!r}")
        if signal.get("id") and signal["id"] == self.last_pending_id:
            return None
        if self.is_stopped:
            return None
        if not self.is_risk_accepted({"price_open": price, **signal}, price, when):
            self.last_signal_bucket = None
            return None
        return self.checked_row(signal, when, price)

    def is_risk_accepted(self, candidate: Mapping[str, Any], price: float, when: int) -> bool:
        """Does the risk profile let it pass?"""
        return self.risk is None or self.risk(candidate, price, when)

    def checked_row(self, signal: Mapping[str, Any], when: int, price: float) -> Row:
        """The validated row of a signal: at the market, at once at its limit, or resting (5, 13-14)."""
        filled = {**self.with_defaults(signal, price), "symbol": self.symbol}
        filled["id"] = signal.get("id") or self.new_id()
        opens = "price_open" not in signal or opens_at_once(filled, price)
        check_signal(filled, price, opens, self.config)
        usual = self.config["CC_POSITION_ENTRY_COST"]
        row = Row(
            id=filled["id"],
            symbol=self.symbol,
            position=filled["position"],
            note=filled.get("note") or "",
            cost=filled.get("cost") or usual,
            price_open=filled["price_open"],
            price_take_profit=filled["price_take_profit"],
            price_stop_loss=filled["price_stop_loss"],
            minute_estimated_time=filled["minute_estimated_time"],
            scheduled_at=when,
            pending_at=0,
            timestamp=when,
            is_scheduled=True,
            entries=[Entry(filled["price_open"], filled.get("cost", usual), when)],
        )
        return row.opened(when, self.costs) if opens else row

    # after the opening tick, candle by candle (4.3)

    def replay(self, when: int) -> list[Result]:
        """Follow what the tick at ``when`` scheduled or opened to its end.

        One cancelled or closed result, with the opened one before it when an order activated on the way.
        """
        early = self.execute_before_first_candle(when)
        if early is not None:
            return [early]
        opened: list[Result] = []
        chunk_end = self.first_chunk_end(when)
        minute = when
        while True:
            if minute > self.market.last_minute and opened_for_ever(self.row_at_hand()) and minute > when:
                return [*opened, self.close_at_end_of_data(minute - MINUTE)]
            self.when = minute
            if self.scheduled or self.cancelled_cmd or self.activated_cmd:
                result = self.check_resting(minute)
            else:
                result = self.check_position(minute)
            if result is not None and result.action == "opened":
                opened.append(result)
            elif result is not None:
                return [*opened, result]
            if minute == chunk_end:
                self.tell_chunk(minute)
                chunk_end += (self.config["CC_MAX_CANDLES_PER_REQUEST"] - self.market.window + 1) * MINUTE
            minute += MINUTE

    def row_at_hand(self) -> Row:
        """The one row that is resting or open, also while a command holds it."""
        held = self.cancelled_cmd or self.activated_cmd or self.closed_cmd or self.tp_fill or self.sl_fill
        row = self.scheduled or self.pending or (held.row if held else None)
        assert row is not None
        return row

    def execute_before_first_candle(self, when: int) -> Result | None:
        """Commands given while the opening tick was announced, at its time and price (8.8, deviation 2)."""
        price = self.market.average_before(when)
        if self.cancelled_cmd is not None:
            command = self.cancelled_cmd
            self.set_scheduled(None)
            shown = self.public(command.row, price)
            self.announce("cancel-scheduled", command.row, price, when, deferred=command)
            self.emit("order_schedule", lambda: ScheduleEvent("cancelled", shown, price, when, "user"))
            return self.cancelled(command, shown, price, when, "user")
        return self.execute_close(when, price)

    def first_chunk_end(self, when: int) -> int | None:
        """The last candle of the first request of an infinite row (4.5); None for a finite lifetime."""
        row = self.row_at_hand()
        if row.minute_estimated_time != math.inf:
            return None
        chunk = self.config["CC_MAX_CANDLES_PER_REQUEST"]
        if row.is_scheduled:
            return int(when + (self.config["CC_SCHEDULE_AWAIT_MINUTES"] + chunk) * MINUTE)
        return int(when + (chunk - self.market.window) * MINUTE)

    def tell_chunk(self, minute: int) -> None:
        """The ``active`` result at the end of a chunk (4.5)."""
        average = self.market.average(minute)
        shown = self.public(self.row_at_hand(), average)
        self.tell(Result("active", shown, average, minute, pnl=shown.pnl), tell_tick=False)

    def close_at_end_of_data(self, minute: int) -> Result:
        """An infinite position whose candles end is closed at the last one there is (deviation 1)."""
        return self.close(self.row_at_hand(), "time_expired", self.market.average(minute), minute)

    # a resting order (7)

    def check_resting(self, minute: int) -> Result | None:
        """The checks of one candle while an order rests, in their order (7.1)."""
        row = self.row_at_hand()
        average = self.market.average(minute)
        if minute > self.frame_end:
            return self.cancel(row, average, minute, "timeout")
        if self.cancelled_cmd is not None:
            return self.cancel(row, average, minute, "user", self.cancelled_cmd)
        if self.activated_cmd is not None:
            return self.activate(row, average, minute, self.activated_cmd)
        if minute - row.scheduled_at >= self.config["CC_SCHEDULE_AWAIT_MINUTES"] * MINUTE:
            return self.cancel(row, average, minute, "timeout")
        candle = self.market.candle(minute)
        if candle.low <= row.price_stop_loss if row.is_long else candle.high >= row.price_stop_loss:
            return self.cancel(row, average, minute, "price_reject")
        if candle.low <= row.price_open if row.is_long else candle.high >= row.price_open:
            return self.activate(row, average, minute, None)
        self.emit("schedule_ping", lambda: Ping(self.public(row, average), average, minute))
        self.callback("on_schedule_ping", lambda: (self.public(row, average), average, minute))
        self.announce_commits(minute)
        return None

    def activate(self, row: Row, average: float, minute: int, command: Deferred | None) -> Result:
        """The order is filled at its limit, by the market (7.2) or by the word of the user (7.3)."""
        price = row.price_open if command is None else average
        asked = {"position": row.position, "price_open": row.price_open, "id": row.id}
        if self.is_stopped or not self.is_risk_accepted(asked, price, minute):
            return self.cancel(row, average, minute, "user", Deferred(row, None, None))
        position = row.opened(minute, self.costs)
        return self.open(position, minute, average, tell_tick=False, activated=command)

    def cancel(
        self, row: Row, price: float, minute: int, reason: str, command: Deferred | None = None
    ) -> Result:
        """The order is dropped (13.2)."""
        self.set_scheduled(None)
        shown = self.public(row, price)
        self.emit("order_schedule", lambda: ScheduleEvent("cancelled", shown, price, minute, reason))
        if command is not None:
            self.announce("cancel-scheduled", row, price, minute, deferred=command)
        return self.cancelled(command, shown, price, minute, reason)

    def cancelled(
        self, command: Deferred | None, shown: Any, price: float, minute: int, reason: str
    ) -> Result:
        """The last words of a dropped order."""
        self.callback("on_cancel", lambda: (shown, price, minute))
        cancel_id = command.id if command else None
        return self.tell(
            Result(
                "cancelled",
                shown,
                price,
                minute,
                reason=reason,
                close_timestamp=minute,
                cancel_id=cancel_id,
            )
        )

    # an open position (8)

    def check_position(self, minute: int) -> Result | None:
        """The checks of one candle while a position is open, in their order (8.1)."""
        row = self.row_at_hand()
        average = self.market.average(minute)
        if minute > self.frame_end:
            return self.close(row, "time_expired", average, minute)
        executed = self.execute_close(minute, average)
        if executed is not None:
            return executed
        if minute - row.pending_at >= row.minute_estimated_time * MINUTE:
            return self.close(row, "time_expired", average, minute)
        target, stop = row.take_profit(), row.stop_loss()
        if average >= target if row.is_long else average <= target:
            return self.close(row, "take_profit", target, minute)
        if average <= stop if row.is_long else average >= stop:
            return self.close(row, "stop_loss", stop, minute)
        self.monitor(row, average, minute)
        self.announce_commits(minute)
        return None

    def execute_close(self, minute: int, average: float) -> Result | None:
        """What a command deferred: a user close, a confirmed target or a confirmed stop (8.1, 2-4)."""
        for command, reason in (
            (self.closed_cmd, "closed"),
            (self.tp_fill, "take_profit"),
            (self.sl_fill, "stop_loss"),
        ):
            if command is not None:
                levels = {"take_profit": command.row.take_profit(), "stop_loss": command.row.stop_loss()}
                return self.close(command.row, reason, levels.get(reason, average), minute, command)
        return None

    def close(
        self, row: Row, reason: str, price: float, minute: int, command: Deferred | None = None
    ) -> Result:
        """The position is gone (8.7). Without a command it is still there while its close is told."""
        if command is not None:
            self.set_pending(None)
            self.announce("close-pending", row, price, minute, deferred=command)
        shown = self.public(row, price)
        self.emit("signal_event", lambda: SignalEvent("closed", shown, price, minute, reason))
        self.callback("on_close", lambda: (shown, price, minute))
        if command is None:
            self.set_pending(None)
            self.callback("on_write", lambda: (None, price, minute))
        close_id = command.id if command else None
        return self.tell(
            Result(
                "closed",
                shown,
                price,
                minute,
                close_reason=reason,
                close_timestamp=minute,
                close_id=close_id,
                pnl=shown.pnl,
            )
        )

    def monitor(self, row: Row, average: float, minute: int) -> None:
        """A candle that closes nothing (8.2). Side and progress are settled before the ping."""
        entry = row.effective_open()
        gained = average - entry if row.is_long else entry - average
        if gained > 0:
            way = row.take_profit() - entry if row.is_long else entry - row.take_profit()
            progress = progress_percent(gained, way)
            self.update_peak(row, average, minute)
            self.ping(row, average, minute)
            self.tell_breakeven(row, average, minute)
            self.tell_levels("partial_profit", row, row.profit_levels, progress, average, minute)
            self.callback("on_partial_profit", lambda: (self.public(row, average), progress, average, minute))
        elif gained < 0:
            way = entry - row.stop_loss() if row.is_long else row.stop_loss() - entry
            progress = progress_percent(abs(gained), way)
            self.update_fall(row, average, minute)
            self.ping(row, average, minute)
            self.tell_levels("partial_loss", row, row.loss_levels, progress, average, minute)
            self.callback("on_partial_loss", lambda: (self.public(row, average), progress, average, minute))
        else:
            self.ping(row, average, minute)

    def ping(self, row: Row, average: float, minute: int) -> None:
        """The position lives on."""
        self.emit("active_ping", lambda: Ping(self.public(row, average), average, minute))
        self.callback("on_active_ping", lambda: (self.public(row, average), average, minute))

    def update_peak(self, row: Row, average: float, minute: int) -> None:
        """A new best average counts against the best one, not against the entry (8.4)."""
        best = row.peak.price
        assert best is not None
        if average > best if row.is_long else average < best:
            row.peak = Extreme.of(average, minute, row.pnl(average, self.costs))
            self.tell_extreme("highest_profit", row, average, minute)

    def update_fall(self, row: Row, average: float, minute: int) -> None:
        """The mirror image of a new best average."""
        worst = row.fall.price
        assert worst is not None
        if average < worst if row.is_long else average > worst:
            row.fall = Extreme.of(average, minute, row.pnl(average, self.costs))
            self.tell_extreme("max_drawdown", row, average, minute)

    def tell_extreme(self, kind: str, row: Row, average: float, minute: int) -> None:
        """A new peak or fall."""
        self.callback("on_write", lambda: (self.public(row, average), average, minute))
        self.emit(kind, lambda: NewExtreme(self.public(row, average), average, minute))

    def tell_breakeven(self, row: Row, average: float, minute: int) -> None:
        """Once per position: the price pays for the round trip and the margin (8.6)."""
        if not row.breakeven_reached and self.breakeven_reached(row, average):
            row.breakeven_reached = True
            self.emit("breakeven", lambda: Ping(self.public(row, average), average, minute))
            self.callback("on_breakeven", lambda: (self.public(row, average), average, minute))

    def tell_levels(
        self, kind: str, row: Row, reached: set[int], progress: float, average: float, minute: int
    ) -> None:
        """Each level once per position, from low to high, all with the row as before the first (8.3)."""
        new = [level for level in LEVELS if progress >= level and level not in reached]
        if not new:
            return
        shown = self.public(row, average)
        for level in new:
            reached.add(level)
            self.emit(kind, lambda level=level: Ping(shown, average, minute, level))  # type: ignore[misc]

    def announce_commits(self, when: int) -> None:
        """The commands of this candle, told at its end; without a row to tell of they are dropped (8.5)."""
        queue, self.commit_queue = self.commit_queue, []
        row = self.pending or (self.closed_cmd.row if self.closed_cmd else None)
        if row is None:
            return
        for element in queue:
            self.announce(element.action, row, element.current_price, when, queued=element)


def opened_for_ever(row: Row) -> bool:
    """An open position without an end."""
    return not row.is_scheduled and row.minute_estimated_time == math.inf


def progress_percent(gone: float, way: float) -> float:
    """How much of the ``way`` to a level is gone, 0 .. 100."""
    if way <= 0:
        return 100.0
    return min(max((gone / way) * 100, 0.0), 100.0)


def run(
    candles: Iterable[Sequence[float]] | Market,
    *,
    frame: tuple[str, int, int],
    get_signal: GetSignal | None = None,
    config: Mapping[str, Any] | None = None,
    strategy_interval: str = "1m",
    listeners: "Listeners | None" = None,
    symbol: str = "BTCUSDT",
    risk: RiskCheck | None = None,
) -> Outcome:
    """Run a strategy and record what came out, as the golden records do; arguments as in ``Engine``."""
    recorder = Recorder()
    heard: dict[str, list[Listener]] = {kind: [listener] for kind, listener in recorder.listeners().items()}
    for kind, own in (listeners or {}).items():
        heard.setdefault(kind, []).extend([own] if callable(own) else own)
    engine = Engine(
        candles,
        frame=frame,
        get_signal=get_signal,
        config=config,
        strategy_interval=strategy_interval,
        listeners=heard,
        symbol=symbol,
        risk=risk,
    )
    results = engine.run()
    return Outcome(
        results=[recorder.result(result) for result in results],
        events=recorder.events,
        active_pings=recorder.active_pings,
        schedule_pings=recorder.schedule_pings,
        idle_pings=recorder.idle_pings,
        signal_event_counts=recorder.signal_event_counts,
        error_count=recorder.error_count,
    )
