"""What does a sweep over ideas return? Profiles, trades, tracks, rankings (spec risk-sizing-walker-sweep.md 4).

Percents are percent unless a field says otherwise, times are ms UTC, holds are minutes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeVar

from bkapi.base.deferred import pl
from bkapi.base.record import Record, record
from bkcore.ideas.sweep import ExitReason, Figure

T = TypeVar("T")

Direction = Literal["LONG", "SHORT", "NEUTRAL"]
Criterion = Literal["sharpe", "sortino", "pnl", "recovery"]

#: The rankings in documented order, and the figure that each sorts by, the largest first.
CRITERIA: Mapping[str, Figure] = {
    "sharpe": Figure.SHARPE,
    "sortino": Figure.SORTINO,
    "pnl": Figure.TOTAL_PNL_PERCENT,
    "recovery": Figure.RECOVERY_FACTOR,
}
EXIT_REASONS = tuple(reason.name.lower() for reason in ExitReason)


@record
class Idea(Record):
    """Somebody's opinion on a symbol at a moment: ``id`` and ``author`` as the feed names them, ``ts`` ms UTC."""

    id: str | int
    ts: int
    symbol: str
    direction: Direction
    author: str | int


@record
class IdeaProfile(Record):
    """What the price did after an idea (spec 4.3); all but ``outcome_known_at`` is for the reader only.

    ``max_mfe_percent`` and ``max_mae_percent`` are the best and the worst wick, signed by the direction, at
    ``minutes_to_mfe`` and ``minutes_to_mae``; ``shakeout_mae_percent`` is the worst before the best;
    ``median_move_percent`` the median close; ``hit`` says whether the last close is beyond the entry;
    ``truncated`` that the candles ended before the longest hold.
    """

    idea_id: str | int
    symbol: str
    author: str | int
    direction: Direction
    entry_timestamp: int
    entry_price: float
    candle_count: int
    truncated: bool
    max_mfe_percent: float
    max_mae_percent: float
    minutes_to_mfe: int
    minutes_to_mae: int
    shakeout_mae_percent: float
    median_move_percent: float
    hit: bool
    outcome_known_at: int


@record
class GridPoint(Record):
    """One combination of the grid."""

    hard_stop_percent: float
    trailing_take_percent: float
    hold_minutes: int
    profit_lock_percent: float


@record
class AbsorbedIdea(Record):
    """An idea that came while its author's slot was taken."""

    idea_id: str | int
    author: str | int


@record
class IdeaTrade(Record):
    """One trade of an idea (spec 4.4); ``pnl_percent`` is after fees and slippage."""

    idea_id: str | int
    symbol: str
    author: str | int
    direction: Direction
    entry_timestamp: int
    exit_timestamp: int
    exit_reason: Literal["hard_stop", "trailing_take", "profit_lock", "time_expired", "data_truncated"]
    hold_minutes_actual: int
    pnl_percent: float
    absorbed_ideas: tuple[AbsorbedIdea, ...]


@record
class AuthorTrack(Record):
    """How often an author was right under one rule (spec 4.6); ``hit_rate`` is 0 to 1."""

    hold_minutes: int
    profit_lock_percent: float
    hard_stop_percent: float
    trailing_take_percent: float
    author: str | int
    ideas: int
    hits: int
    hit_rate: float


@record
class GridPointReport(Record):
    """The results of the ideas at one point of the grid (spec 4.7).

    ``win_rate`` is 0 to 1; drawdown and recovery are of added, not compounded, percents in order of entry; ratios are
    infinite where nothing was lost. ``trades_list`` is computed when it is read.
    """

    point: GridPoint
    trades_list: Sequence[IdeaTrade]
    exit_reasons: Mapping[str, int]
    skipped_busy: int
    total_pnl_percent: float
    avg_pnl_percent: float
    win_rate: float
    profit_factor: float
    max_series_drawdown_percent: float
    calmar_ratio: float
    recovery_factor: float
    avg_hold_minutes: float
    p95_hold_minutes: int
    p99_hold_minutes: int
    sharpe: float
    sortino: float

    def to_dict(self) -> dict[str, Any]:
        """As for every record, the trades included."""
        return {
            **Record.to_dict(self),
            "trades_list": [trade.to_dict() for trade in self.trades_list],
        }

    def __repr__(self) -> str:
        point = self.point
        return (
            f"GridPointReport(stop {point.hard_stop_percent:g} %, trailing {point.trailing_take_percent:g} %, "
            f"hold {point.hold_minutes} min, lock {point.profit_lock_percent:g} %: {len(self.trades_list)} trades, "
            f"total {self.total_pnl_percent:+.2f} %, win rate {self.win_rate:.2f}, sharpe {self.sharpe:.2f}, "
            f"drawdown {self.max_series_drawdown_percent:.2f} %)"
        )


@record
class BestGridPoint(Record):
    """The winner of a ranking."""

    criterion: Criterion
    report: GridPointReport

    @property
    def point(self) -> GridPoint:
        """The point of its report."""
        return self.report.point


@record
class GridReports(Record):
    """All points, the four winners (the same objects as in ``reports``) and the tracks of the authors."""

    reports: Sequence[GridPointReport]
    best: tuple[BestGridPoint, ...]
    tracks: Sequence[AuthorTrack]

    def to_dict(self) -> dict[str, Any]:
        """As for every record: the whole grid."""
        return {
            "reports": [report.to_dict() for report in self.reports],
            "best": [best.to_dict() for best in self.best],
            "tracks": [track.to_dict() for track in self.tracks],
        }

    def __repr__(self) -> str:
        return (
            f"GridReports({len(self.reports):,} reports, {len(self.best)} best, {len(self.tracks):,} tracks)"
        )


@record
class IdeaSweepResult(Record):
    """What ``Sweep.run`` returns (spec 4.8).

    ``ideas_total`` counts the ideas of the symbol, ``ideas_directional`` those left without neutral and flooding ones;
    the hold figures are over all trades of all points. ``frame`` has a row per point in the order of the reports.
    """

    symbol: str
    ideas_total: int
    ideas_directional: int
    profile_count: int
    truncated_count: int
    avg_hold_minutes: float
    p95_hold_minutes: int
    p99_hold_minutes: int
    reports: GridReports
    frame: pl.DataFrame

    def to_dict(self) -> dict[str, Any]:
        """As for every record, without the frame."""
        plain = Record.to_dict(self)
        del plain["frame"]
        return plain

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, IdeaSweepResult):
            return NotImplemented
        return self._counts() == other._counts() and self.reports == other.reports

    __hash__ = None  # type: ignore[assignment]

    def _counts(self) -> tuple[Any, ...]:
        return tuple(getattr(self, name) for name in self.field_names[:-2])

    def __repr__(self) -> str:
        with pl.Config(
            tbl_rows=4,
            tbl_cols=-1,
            tbl_width_chars=160,
            tbl_hide_dataframe_shape=True,
            tbl_hide_column_data_types=True,
        ):
            return f"{self._title()}\n{self._winners()}"

    def _repr_html_(self) -> str:
        return f"<p>{self._title()}</p>{self._winners()._repr_html_()}"

    def _title(self) -> str:
        return (
            f"{len(self.reports.reports):,} points over {self.profile_count} of {self.ideas_total} ideas "
            f"on {self.symbol} ({self.truncated_count} cut short), the best of each ranking:"
        )

    def _winners(self) -> pl.DataFrame:
        rows = [
            {
                "by": best.criterion,
                "stop %": float(best.point.hard_stop_percent),
                "trailing %": float(best.point.trailing_take_percent),
                "hold min": best.point.hold_minutes,
                "lock %": float(best.point.profit_lock_percent),
                "trades": len(best.report.trades_list),
                "total %": best.report.total_pnl_percent,
                "win rate": best.report.win_rate,
                "sharpe": best.report.sharpe,
                "sortino": best.report.sortino,
                "drawdown %": best.report.max_series_drawdown_percent,
            }
            for best in self.reports.best
        ]
        return pl.DataFrame(rows).with_columns(pl.col(pl.Float64).round(3))
