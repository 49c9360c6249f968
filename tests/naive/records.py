"""What was heard, in the shapes of the golden records: rows, results and events as plain dicts.

Everything is read by attribute name, so the same recorder listens to the slow twin and to the product.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any

ROW_FIELDS = (
    "id",
    "position",
    "note",
    "cost",
    "price_open",
    "price_take_profit",
    "price_stop_loss",
    "original_price_open",
    "original_price_take_profit",
    "original_price_stop_loss",
    "minute_estimated_time",
    "scheduled_at",
    "pending_at",
    "timestamp",
    "total_entries",
    "total_partials",
    "partial_executed",
)
PNL_FIELDS = ("pnl_percentage", "price_open", "price_close", "pnl_cost", "pnl_entries")
EXTREME_FIELDS = (*PNL_FIELDS, "price", "timestamp")
ENTRY_FIELDS = ("price", "cost", "timestamp")
PARTIAL_FIELDS = (
    "type",
    "percent",
    "current_price",
    "cost_basis_at_close",
    "entry_count_at_close",
    "timestamp",
)
LEVELS_OF_COMMIT = ("price_open", "price_take_profit", "price_stop_loss")
COMMIT_FIELDS = {
    "cancel-scheduled": ("cancel_id",),
    "close-pending": ("close_id",),
    "activate-scheduled": (*LEVELS_OF_COMMIT, "activate_id"),
    "average-buy": ("cost", "effective_price_open", *LEVELS_OF_COMMIT),
    "partial-profit": ("percent_to_close", *LEVELS_OF_COMMIT),
    "partial-loss": ("percent_to_close", *LEVELS_OF_COMMIT),
    "trailing-stop": ("percent_shift", *LEVELS_OF_COMMIT),
    "trailing-take": ("percent_shift", *LEVELS_OF_COMMIT),
    "breakeven": LEVELS_OF_COMMIT,
}
"""What a commit of each action says beyond action, time, id, price, PnL and counts."""

LEVEL_KINDS = ("partial_profit", "partial_loss")


def read(thing: Any, name: str) -> Any:
    """Field ``name`` of an object or a mapping; AttributeError or KeyError when it has none."""
    return thing[name] if isinstance(thing, dict) else getattr(thing, name)


def optional(thing: Any, name: str) -> Any:
    """Field ``name``, or None where there is none."""
    return thing.get(name) if isinstance(thing, dict) else getattr(thing, name, None)


def plain(value: Any) -> Any:
    """A scalar as the golden files write it: NaN is null, infinities are words, codes are their values."""
    if isinstance(value, float):
        if math.isnan(value):
            return None
        if math.isinf(value):
            return "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, str) and type(value) is not str:
        return str(getattr(value, "value", value))
    return value


def fields(thing: Any, names: tuple[str, ...]) -> dict[str, Any]:
    """The named fields of a record."""
    return {name: plain(read(thing, name)) for name in names}


def extreme_record(extreme: Any) -> dict[str, Any]:
    """A peak or fall; one that never was has neither price nor time."""
    return {
        **fields(extreme, PNL_FIELDS),
        "price": plain(optional(extreme, "price")),
        "timestamp": optional(extreme, "timestamp"),
    }


def row_record(row: Any) -> dict[str, Any]:
    """A public row."""
    return {
        **fields(row, ROW_FIELDS),
        "pnl": fields(read(row, "pnl"), PNL_FIELDS),
        "peak_profit": extreme_record(read(row, "peak_profit")),
        "max_drawdown": extreme_record(read(row, "max_drawdown")),
        "entries": [fields(entry, ENTRY_FIELDS) for entry in read(row, "entries")],
        "partials": [fields(partial, PARTIAL_FIELDS) for partial in read(row, "partials")],
    }


def result_record(result: Any) -> dict[str, Any]:
    """A yielded result."""
    action = plain(read(result, "action"))
    record = {
        "action": action,
        **fields(result, ("created_at", "current_price")),
        "signal": row_record(read(result, "signal")),
    }
    if action == "closed":
        record |= fields(result, ("close_reason", "close_timestamp"))
        record["close_id"] = optional(result, "close_id")
        record["pnl"] = fields(read(result, "pnl"), PNL_FIELDS)
    if action == "cancelled":
        record |= fields(result, ("reason", "close_timestamp"))
        record["cancel_id"] = optional(result, "cancel_id")
    return record


def answer_record(value: Any) -> Any:
    """What a getter answered: a scalar, a list, a row, or a record of entries, partials or levels."""
    if value is None or isinstance(value, str | bool | int | float):
        return plain(value)
    if isinstance(value, list | tuple):
        return [answer_record(item) for item in value]
    if isinstance(value, Mapping):
        return {name: answer_record(item) for name, item in value.items()}
    if hasattr(value, "original_price_open"):
        return row_record(value)
    return fields(value, PARTIAL_FIELDS if hasattr(value, "percent") else ENTRY_FIELDS)


class Recorder:
    """Hears every kind of event and keeps it as the golden records do."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self.active_pings: list[dict[str, Any]] = []
        self.schedule_pings: list[dict[str, Any]] = []
        self.idle_pings: dict[str, Any] = new_count()
        self.signal_event_counts: dict[str, int] = {}
        self.error_count = 0

    def listeners(self) -> dict[str, Callable[[Any, Any], None]]:
        """A listener ``(engine, event)`` for every kind."""

        def listener(kind: str) -> Callable[[Any, Any], None]:
            return lambda engine, event: self.hear(kind, event)

        return {kind: listener(kind) for kind in self.kinds()}

    def kinds(self) -> list[str]:
        """The kinds it hears."""
        return [name.removeprefix("hear_") for name in dir(self) if name.startswith("hear_")]

    def hear(self, kind: str, event: Any) -> None:
        """Keep one event."""
        getattr(self, f"hear_{kind}")(event)

    def result(self, result: Any) -> dict[str, Any]:
        """A yielded result."""
        return result_record(result)

    def hear_signal(self, result: Any) -> None:
        """A tick result; idle ones are only counted."""
        action = plain(read(result, "action"))
        self.signal_event_counts[action] = self.signal_event_counts.get(action, 0) + 1
        if action != "idle":
            self.keep(
                "signal",
                action=action,
                t=read(result, "created_at"),
                id=read(read(result, "signal"), "id"),
                price=read(result, "current_price"),
            )

    def hear_signal_event(self, event: Any) -> None:
        """Opened or closed."""
        self._keep_change("signal_event", event, "close_reason")

    def hear_order_schedule(self, event: Any) -> None:
        """Scheduled or cancelled."""
        self._keep_change("order_schedule", event, "reason")

    def _keep_change(self, kind: str, event: Any, reason: str) -> None:
        self.keep(
            kind,
            action=plain(read(event, "action")),
            t=read(event, "timestamp"),
            id=read(read(event, "data"), "id"),
            price=read(event, "current_price"),
            reason=plain(optional(event, reason)),
        )

    def hear_highest_profit(self, event: Any) -> None:
        """A new peak."""
        self._keep_extreme("highest_profit", "peak_profit", event)

    def hear_max_drawdown(self, event: Any) -> None:
        """A new fall."""
        self._keep_extreme("max_drawdown", "max_drawdown", event)

    def _keep_extreme(self, kind: str, extreme: str, event: Any) -> None:
        signal = read(event, "signal")
        self.keep(
            kind,
            t=read(event, "timestamp"),
            id=read(signal, "id"),
            price=read(event, "current_price"),
            pnl=read(read(signal, extreme), "pnl_percentage"),
        )

    def hear_partial_profit(self, event: Any) -> None:
        """A level towards the target."""
        self._keep_level("partial_profit", event)

    def hear_partial_loss(self, event: Any) -> None:
        """A level towards the stop."""
        self._keep_level("partial_loss", event)

    def _keep_level(self, kind: str, event: Any) -> None:
        self.keep(
            kind,
            t=read(event, "timestamp"),
            id=read(read(event, "data"), "id"),
            level=read(event, "level"),
            price=read(event, "current_price"),
        )

    def hear_breakeven(self, event: Any) -> None:
        """The breakeven threshold."""
        self.keep(
            "breakeven",
            t=read(event, "timestamp"),
            id=read(read(event, "data"), "id"),
            price=read(event, "current_price"),
        )

    def hear_commit(self, event: Any) -> None:
        """A command that was executed; ids that were not given are left out."""
        action = plain(read(event, "action"))
        details = {name: plain(optional(event, name)) for name in COMMIT_FIELDS.get(action, ())}
        self.keep(
            "commit",
            action=action,
            t=read(event, "timestamp"),
            id=read(event, "signal_id"),
            price=optional(event, "current_price"),
            pnl=read(read(event, "pnl"), "pnl_percentage"),
            entries=read(event, "total_entries"),
            partials=read(event, "total_partials"),
            **{
                name: value
                for name, value in details.items()
                if value is not None or not name.endswith("_id")
            },
        )

    def hear_pause(self, event: Any) -> None:
        """Paused or resumed."""
        self.keep("pause", t=read(event, "timestamp"), paused=read(event, "paused"))

    def hear_error(self, error: Any) -> None:
        """An error; its words are nobody's contract."""
        self.error_count += 1
        self.keep("error", message=str(error))

    def hear_active_ping(self, event: Any) -> None:
        """A minute of an open position."""
        count_ping(self.active_pings, event)

    def hear_schedule_ping(self, event: Any) -> None:
        """A minute of a resting order."""
        count_ping(self.schedule_pings, event)

    def hear_idle_ping(self, event: Any) -> None:
        """A tick without anything."""
        count(self.idle_pings, read(event, "timestamp"), read(event, "current_price"))

    def keep(self, kind: str, /, **said: Any) -> None:
        """Append an event."""
        self.events.append({"e": kind, **{name: plain(value) for name, value in said.items()}})


def new_count() -> dict[str, Any]:
    """Nothing counted yet."""
    return {"count": 0, "first": None, "last": None, "price_sum": 0}


def count(run: dict[str, Any], when: int, price: float) -> None:
    """Count one more call; the prices add up from left to right."""
    run["first"] = when if run["count"] == 0 else run["first"]
    run["last"] = when
    run["count"] += 1
    run["price_sum"] += price


def count_ping(runs: list[dict[str, Any]], event: Any) -> None:
    """Count a ping in the run of its signal; neighbours with one id share a run."""
    identity = read(read(event, "data"), "id")
    if not runs or runs[-1]["id"] != identity:
        runs.append({"id": identity, **new_count()})
    count(runs[-1], read(event, "timestamp"), read(event, "current_price"))
