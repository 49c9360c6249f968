"""What the small integers in records and arrays mean; ``CloseReason(code)`` brings the name back."""

from __future__ import annotations

from enum import IntEnum


class Side(IntEnum):
    """Direction of a signal; the sign of its profit when prices rise."""

    LONG = 1
    SHORT = -1
    UNKNOWN = 0


class Status(IntEnum):
    """Where a signal row is in its life."""

    RESTING = 0
    OPEN = 1
    CLOSED = 2
    CANCELLED = 3


class CloseReason(IntEnum):
    """Why a position closed (spec engine.md 1.6; from TRAILING_STOP on fills.md 7)."""

    NONE = 0
    TIME_EXPIRED = 1
    TAKE_PROFIT = 2
    STOP_LOSS = 3
    CLOSED = 4
    TRAILING_STOP = 5
    EXIT_SIGNAL = 6
    REVERSED = 7
    FRAME_END = 8
    LIQUIDATED = 9


class CancelReason(IntEnum):
    """Why a resting order was dropped (spec engine.md 1.6)."""

    NONE = 0
    TIMEOUT = 1
    PRICE_REJECT = 2
    USER = 3


class EventKind(IntEnum):
    """What a row of the event log tells."""

    SCHEDULED = 0
    OPENED = 1
    CLOSED = 2
    CANCELLED = 3
    ACTIVE = 4
    HIGHEST_PROFIT = 5
    MAX_DRAWDOWN = 6
    PARTIAL_PROFIT = 7
    PARTIAL_LOSS = 8
    BREAKEVEN = 9
    COMMIT = 10
    REJECTED = 11


class Deferred(IntEnum):
    """A command that waits for the next candle (spec engine.md 1.5, 8.1, 7.1)."""

    NONE = 0
    CLOSE = 1
    TAKE_PROFIT_FILL = 2
    STOP_LOSS_FILL = 3
    CANCEL = 4
    ACTIVATE = 5


class Command(IntEnum):
    """A change of the open position that is asked for by a user or a policy (spec engine.md 10.3 - 10.7)."""

    AVERAGE_BUY = 1
    PARTIAL_PROFIT = 2
    PARTIAL_LOSS = 3
    TRAILING_STOP = 4
    TRAILING_TAKE = 5
    BREAKEVEN = 6
    PARTIAL_PROFIT_COST = 7
    PARTIAL_LOSS_COST = 8
    TRAILING_STOP_COST = 9
    TRAILING_TAKE_COST = 10
    CLOSE = 11


class Commit(IntEnum):
    """What a commit event tells: a command that took effect, or the execution of a deferred one (spec 13.1)."""

    AVERAGE_BUY = 1
    PARTIAL_PROFIT = 2
    PARTIAL_LOSS = 3
    TRAILING_STOP = 4
    TRAILING_TAKE = 5
    BREAKEVEN = 6
    CLOSE_PENDING = 7
    CANCEL_SCHEDULED = 8
    ACTIVATE_SCHEDULED = 9


class Phase(IntEnum):
    """Where a suspended run continues: what each does stands in ``bkcore.machine.phases``, and from NEXT_CANDLE on,
    for real prices, in ``bkcore.machine.fills``.

    EXIT to LEVELS are the one order of checks of a candle (spec engine.md 8.1, 8.2): an exit by command, clock or
    level, the extreme, wake conditions, the ping, policy and hook, breakeven, levels.
    """

    TICK = 0
    ASK = 1
    ROUTE = 2
    CANDIDATE = 3
    IDLE = 4
    AFTER_IDLE = 5
    ENTRY = 6
    RESTING = 7
    ACTIVATION = 8
    AFTER_RESTING = 9
    EXIT = 10
    WAKE = 11
    PING = 12
    AFTER_PING = 13
    BREAKEVEN = 14
    LEVELS = 15
    MONITORED = 16
    SETTLED = 17
    COMMITS = 18
    NEXT = 19
    AFTER_TRADE = 20
    NEXT_CANDLE = 21
    ASK_HELD = 22
    HELD = 23
    ORDERED = 24
    FREE = 25
    ANSWERED = 26
    JUDGED = 27
    AT_REST = 28
    INSIDE = 29
    CANDLE_END = 30
    CANDLE_WAKE = 31
    CANDLE_PING = 32
    MANAGED = 33
    CANDLE_TOLD = 34
    CANDLE_DONE = 35
    FRAME_OVER = 36


class Wake(IntEnum):
    """Why ``advance`` returned to its caller; NONE while it goes on."""

    NONE = -1
    DONE = 0
    GET_SIGNAL = 1
    IDLE = 2
    ACTIVE_PING = 3
    SCHEDULE_PING = 4
    MONITORED = 5
    EVENTS = 6
    GROW = 7
    OUT_OF_CANDLES = 8
    TICK = 9
    WOKEN = 10
    RAISED = 11
    CANDIDATE = 12
    ACTIVATION = 13


class Listen(IntEnum):
    """Which wakes a caller asks for; a run without any is one kernel call."""

    IDLE = 1 << 0
    ACTIVE_PING = 1 << 1
    SCHEDULE_PING = 1 << 2
    MONITORED = 1 << 3  # the end of every monitored candle
    TICK = 1 << 4  # before every tick
    EVENTS = 1 << 8  # EVENTS << EventKind: when a row of that kind has been written


class Given(IntEnum):
    """Which optional fields a signal carries."""

    PRICE_OPEN = 1
    COST = 2
    LIFETIME = 4
    TAKE_PERCENT = 8  # the take-profit is a percent of the entry price
    FOREIGN_SYMBOL = 16  # the signal names another symbol
    NOTHING = 32  # the row says that there is no signal now
    STOP_PERCENT = 64  # the stop-loss is a percent of the entry price
    PERCENT_LEVELS = 72  # both
    TARGET = 128  # the side is the one to hold from now on


class Exits(IntEnum):
    """Which sides a signal closes (spec fills.md 4)."""

    LONG = 1
    SHORT = 2
    BOTH = 3


class OnOpposite(IntEnum):
    """What an entry does to a position of the other side (spec fills.md 5)."""

    IGNORE = 0
    CLOSE = 1
    REVERSE = 2


class OrderKind(IntEnum):
    """How a row entered (spec fills.md 2)."""

    MARKET = 0
    LIMIT = 1
    STOP = 2


class Fill(IntEnum):
    """The fill models (spec fills.md)."""

    VWAP = 0
    NEXT_OPEN = 1
    LAST_CLOSE = 2


class Sound(IntEnum):
    """For which sides the brackets of a sweep's combination are valid at whatever price (``machine.is_sound``)."""

    LONG = 1
    SHORT = 2


class Violation(IntEnum):
    """What is wrong with a signal (spec engine.md 6); ``signals.violation_lines`` speaks the sentences."""

    CURRENT_PRICE = 1 << 0
    POSITION = 1 << 1
    LONG_DISABLED = 1 << 2
    SHORT_DISABLED = 1 << 3
    PRICE_OPEN = 1 << 4
    TAKE_PROFIT = 1 << 5
    STOP_LOSS = 1 << 6
    TAKE_PROFIT_SIDE = 1 << 7
    STOP_LOSS_SIDE = 1 << 8
    TAKE_PROFIT_TOO_CLOSE = 1 << 9
    STOP_LOSS_TOO_CLOSE = 1 << 10
    STOP_LOSS_TOO_FAR = 1 << 11
    LIFETIME = 1 << 12
    LIFETIME_FRACTION = 1 << 13
    LIFETIME_INFINITE = 1 << 14
    LIFETIME_TOO_LONG = 1 << 15
    COST = 1 << 16
    WOULD_CLOSE_AT_TAKE_PROFIT = 1 << 17
    WOULD_CLOSE_AT_STOP_LOSS = 1 << 18
    SYMBOL = 1 << 19
    LIFETIME_STEP = 1 << 20
