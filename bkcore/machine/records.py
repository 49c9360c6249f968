"""How the state of a run lies in memory: one aligned record type per kind of row."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import from_dtype, types

_f, _i, _b = np.float64, np.int64, np.int8

#: A candidate, as ``get_signal`` or a row of a signal frame supplies it. Prices in quote currency, lifetime in
#: minutes (inf = no end), a level in percent where ``given`` says so; ``id`` is -1 when the signal has none. What
#: follows ``cost`` is read under the models of real prices alone (spec fills.md 4); there NaN is what was not given.
#: ``exits`` are bits of ``Exits``; ``side`` is the side to hold when ``Given.TARGET`` is set.
SIGNAL = np.dtype(
    [
        ("time", _i),
        ("id", _i),
        ("price_open", _f),
        ("take_profit", _f),
        ("stop_loss", _f),
        ("lifetime", _f),
        ("cost", _f),
        ("price_trigger", _f),
        ("size", _f),
        ("set_take_profit", _f),
        ("set_stop_loss", _f),
        ("trail_distance", _f),
        ("fee_percent", _f),
        ("side", _b),
        ("exits", _b),
        ("given", np.int16),
    ],
    align=True,
)

#: What a row of a signal frame decides at the open of candle ``row`` (spec fills.md 4): enter on ``side``, close the
#: sides in ``exits`` (bits of ``Exits``), treat a position of the other side by ``opposite`` (a code of
#: ``OnOpposite``), move levels (``sets``). ``next_*`` are the first decisions from this one on that a long position,
#: a short one, and nobody's position has to look at; the number of decisions where there is none.
DECISION = np.dtype(
    [
        ("row", _i),
        ("signal", np.int32),
        ("next_long", np.int32),
        ("next_short", np.int32),
        ("next_entry", np.int32),
        ("side", _b),
        ("exits", _b),
        ("opposite", _b),
        ("sets", _b),
    ],
    align=True,
)

#: One entry of a position: ``cost`` in quote currency, and the rates of the fill (``slippage`` is a fraction).
ENTRY = np.dtype(
    [("price", _f), ("cost", _f), ("time", _i), ("fee_percent", _f), ("slippage", _f)], align=True
)

#: One partial close; ``percent`` of the cost basis that was left, ``kind`` +1 profit / -1 loss. ``effective_open`` is
#: the effective entry at that moment, ``paid_open`` the same with slippage, and ``dollars`` the cost basis that was
#: closed; the rates are those of the fill.
PARTIAL = np.dtype(
    [
        ("effective_open", _f),
        ("paid_open", _f),
        ("fee_percent", _f),
        ("slippage", _f),
        ("dollars", _f),
        ("percent", _f),
        ("price", _f),
        ("basis", _f),
        ("entry_count", _i),
        ("time", _i),
        ("kind", _b),
    ],
    align=True,
)

_EXTREME = [
    ("price", _f),
    ("time", _i),
    ("pnl_percent", _f),
    ("pnl_cost", _f),
    ("invested", _f),
    ("price_open", _f),
    ("price_close", _f),
]


def _extreme(prefix: str) -> list[tuple[str, Any]]:
    return [(f"{prefix}_{name}", kind) for name, kind in _EXTREME]


#: A signal row from its creation to its end: resting order, position, finished trade (spec engine.md 1.2).
#: ``take_profit`` and ``stop_loss`` are the original levels, ``active_*`` those in force (trailed or not), ``given``
#: the bits of ``Given`` of the signal; ``effective_open``, ``invested``, ``remaining`` and ``closed_percent`` follow
#: from entries and partials (spec 9.2, 9.3) and are renewed when these change, like ``paid_open``, the effective entry
#: with slippage, and ``entry_fee``, the mean fee percent of the entries. An extreme is priced when somebody looks
#: (``price_extremes``).
#:
#: From ``take_share`` on: real prices alone (spec fills.md). ``take_share`` and ``stop_share`` are the levels of the
#: row where it gave percents, as fractions: of the fill, once there is one. ``given_take`` is the target without the
#: steps of a policy, ``active_take`` the nearer of the two; ``next_step_at`` (ms) is when that has to be looked at
#: again. ``best`` and ``worst`` are the prices that the rules of a policy go by. A missing level is NaN.
POSITION = np.dtype(
    [
        ("signal", _i),
        ("id", _i),
        ("revision", _i),
        ("scheduled_at", _i),
        ("pending_at", _i),
        ("ended_at", _i),
        ("entry_first", _i),
        ("entry_count", _i),
        ("partial_first", _i),
        ("partial_count", _i),
        ("price_open", _f),
        ("take_profit", _f),
        ("stop_loss", _f),
        ("active_take", _f),
        ("active_stop", _f),
        ("lifetime", _f),
        ("cost", _f),
        ("effective_open", _f),
        ("paid_open", _f),
        ("entry_fee", _f),
        ("entry_slippage", _f),
        ("taker_fee", _f),
        ("maker_fee", _f),
        ("invested", _f),
        ("remaining", _f),
        ("closed", _f),
        ("closed_percent", _f),
        ("end_price", _f),
        ("pnl_percent", _f),
        ("pnl_cost", _f),
        *_extreme("peak"),
        *_extreme("fall"),
        ("take_share", _f),
        ("stop_share", _f),
        ("given_take", _f),
        ("best", _f),
        ("worst", _f),
        ("trail_distance", _f),
        ("size", _f),
        ("next_step_at", _i),
        ("side", _b),
        ("status", _b),
        ("reason", _b),
        ("was_scheduled", _b),
        ("by_command", _b),
        ("profit_level", _b),
        ("loss_level", _b),
        ("breakeven_reached", _b),
        ("trails_take", _b),
        ("trails_stop", _b),
        ("peak_unpriced", _b),
        ("fall_unpriced", _b),
        ("profit_rules_done", _b),
        ("loss_rules_done", _b),
        ("breakeven_rule_done", _b),
        ("at_real_prices", _b),
        ("rates_differ", _b),
        ("order_kind", _b),
        ("stop_reason", _b),
        ("given", np.int16),
    ],
    align=True,
)

#: How a position looked between two changes of it; events refer to the revision that was in force.
REVISION = np.dtype(
    [
        ("effective_open", _f),
        ("paid_open", _f),
        ("entry_fee", _f),
        ("take_profit", _f),
        ("stop_loss", _f),
        ("invested", _f),
        ("closed_percent", _f),
        ("trade", np.int32),
        ("entry_count", np.int32),
        ("partial_count", np.int32),
    ],
    align=True,
)

#: A commit (``codes.Commit``): announced in the order of this table, so that the k-th commit event of the log tells
#: of row k. ``value`` is the cost, percent or shift of a command.
COMMIT = np.dtype([("price", _f), ("value", _f), ("code", _b)], align=True)

#: A row of the event log: what happened when, at which price, to which revision of which trade. ``code`` is the
#: level or the reason. A rejected candidate has its signal row in ``revision``.
EVENT = np.dtype(
    [("time", _i), ("price", _f), ("revision", np.int32), ("kind", _b), ("code", _b)],
    align=True,
)

#: Everything a run needs to continue where it stopped. Times in ms, rows are candle indices, -1 = none.
STATE = np.dtype(
    [
        ("phase", _i),
        ("frame_start", _i),
        ("frame_step", _i),
        ("frame_count", _i),
        ("frame_index", _i),
        ("frame_end", _i),
        ("interval", _i),
        ("last_bucket", _i),
        ("last_opened_id", _i),
        ("tick_time", _i),
        ("signal_cursor", _i),
        ("candidate", _i),
        ("current", _i),
        ("row", _i),
        ("until_row", _i),
        ("chunk_end", _i),
        ("trade_count", _i),
        ("entry_count", _i),
        ("partial_count", _i),
        ("event_count", _i),
        ("revision_count", _i),
        ("commit_count", _i),
        ("commit_told", _i),
        ("commit_due", _i),
        ("listen", _i),
        ("kernel_address", _i),
        ("manage_address", _i),
        ("wake_at", _i),
        ("rejected_count", _i),
        ("violations", _i),
        ("tick_price", _f),
        ("progress", _f),
        ("take_profit", _f),
        ("stop_loss", _f),
        ("lifetime", _f),
        ("wake_above", _f),
        ("wake_below", _f),
        ("wake_pnl_above", _f),
        ("wake_pnl_below", _f),
        ("pending", _b),
        ("scheduled", _b),
        ("deferred", _b),
        ("has_holes", _b),
        ("is_stopped", _b),
        ("is_paused", _b),
        ("has_callback", _b),
        ("has_queued", _b),
        ("has_policy", _b),
        ("has_wake", _b),
        ("is_guarded", _b),
        ("is_refused", _b),
        ("skips", _b),
        ("logs", _b),
        ("branch", _b),
        ("sound", _b),
        # What follows is used under the models of real prices alone (spec fills.md).
        ("end_row", _i),
        ("decision", _i),
        ("free_from", _i),
        ("wanted", _i),
        ("taken", _i),
        ("refused", _i),
        ("command_count", _i),
        ("target", _b),
        ("wish_side", _b),
        ("wish_exits", _b),
        ("wish_opposite", _b),
        ("has_asked", _b),
        ("has_decisions", _b),
        ("asks_in_position", _b),
        ("filled_inside", _b),
        ("gap_waits", _b),
    ],
    align=True,
)

#: ``state.candidate`` of a signal that lies in the slot: what ``get_signal``, a kernel or the user gave.
FROM_SLOT = -2

#: ``state.has_wake`` of conditions that the machine has not seen yet.
NEW_WAKE = 2

#: No bucket has been asked yet, or the throttle was reset.
NO_BUCKET = np.iinfo(np.int64).min


#: Room that a table of a run keeps for what one candle may add to it. At real prices an open may carry out 32 commands
#: and fill ten partial closes, and a candle may fill ten more, fire nine levels on either side and move levels.
EVENTS_PER_CANDLE = 64
ROWS_PER_CANDLE = 64


class RunTables(NamedTuple):
    """The tables of a run that fill up, each with room for more than the state has counted.

    trades : POSITION, entries : ENTRY, partials : PARTIAL, revisions : REVISION, commits : COMMIT, events : EVENT

    Where nobody asks what was, revisions and events may be empty, and commits of one row.
    """

    trades: Any
    entries: Any
    partials: Any
    revisions: Any
    commits: Any
    events: Any


class Plan(NamedTuple):
    """What a strategy has said before a run begins.

    settings, policy    a record each of ``SETTINGS`` and ``POLICY``
    signals : SIGNAL    its candidates by time
    decisions : DECISION   what they decide at which candle; at real prices alone
    parameters : f8[p]  numbers for its jitted functions
    """

    settings: Any
    policy: Any
    signals: Any
    decisions: Any
    parameters: Any


class Scratch(NamedTuple):
    """What a run and its jitted functions write on.

    slot : SIGNAL[1]         the answer to ``Wake.GET_SIGNAL``, or of a kernel, with ``candidate = FROM_SLOT``
    position : POSITION[1]   the copy of the position that a hook looks at
    memory : f8[2 * 64]      what hooks remember, and what they remembered before the last call
    orders : f8[8, 2]        what a hook orders: command and value
    """

    slot: Any
    position: Any
    memory: Any
    orders: Any


def array_of(dtype: np.dtype[Any]) -> Any:
    """Numba type of a writable one-dimensional array of ``dtype`` records."""
    return types.Array(from_dtype(dtype), 1, "C")
