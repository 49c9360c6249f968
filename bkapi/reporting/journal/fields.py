"""Which fields does a report service write about an event? By kind and action, as data (spec reports.md 12).

A line names fields; ``name=path`` reads a field from elsewhere, ``name!`` writes it even when it is None, ``@GROUP``
stands for a group. Fields that are not set are left out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from bkapi.base.context import get_context_timestamp
from bkapi.base.deferred import pl
from bkapi.base.record import Record
from bkapi.reporting.cells import iso
from bkapi.reporting.closed_trades import ClosedTrades
from bkapi.reporting.paths import read, reader, step
from bkapi.reporting.rows import minutes_between, never_rested

_PRICE_NAMES: Final = (
    "price_open price_take_profit price_stop_loss original_price_take_profit original_price_stop_loss"
)


def _in(prefix: str, names: str) -> str:
    return " ".join(f"{name}={prefix}{name}" for name in names.split())


def _extreme(name: str, owner: str) -> str:
    pairs = (
        ("percentage", "pnl_percentage"),
        ("cost", "pnl_cost"),
        ("entries", "pnl_entries"),
        ("price_open", "price_open"),
        ("price_close", "price_close"),
    )
    return " ".join(f"{name}_{field}={owner}{name}.{path}" for field, path in pairs)


def _extremes(owner: str) -> str:
    return f"{_extreme('peak_profit', owner)} {_extreme('max_drawdown', owner)}"


def _pnl(first: str, owner: str) -> str:
    return (
        f"{first}={owner}pnl.pnl_percentage pnl_cost={owner}pnl.pnl_cost pnl_entries={owner}pnl.pnl_entries "
        f"pnl_price_open={owner}pnl.price_open pnl_price_close={owner}pnl.price_close"
    )


_CTX: Final = "symbol strategy_name exchange_name frame_name backtest"
_SIG: Final = "signal_id=signal.id " + _in(
    "signal.",
    f"position note {_PRICE_NAMES} original_price_open total_entries partial_executed total_partials cost "
    "scheduled_at minute_estimated_time",
)
_BASE: Final = f"timestamp=(now) action {_CTX} current_price"
_OPENED: Final = f"{_BASE} {_SIG} open_time=signal.pending_at"
_ACTIVE: Final = (
    f"{_OPENED} _partial=signal._partial percent_tp percent_sl {_pnl('pnl', '')} {_extremes('signal.')}"
)
_CLOSED: Final = (
    f"{_OPENED} _partial=signal._partial {_pnl('pnl', '')} {_extremes('signal.')} close_reason "
    "close_time=close_timestamp duration=(open_minutes)"
)
_ORDER: Final = (
    f"action {_CTX} current_price signal_id=signal.id "
    + _in(
        "signal.",
        f"position note {_PRICE_NAMES} total_entries original_price_open partial_executed pending_at "
        "minute_estimated_time total_partials cost",
    )
    + f" {_pnl('pnl_percentage', 'signal.')}"
)
_SNAPSHOT: Final = (
    f"timestamp {_CTX} signal_id=data.id current_price "
    + _in(
        "data.",
        f"position {_PRICE_NAMES} total_entries original_price_open partial_executed _partial note pending_at "
        "scheduled_at minute_estimated_time total_partials cost",
    )
    + f" {_pnl('pnl_percentage', 'data.')} {_extremes('data.')}"
)
_COMMIT: Final = (
    f"action symbol timestamp created_at=(iso) {_pnl('pnl_percentage', '')} {_extremes('')} total_partials "
)
_SET: Final = (
    f"current_price position {_PRICE_NAMES} original_price_open total_entries scheduled_at pending_at"
)
_EXTREME: Final = f"timestamp {_CTX} signal_id=signal.id current_price " + (
    _in("signal.", "position price_open price_take_profit price_stop_loss") + f" {_extremes('signal.')}"
)
_STATS: Final = " ".join(
    f"{name}!=stats.{name}"
    for name in (
        *(
            "total_signals",
            "win_count",
            "loss_count",
            "win_rate",
            "avg_pnl",
            "total_pnl",
            "std_dev",
            "sharpe_ratio",
        ),
        *(
            "annualized_sharpe_ratio",
            "certainty_ratio",
            "expected_yearly_returns",
            "sortino_ratio",
            "calmar_ratio",
        ),
        "recovery_factor",
    )
)

#: Fields of each kind by action; ``""`` stands for events without actions, a kind without an action writes nothing.
RECORD_LINES: Final[Mapping[str, Mapping[str, str]]] = {
    "backtest": {
        "idle": _BASE,
        "opened": f"{_OPENED} _partial=signal._partial",
        "active": _ACTIVE,
        "closed": _CLOSED,
    },
    "live": {
        "idle": _BASE,
        "scheduled": f"{_BASE} {_SIG} pending_at=signal.pending_at",
        "waiting": f"{_BASE} {_SIG} _partial=signal._partial percent_tp percent_sl {_pnl('pnl', '')} "
        f"{_extremes('signal.')}",
        "opened": _OPENED,
        "active": _ACTIVE,
        "closed": _CLOSED,
        "cancelled": f"{_BASE} {_SIG} cancel_reason=reason close_time=close_timestamp",
    },
    "heat": {
        "closed": f"timestamp=(now) action {_CTX} signal_id=signal.id "
        f"{_in('signal.', f'position note {_PRICE_NAMES}')} {_pnl('pnl', '')} "
        f"{_in('signal.', 'total_partials cost scheduled_at')} close_reason "
        f"open_time=signal.pending_at close_time=close_timestamp {_extremes('signal.')}",
    },
    "schedule": {
        "scheduled": f"timestamp=signal.scheduled_at {_ORDER}",
        "opened": f"timestamp=signal.pending_at {_ORDER} scheduled_at=signal.scheduled_at duration=(rest_minutes)",
        "cancelled": f"timestamp=close_timestamp {_ORDER} scheduled_at=signal.scheduled_at "
        "duration=(cancel_minutes) close_time=close_timestamp cancel_reason=reason cancel_id",
    },
    "partial_profit": {"": f"action=(profit) level {_SNAPSHOT}"},
    "partial_loss": {"": f"action=(loss) level {_SNAPSHOT}"},
    "breakeven": {"": _SNAPSHOT},
    "performance": {"": f"timestamp metric_type duration {_CTX} previous_timestamp!"},
    "risk": {
        "": f"timestamp {_CTX} current_price active_position_count rejection_id! rejection_note current_signal "
        "signal_id=current_signal.id "
        + _in(
            "current_signal.",
            f"position {_PRICE_NAMES} partial_executed note pending_at scheduled_at minute_estimated_time "
            "total_partials cost",
        )
        + f" {_pnl('pnl_percentage', 'current_signal.')} {_extremes('current_signal.')}",
    },
    "strategy": {
        "cancel-scheduled": f"{_COMMIT} cancel_id note",
        "close-pending": f"{_COMMIT} close_id note",
        **dict.fromkeys(("partial-profit", "partial-loss"), f"{_COMMIT} percent_to_close {_SET}"),
        **dict.fromkeys(("trailing-stop", "trailing-take"), f"{_COMMIT} percent_shift {_SET}"),
        "breakeven": f"{_COMMIT} {_SET}",
        "activate-scheduled": f"{_COMMIT} activate_id note {_SET}",
        "average-buy": f"{_COMMIT} effective_price_open cost {_SET}",
    },
    "sync": dict.fromkeys(
        ("signal-open", "signal-close"),
        f"timestamp action {_CTX} signal_id position {_PRICE_NAMES} original_price_open scheduled_at pending_at "
        f"total_entries total_partials {_in('signal.', 'note cost partial_executed minute_estimated_time _partial')} "
        f"{_pnl('pnl_percentage', '')} {_extremes('')} current_price close_reason",
    ),
    "highest_profit": {"": _EXTREME},
    "max_drawdown": {"": _EXTREME},
    "walker": {
        "": "timestamp=(now) walker_name symbol exchange_name frame_name strategy_name metric metric_value! "
        f"strategies_tested total_strategies best_strategy! best_metric! {_STATS} "
        "first_event_time!=(first_event) last_event_time!=(last_event)"
    },
}


def event_times(stats: Any) -> tuple[int | None, int | None]:
    """First opening and last close among the trades of a statistics record, None without trades."""
    trades = stats.signal_list
    if isinstance(trades, ClosedTrades):
        return trades.first_opening, trades.last_close
    if isinstance(trades, pl.DataFrame):
        if not trades.height:
            return None, None
        first, last = trades["pending_at"].min(), trades["close_timestamp"].max()
        return int(first), int(last)  # type: ignore[arg-type]
    opened = [value for trade in trades if (value := read(trade, "signal.pending_at")) is not None]
    closed = [value for trade in trades if (value := read(trade, "close_timestamp")) is not None]
    return min(opened, default=None), max(closed, default=None)


_COMPUTED: Final[Mapping[str, Callable[[Any], Any]]] = {
    "(now)": lambda _: get_context_timestamp(),
    "(iso)": lambda event: iso(read(event, "timestamp")),
    "(profit)": lambda _: "profit",
    "(loss)": lambda _: "loss",
    "(open_minutes)": minutes_between("signal.pending_at", "close_timestamp"),
    "(rest_minutes)": minutes_between("signal.scheduled_at", "signal.pending_at"),
    "(cancel_minutes)": minutes_between("signal.scheduled_at", "close_timestamp"),
    "(first_event)": lambda event: event_times(read(event, "stats"))[0],
    "(last_event)": lambda event: event_times(read(event, "stats"))[1],
}


class _Fields:
    """The fields of a line, compiled: every owner of fields is looked up once per event."""

    def __init__(self, line: str) -> None:
        owners: dict[str, int] = {}
        #: Name, number of its owner (None for computed ones), how it is read there, and whether None is written.
        self.fields: list[tuple[str, int | None, Any, bool]] = []
        for word in line.split():
            name, _, path = word.partition("=")
            always, name = name.endswith("!"), name.rstrip("!")
            source = path or name
            if source in _COMPUTED:
                self.fields.append((name, None, _COMPUTED[source], always))
            else:
                owner, _, field = source.rpartition(".")
                number = owners.setdefault(owner, len(owners))
                self.fields.append((name, number, field, always))
        self.owners = [reader(owner) if owner else None for owner in owners]

    def data(self, event: Any) -> dict[str, Any]:
        """The record of an event; fields that are not set are left out."""
        owners = [event if get is None else get(event) for get in self.owners]
        data: dict[str, Any] = {}
        for name, number, source, always in self.fields:
            value = source(event) if number is None else step(owners[number], source)
            if value is None:
                if always:
                    data[name] = None
            elif type(value) in _SIMPLE:
                data[name] = value
            elif name == "_partial":
                if value:
                    data[name] = [plain(one) for one in value]
            else:
                data[name] = plain(value)
        return data


_SIMPLE: Final = frozenset((str, int, float, bool))
_FIELDS: Final = {
    (kind, action): _Fields(line)
    for kind, actions in RECORD_LINES.items()
    for action, line in actions.items()
}


def record_data(source: str, event: Any) -> dict[str, Any] | None:
    """What is written about an event of ``source`` (a kind, ``partial_profit``, ``partial_loss``), or None."""
    actions = RECORD_LINES[source]
    fields = _FIELDS.get((source, "" if "" in actions else read(event, "action")))
    if fields is None or (source == "schedule" and read(event, "action") == "opened" and never_rested(event)):
        return None
    return fields.data(event)


def plain(value: Any) -> Any:
    """A value of an event as JSON can hold it."""
    if isinstance(value, Record):
        return value.to_dict()
    if isinstance(value, Mapping):
        return {name: plain(item) for name, item in value.items()}
    if isinstance(value, tuple | list):
        return [plain(item) for item in value]
    return value


#: The search fields that a record is stored with.
SEARCH_FIELDS: Final = ("symbol", "strategy_name", "exchange_name", "frame_name", "signal_id", "walker_name")
_OWNERS: Final = ("signal", "data", "current_signal")


def search_fields(event: Any) -> dict[str, str]:
    """The search fields of an event, empty where it has none."""
    found = {name: step(event, name) or "" for name in SEARCH_FIELDS}
    if not found["signal_id"]:
        for name in _OWNERS:
            identity = step(step(event, name), "id")
            if identity:
                found["signal_id"] = identity
                break
    return found
