"""One run of one market: its tables, its state, and the handle by which a caller moves it on."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from bkcore.errors import BkError
from bkcore.intervals import MINUTE_MS
from bkcore.jit import direct
from bkcore.machine.codes import Command, Listen, Phase, Wake
from bkcore.machine.entry_points import (
    advance_at,
    candidate_terms,
    execute_command,
    slot_violations,
    would_grant,
)
from bkcore.machine.fills.decisions import decide
from bkcore.machine.hooks import MEMORY_SIZE, MOST_ORDERS, address_of, no_memory
from bkcore.machine.market import Market
from bkcore.machine.policy import no_policy
from bkcore.machine.record_views import StateView, bytes_of
from bkcore.machine.records import (
    COMMIT,
    DECISION,
    ENTRY,
    EVENT,
    NO_BUCKET,
    PARTIAL,
    POSITION,
    REVISION,
    SIGNAL,
    STATE,
)
from bkcore.machine.settings import EngineSettings
from bkcore.machine.tables import Tables, tables_of

Records = NDArray[np.void]
Driver = Literal["skip", "run", "step"]

_advance = direct(advance_at)
_candidate_terms = direct(candidate_terms)
_execute_command = direct(execute_command)
_slot_violations = direct(slot_violations)
_would_grant = direct(would_grant)
_ROOM = 64  # records that a table holds at least
_EXPECTED_TRADES = 4096
_EVENTS_PER_TRADE = 64  # room that is not used costs nothing
_WAKES = {int(wake): wake for wake in Wake}
_GROW = int(Wake.GROW)
#: Commands of listeners that wait for the next open at real prices.
MOST_WAITING = 24
_NO_ID = -2  # no signal has opened yet; -1 is a signal without an id


@dataclass(frozen=True, slots=True)
class Frame:
    """Ticks of a run: ``start_ms + k * step_ms`` for ``k`` in ``[0, count)``, UTC ms (spec engine.md 4.1)."""

    start_ms: int
    step_ms: int
    count: int

    @classmethod
    def between(cls, start_ms: int, end_ms: int, step_ms: int, *, base_ms: int = MINUTE_MS) -> Frame:
        """Ticks from the candle of ``start_ms`` up to and including ``end_ms``; none when the end lies before.

        ``base_ms`` is the length of a candle.
        """
        start = start_ms // base_ms * base_ms
        return cls(start, step_ms, max(0, (end_ms - start) // step_ms + 1))

    @property
    def end_ms(self) -> int:
        """The last tick: a position lives at most one candle longer (spec engine.md 4.4)."""
        return self.start_ms + (self.count - 1) * self.step_ms


@dataclass(frozen=True, slots=True)
class Hooks:
    """Jitted functions of a strategy, and what they are given.

    kernel, manage   dispatchers of :func:`bkcore.machine.hooks.compile_hook`, or None
    parameters       f8[p]
    """

    kernel: Any = None
    manage: Any = None
    parameters: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))


_NO_HOOKS = Hooks()


class HookAnswerError(BkError, ValueError):
    """Raised by a run whose ``manage`` function writes ``orders[0, 0] = 99``: there is no such command."""


class Run:
    """State and tables of one backtest. Tables grow on demand and hold only what has happened.

    signals    ``SIGNAL`` records by time
    policy     one ``POLICY`` record, or None
    hooks      a jitted strategy, a jitted manager, or none of both
    listen     ``Listen`` bits: where :meth:`advance` returns; 0 runs to the end in one call
    driver     ``skip`` jumps over quiet candles, ``run`` visits each, ``step`` returns at each
    logs       False leaves out the event log; trades are the same
    now        its state as it is at this moment, a Python number per field of ``STATE``; may be written to
    has_callback   the caller is asked for signals: at ``Wake.GET_SIGNAL`` it fills ``slot`` and sets ``candidate``
    is_guarded   the caller is asked what may open: at ``Wake.CANDIDATE`` and ``Wake.ACTIVATION`` it sets ``is_refused``
    """

    __slots__ = (
        "_columns",
        "_events",
        "_first_row",
        "_hooks",
        "_memory",
        "_orders",
        "_policy",
        "_price_has_holes",
        "_prices",
        "_scratch",
        "_start",
        "_state_bytes",
        "_trades",
        "commits",
        "decisions",
        "entries",
        "market",
        "now",
        "partials",
        "revisions",
        "series",
        "settings",
        "signals",
        "slot",
        "state",
        "tables",
    )

    def __init__(
        self,
        market: Market,
        settings: EngineSettings,
        frame: Frame,
        signals: Records,
        *,
        interval_ms: int = MINUTE_MS,
        listen: int = 0,
        driver: Driver = "skip",
        logs: bool = True,
        has_callback: bool = False,
        is_guarded: bool = False,
        policy: Records | None = None,
        hooks: Hooks = _NO_HOOKS,
        asks_in_position: bool = False,
    ) -> None:
        self.market = market
        self.settings = settings.record()
        self.series = market.prices(settings)
        self._prices = self.series.values
        self._price_has_holes = market.has_holes and self._prices is not market.close
        self._policy = no_policy() if policy is None else policy
        self._hooks = hooks
        self._memory = no_memory()
        self._orders = np.zeros((MOST_WAITING + MOST_ORDERS, 2))
        self._columns = (
            *(market.timestamps, market.open, market.high, market.low, market.close, market.volume),
            *(*self.series, self.settings, self._policy),
            *(hooks.parameters, self._memory, self._orders.reshape(-1)),
        )
        self.signals = signals
        self.slot = np.zeros(1, SIGNAL)
        self.decisions = np.zeros(0, DECISION)
        self._scratch = np.zeros(1, POSITION)
        self.state = np.zeros(1, STATE)
        self._state_bytes = bytes_of(self.state)
        self.now: Any = StateView.from_buffer(self._state_bytes)
        state = self.now
        state.frame_start, state.frame_step, state.frame_count = frame.start_ms, frame.step_ms, frame.count
        state.frame_end = frame.end_ms
        state.interval = interval_ms
        state.last_bucket = NO_BUCKET
        state.last_opened_id = _NO_ID
        state.candidate = -1
        state.current = -1
        state.has_holes = market.has_holes
        state.skips = driver == "skip"
        state.logs = logs
        state.has_callback = has_callback
        state.is_guarded = is_guarded
        state.has_policy = policy is not None
        state.asks_in_position = asks_in_position
        if settings.at_real_prices:
            self._decide(settings, frame)
        for name in ("kernel", "manage"):
            hook = getattr(hooks, name)
            setattr(state, f"{name}_address", 0 if hook is None else address_of(hook))
        self.set_bracket()
        self.listen(listen | (_STEP if driver == "step" else 0))
        self._start = bytes(self._state_bytes)
        expected = min(signals.size, frame.count, _EXPECTED_TRADES) + _ROOM
        self._trades = np.zeros(expected, POSITION)
        self.entries = np.zeros(expected, ENTRY)
        self.revisions = np.zeros(expected, REVISION)
        self.partials = np.zeros(_ROOM, PARTIAL)
        self.commits = np.zeros(_ROOM, COMMIT)
        self._events = np.empty(_EVENTS_PER_TRADE * expected if logs else _ROOM, EVENT)
        self.tables = self._tables()

    def _decide(self, settings: EngineSettings, frame: Frame) -> None:
        """Stand before the first candle of the frame, and say which row of the signals speaks at which one."""
        state, timestamps = self.now, self.market.timestamps
        first, end = np.searchsorted(timestamps, (frame.start_ms, frame.end_ms + 1))
        if settings.fill == "last_close":
            first = max(first, 1)  # before the first candle nothing is known
        state.phase = Phase.NEXT_CANDLE
        self._first_row = int(first)
        state.row, state.end_row = self._first_row, int(end)
        state.free_from = np.iinfo(np.int64).min
        self.decisions, state.wanted = self._decided()
        state.has_decisions = self.decisions.size > 0

    def _decided(self) -> tuple[Records, int]:
        """What the rows of the signals decide before the first candle, and how many ask for an entry."""
        state = self.now
        return decide(
            self.market.timestamps,
            self.signals,
            step_ms=int(self.settings["step_ms"][0]),
            first_ms=state.frame_start,
            last_ms=state.frame_end,
            first_row=self._first_row,
            on_opposite=int(self._policy["on_opposite"][0]),
        )

    def _tables(self) -> Tables:
        return tables_of(
            (
                *self._columns,
                *(self.signals, self.decisions, self.slot, self._scratch, self.state),
                *(self._trades, self.entries, self.partials, self.revisions, self.commits, self._events),
            )
        )

    def restart(self) -> None:
        """Forget what has happened and stand before the first tick again; tables keep their room."""
        self._state_bytes[:] = self._start
        self._memory[:] = 0.0

    def set_bracket(
        self,
        *,
        take_profit_percent: float = np.nan,
        stop_loss_percent: float = np.nan,
        lifetime_minutes: float = np.nan,
    ) -> None:
        """Replace the bracket of every signal; NaN leaves the signal's own.

        Levels that a signal gives as prices stay: by average prices both are prices or none is, at real prices each
        level counts by itself, and one that is not given is replaced, too.
        """
        state = self.now
        state.take_profit = take_profit_percent / 100.0
        state.stop_loss = stop_loss_percent / 100.0
        state.lifetime = lifetime_minutes

    def set_policy(self, record: Records) -> None:
        """Replace the policy of a run that was made with one, before its first tick or before :meth:`restart`."""
        turns = self._policy["on_opposite"] != record["on_opposite"]
        self._policy[:] = record
        if self.decisions.size and turns.any():
            self.decisions[:] = self._decided()[0]  # whom a row of the other side concerns

    def set_parameters(self, values: NDArray[np.float64]) -> None:
        """Replace the numbers that jitted functions are given."""
        self._hooks.parameters[:] = values

    def listen(self, bits: int) -> None:
        """Choose anew where :meth:`advance` returns."""
        self.now.listen = bits

    def advance(self) -> Wake:
        """Move on to the next thing that the caller has to do; tables are enlarged on the way."""
        while True:
            wake = _advance(self.tables.addresses)
            if wake != _GROW:
                return _WAKES[wake]
            self._grow()

    def finish(self) -> Run:
        """Run to the end; for runs that need no answers. Where candles run out, see :attr:`out_of_candles`."""
        while (wake := self.advance()) not in (Wake.DONE, Wake.OUT_OF_CANDLES):
            if wake is Wake.RAISED:
                raise RuntimeError("a jitted function of the strategy raised")
        return self

    @property
    def when(self) -> int:
        """The moment of the tick or candle at which the run stands, ms UTC."""
        state = self.now
        if state.phase >= Phase.NEXT_CANDLE:
            return int(state.tick_time) + self.moment_delay
        if state.phase <= Phase.ENTRY:
            return int(state.tick_time)
        return int(self.market.timestamps[min(state.row, len(self.market) - 1)])

    @property
    def at_real_prices(self) -> bool:
        """Whether fills happen at prices that the candles had (spec fills.md)."""
        return bool(self.now.phase >= Phase.NEXT_CANDLE)

    @property
    def moment_delay(self) -> int:
        """Ms from the opening of the candle at hand to now: at real prices listeners see it when it has closed."""
        return int(self.settings["step_ms"][0]) if self.now.phase >= Phase.CANDLE_END else 0

    def raised(self) -> Exception:
        """The error of the jitted function that made :meth:`advance` return ``Wake.RAISED``.

        It is called again with what it was given, and what it does to that is forgotten.
        """
        state = self.now
        asked = state.phase in (Phase.ROUTE, Phase.HELD, Phase.ANSWERED)
        row = state.row + (state.phase >= Phase.CANDLE_END)
        market = self.market
        known = tuple(
            column[:row] for column in (market.open, market.high, market.low, market.close, market.volume)
        )
        values, parameters, memory = (
            self.series.values,
            self._hooks.parameters,
            self._memory[MEMORY_SIZE:].copy(),
        )
        try:
            if asked:
                signal = _nothing_yet(state.tick_time)
                self._hooks.kernel(state.tick_time, state.tick_price, *known, parameters, memory, signal)
            else:
                price = float(values[state.row])
                prices = (price, price if self.at_real_prices else self.known_price())
                position = self._trades[state.current].copy()
                orders = np.zeros((MOST_ORDERS, 2))
                count = self._hooks.manage(self.when, *prices, *known, position, parameters, memory, orders)
                if wrong := _wrong_orders(count, orders):
                    return wrong
        except Exception as error:  # noqa: BLE001 - the user's function may raise anything
            return error
        return RuntimeError(f"the {'kernel' if asked else 'manage'} function of the strategy raised once")

    def known_price(self) -> float:
        """The price that is known at the candle or tick where the run stands; NaN before the first tick."""
        row = self.now.row + (self.now.phase >= Phase.CANDLE_END)
        if row == 0:
            return np.nan
        if self._price_has_holes and row < len(self.market):
            row_time = int(self.market.timestamps[row])
            return self.market.price_known_at(row_time, int(self.settings["window"][0]))
        return self._prices.item(row - 1)

    def candidate_terms(self) -> tuple[float, float, float, float, float]:
        """Price of entry, take-profit, stop-loss, lifetime (minutes) and cost of the candidate that ``now`` names."""
        terms: tuple[float, float, float, float, float] = _candidate_terms(self.tables.addresses)
        return terms

    def order(self, command: Command, *, price: float, value: float, time: int) -> bool:
        """Grant or refuse a command on the open position (:func:`bkcore.machine.commands.execute`).

        At real prices it is judged at ``price`` and carried out at the next open (spec fills.md 3). There is room for
        ``MOST_WAITING`` commands a candle; what is beyond is refused.
        """
        if self.now.event_count + _ROOM > self._events.size or self._lacks_room():
            self._grow()
        if self.at_real_prices and command != Command.CLOSE:
            return self._keep_order(command, price=price, value=value, time=time)
        return bool(_execute_command(self.tables.addresses, command, price, value, time))

    def _keep_order(self, command: Command, *, price: float, value: float, time: int) -> bool:
        state = self.now
        full = state.command_count >= MOST_WAITING
        if full or not _would_grant(self.tables.addresses, command, price, value, time):
            return False
        self._orders[state.command_count] = command, value
        state.command_count += 1
        return True

    def violations_in_slot(self) -> int:
        """Bits of ``Violation`` of the signal in ``slot`` at real prices, at the price of the tick."""
        return int(_slot_violations(self.tables.addresses))

    def _lacks_room(self) -> bool:
        state = self.now
        return bool(
            state.entry_count + _ROOM // 2 > self.entries.size
            or state.partial_count + _ROOM // 2 > self.partials.size
            or state.revision_count + _ROOM // 2 > self.revisions.size
            or state.commit_count + _ROOM // 2 > self.commits.size
        )

    def _grow(self) -> None:
        """Double every table that is more than half full; slots before the counts are kept."""
        self._trades = _enlarged(self._trades, self.now.trade_count)
        self.entries = _enlarged(self.entries, self.now.entry_count)
        self.partials = _enlarged(self.partials, self.now.partial_count)
        self.revisions = _enlarged(self.revisions, self.now.revision_count)
        self.commits = _enlarged(self.commits, self.now.commit_count)
        self._events = _enlarged(self._events, self.now.event_count)
        self.tables = self._tables()

    def trim(self) -> None:
        """Give back most of the room that a run which has ended did not need."""
        now = self.now
        self._trades = _trimmed(self._trades, now.trade_count)
        self.entries = _trimmed(self.entries, now.entry_count)
        self.partials = _trimmed(self.partials, now.partial_count)
        self.revisions = _trimmed(self.revisions, now.revision_count)
        self.commits = _trimmed(self.commits, now.commit_count)
        self._events = _trimmed(self._events, now.event_count)
        self.tables = self._tables()

    @property
    def row_counts(self) -> dict[str, int]:
        """What became of the rows that asked for an entry at real prices (spec fills.md 4)."""
        if not self.at_real_prices:
            return {"taken": int(self.now.trade_count), "refused": int(self.now.rejected_count)}
        taken, refused = int(self.now.taken), int(self.now.refused)
        return {"taken": taken, "passed_over": int(self.now.wanted) - taken - refused, "refused": refused}

    @property
    def out_of_candles(self) -> bool:
        """Whether the run stands at a candle that the market does not have."""
        state = self.now
        return state.phase in (Phase.RESTING, Phase.EXIT) and state.row >= len(self.market)

    @property
    def trades(self) -> Records:
        """Every row that came to rest or opened so far, in order (``POSITION``)."""
        return self._trades[: self.now.trade_count]

    @property
    def events(self) -> Records:
        """The event log so far (``EVENT``)."""
        return self._events[: self.now.event_count]


_STEP = Listen.IDLE | Listen.ACTIVE_PING | Listen.SCHEDULE_PING | Listen.MONITORED


def _enlarged(table: Records, used: int) -> Records:
    if 2 * used < table.size - _ROOM:
        return table
    larger = np.zeros(2 * table.size, table.dtype)
    larger[:used] = table[:used]
    return larger


def _trimmed(table: Records, used: int) -> Records:
    needed = used + _ROOM
    return table if table.size <= 2 * needed else table[:needed].copy()


def _wrong_orders(count: int, orders: NDArray[np.float64]) -> Exception | None:
    """What is wrong with the answer of a ``manage`` hook, as the kernel judges it."""
    known = ", ".join(f"{command.name} ({command.value})" for command in Command)
    if not 0 <= count <= MOST_ORDERS:
        return HookAnswerError(
            f"the manage function answered {count} orders.", hint=f"return how many, from 0 to {MOST_ORDERS}."
        )
    for k, code in enumerate(orders[:count, 0].tolist()):
        if code not in list(Command):
            return HookAnswerError(
                f"the manage function wrote {code:g} as the command of order {k}.", hint=f"known: {known}."
            )
    return None


def _nothing_yet(time: int) -> Any:
    """A signal as a kernel finds it: nothing is filled in."""
    signal: Any = np.zeros(1, SIGNAL)[0]
    for name in SIGNAL.names or ():
        if SIGNAL[name] == np.float64:
            signal[name] = np.nan
    signal["time"], signal["id"] = time, -1
    return signal


def no_signals() -> Records:
    """An empty table of candidates."""
    return np.zeros(0, SIGNAL)
