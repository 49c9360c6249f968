"""What a series of trades was worth: the one numeric definition of every statistic (spec reports.md 6, 7).

Reports, walkers and parameter sweeps all read the vector that :func:`trade_metrics` fills. The kernel
allocates nothing and releases the GIL: a sweep hands it the same scratch arrays for every combination.
Sums are left folds in the order of spec 6.2.
"""

from __future__ import annotations

import math
from enum import IntEnum
from typing import Any, Final, NamedTuple

import numpy as np
from numba import int64, types
from numpy.typing import ArrayLike, NDArray

from bkcore.errors import BkError
from bkcore.jit import f8, i8, kernel, rule
from bkcore.ordering import take_median, write_close_order
from bkcore.price_profile import DAY, price_profile

_f8_out = types.Array(types.float64, 1, "C")
_i8_out = types.Array(types.int64, 1, "C")

MINIMUM_TRADES: Final = 10
MINIMUM_DAYS: Final = 14.0
MAXIMUM_TRADES_PER_YEAR: Final = 365.0
MAXIMUM_YEARLY_PERCENT: Final = 100.0
RATIO_CLAMP: Final = 1000.0
EPSILON: Final = 1e-9
MINUTE: Final = 60_000.0


class Scope(IntEnum):
    """Whose numbers these are; the four readers of the formulas differ in a few points (spec 6.2, 6.6)."""

    SERIES = 0  # one backtest or live series: rows oldest first
    SYMBOL = 1  # one symbol of a portfolio: rows oldest first
    POOL = 2  # a whole portfolio: rows symbol after symbol, each newest first; no streaks, no price profile


class Metric(IntEnum):
    """Where each number lies in the metric vector; percent is percent, durations are minutes.

    NaN means "not available". Lower-case member names are the field names of the statistics records.
    """

    TOTAL_TRADES = 0
    WIN_COUNT = 1
    LOSS_COUNT = 2
    WIN_RATE = 3
    TOTAL_PNL = 4
    AVG_PNL = 5
    MEDIAN_PNL = 6
    STD_DEV = 7
    SHARPE_RATIO = 8
    ANNUALIZED_SHARPE_RATIO = 9
    SORTINO_RATIO = 10
    CERTAINTY_RATIO = 11
    EXPECTANCY = 12
    TRADES_PER_YEAR = 13
    EXPECTED_YEARLY_RETURNS = 14
    CALMAR_RATIO = 15
    RECOVERY_FACTOR = 16
    MAX_DRAWDOWN = 17
    PROFIT_FACTOR = 18
    AVG_WIN = 19
    AVG_LOSS = 20
    MAX_WIN_STREAK = 21
    MAX_LOSS_STREAK = 22
    AVG_CONSECUTIVE_WIN_PNL = 23
    AVG_CONSECUTIVE_LOSS_PNL = 24
    AVG_PEAK_PNL = 25
    AVG_FALL_PNL = 26
    PEAK_PROFIT_PNL = 27
    MAX_DRAWDOWN_PNL = 28
    AVG_DURATION = 29
    AVG_WIN_DURATION = 30
    AVG_LOSS_DURATION = 31
    MEDIAN_STEP_SIZE = 32
    BUYER_PRESSURE = 33
    SELLER_PRESSURE = 34
    BUYER_STRENGTH = 35
    SELLER_STRENGTH = 36
    PRESSURE_IMBALANCE = 37
    TREND = 38
    TREND_STRENGTH = 39
    TREND_CONFIDENCE = 40


class Totals(NamedTuple):
    """What the formulas need of a series of trades: counts, sums and extremes, whoever folded them.

    Sums are percent and minutes. ``squares`` are about the mean; ``highest`` and ``lowest`` are -inf and inf without
    a peak or fall; ``first`` is the first opening and ``last`` the last close (ms UTC); ``final_equity`` follows
    full compounding from 1 and ``drawdown`` is its largest fall in percent (spec 6.5).
    """

    trades: Any
    wins: Any
    losses: Any
    total: Any
    win_total: Any
    loss_total: Any
    squares: Any
    downside: Any
    peaks: Any
    peak_total: Any
    highest: Any
    falls: Any
    fall_total: Any
    lowest: Any
    first: Any
    last: Any
    final_equity: Any
    drawdown: Any


class Runs(NamedTuple):
    """Runs of wins and of losses: the longest of each, how many, and what they brought in all (spec 6.4)."""

    longest_win: Any
    longest_loss: Any
    wins: Any
    losses: Any
    win_total: Any
    loss_total: Any


class Minutes(NamedTuple):
    """Time in the market: how many trades were timed and for how long, all, the wins and the losses."""

    trades: Any
    total: Any
    wins: Any
    win_total: Any
    losses: Any
    loss_total: Any


#: The metrics that count something: 0, not NaN, without trades.
COUNTS: Final = (
    Metric.TOTAL_TRADES,
    Metric.WIN_COUNT,
    Metric.LOSS_COUNT,
    Metric.MAX_WIN_STREAK,
    Metric.MAX_LOSS_STREAK,
)

#: Field name of each place of the metric vector.
METRIC_NAMES: Final = tuple(metric.name.lower() for metric in Metric)


class MetricsError(BkError):
    """Columns that cannot be measured: ``measure([1.0], [], [], [0], [60_000], [100.0])``."""


@rule
def mean(total: Any, count: Any) -> Any:
    """``total / count``, NaN for an empty group."""
    return total / count if count > 0 else np.nan


@rule
def clamp_ratio(ratio: Any) -> Any:
    """``ratio`` limited to +-1000; NaN stays NaN."""
    if ratio < -RATIO_CLAMP:
        return -RATIO_CLAMP
    return RATIO_CLAMP if ratio > RATIO_CLAMP else ratio


@rule
def runs_of(pnl: Any, is_backward: Any) -> Any:
    """The :class:`Runs` of a column; a result of 0 ends a run."""
    size = pnl.size
    wins = losses = longest_win = longest_loss = 0
    win_runs = loss_runs = 0
    run = win_total = loss_total = 0.0
    for k in range(size + 1):
        value = 0.0 if k == size else pnl[size - 1 - k if is_backward else k]
        if wins > 0 and not value > 0.0:
            win_total += run
            win_runs += 1
            wins = 0
            run = 0.0
        if losses > 0 and not value < 0.0:
            loss_total += run
            loss_runs += 1
            losses = 0
            run = 0.0
        if value > 0.0:
            wins += 1
            run += value
            longest_win = max(longest_win, wins)
        elif value < 0.0:
            losses += 1
            run += value
            longest_loss = max(longest_loss, losses)
    return Runs(longest_win, longest_loss, win_runs, loss_runs, win_total, loss_total)


@rule
def write_runs(runs: Any, metrics: Any) -> None:
    """The metrics of spec 6.4 that speak of runs."""
    metrics[Metric.MAX_WIN_STREAK] = runs.longest_win
    metrics[Metric.MAX_LOSS_STREAK] = runs.longest_loss
    metrics[Metric.AVG_CONSECUTIVE_WIN_PNL] = mean(runs.win_total, runs.wins)
    metrics[Metric.AVG_CONSECUTIVE_LOSS_PNL] = mean(runs.loss_total, runs.losses)


@rule
def minutes_of(pnl: Any, pending: Any, close: Any, is_backward: Any, is_whole: Any) -> Any:
    """The :class:`Minutes` from opening to close.

    Unless ``is_whole``, a row with a damaged time is left out: a portfolio counts it in all other numbers,
    a series has no such row or takes its times as they are (spec 6.3).
    """
    size = pnl.size
    count = wins = losses = 0
    total = win_total = loss_total = 0.0
    for k in range(size):
        i = size - 1 - k if is_backward else k
        if is_whole or (pending[i] > 0 and close[i] > 0):
            minutes = (close[i] - pending[i]) / MINUTE
            total += minutes
            count += 1
            if pnl[i] > 0.0:
                win_total += minutes
                wins += 1
            elif pnl[i] < 0.0:
                loss_total += minutes
                losses += 1
    return Minutes(count, total, wins, win_total, losses, loss_total)


@rule
def write_minutes(minutes: Any, metrics: Any) -> None:
    """Mean minutes of all trades, of the wins and of the losses."""
    metrics[Metric.AVG_DURATION] = mean(minutes.total, minutes.trades)
    metrics[Metric.AVG_WIN_DURATION] = mean(minutes.win_total, minutes.wins)
    metrics[Metric.AVG_LOSS_DURATION] = mean(minutes.loss_total, minutes.losses)


@rule
def follow_equity(pnl: Any, fall: Any, order: Any) -> Any:
    """Mark-to-market equity of full compounding from 1 (spec 6.5).

    Returns ``(final equity, maximum drawdown in percent)``; a blown account is ``(0, 100)``.
    """
    equity = 1.0
    peak = 1.0
    drawdown = 0.0
    for k in range(pnl.size):
        i = order[k]
        if fall[i] < 0.0:
            trough = equity * (1.0 + fall[i] / 100.0)
            if trough <= 0.0:
                return 0.0, 100.0
            drawdown = max(drawdown, (peak - trough) / peak * 100.0)
        equity = equity * (1.0 + pnl[i] / 100.0)
        if equity <= 0.0:
            return 0.0, 100.0
        peak = max(peak, equity)
        drawdown = max(drawdown, (peak - equity) / peak * 100.0)
    return equity, (np.nan if math.isnan(equity) else drawdown)


@rule
def hide_infinite(metrics: Any) -> None:
    """What is not finite is not available."""
    for k in range(metrics.size):
        if not math.isfinite(metrics[k]):
            metrics[k] = np.nan


@rule
def write_nothing(metrics: Any) -> None:
    """The metrics of no trades: counts are 0, the rest is not available."""
    metrics[:] = np.nan
    for count in COUNTS:
        metrics[count] = 0.0


@rule
def write_totals(totals: Any, scope: Any, metrics: Any) -> None:
    """The metrics that follow from :class:`Totals`, of at least one trade (spec 6.4 to 6.6)."""
    size = totals.trades
    is_series = scope == Scope.SERIES
    average = totals.total / size
    decisive = totals.wins + totals.losses
    average_win = mean(totals.win_total, totals.wins)
    average_loss = mean(totals.loss_total, totals.losses)
    metrics[Metric.TOTAL_TRADES] = size
    metrics[Metric.WIN_COUNT] = totals.wins
    metrics[Metric.LOSS_COUNT] = totals.losses
    if decisive > 0:
        metrics[Metric.WIN_RATE] = (totals.wins / decisive) * 100.0
    elif is_series:
        metrics[Metric.WIN_RATE] = 0.0
    metrics[Metric.TOTAL_PNL] = totals.total
    metrics[Metric.AVG_PNL] = average
    metrics[Metric.AVG_WIN] = average_win
    metrics[Metric.AVG_LOSS] = average_loss
    if totals.wins > 0 and abs(totals.loss_total) > EPSILON:
        metrics[Metric.PROFIT_FACTOR] = totals.win_total / abs(totals.loss_total)
    metrics[Metric.AVG_PEAK_PNL] = mean(totals.peak_total, totals.peaks)
    metrics[Metric.AVG_FALL_PNL] = mean(totals.fall_total, totals.falls)
    metrics[Metric.PEAK_PROFIT_PNL] = totals.highest
    metrics[Metric.MAX_DRAWDOWN_PNL] = totals.lowest
    equity = totals.final_equity
    drawdown = totals.drawdown
    metrics[Metric.MAX_DRAWDOWN] = drawdown
    if size < MINIMUM_TRADES:
        return
    deviation = math.sqrt(totals.squares / (size - 1))
    sharpe = average / deviation if deviation > EPSILON else np.nan
    metrics[Metric.STD_DEV] = deviation
    metrics[Metric.SHARPE_RATIO] = sharpe
    downside_deviation = math.sqrt(totals.downside / size)
    if downside_deviation > EPSILON:
        metrics[Metric.SORTINO_RATIO] = average / downside_deviation
    mean_win = average_win if totals.wins > 0 else 0.0
    mean_loss = average_loss if totals.losses > 0 else 0.0
    has_ratio = totals.wins > 0 or scope != Scope.SYMBOL
    if has_ratio and abs(mean_loss) > EPSILON:
        metrics[Metric.CERTAINTY_RATIO] = mean_win / abs(mean_loss)
    if decisive > 0 or is_series:
        metrics[Metric.EXPECTANCY] = (totals.wins / size) * mean_win + (totals.losses / size) * mean_loss
    if equity > 0.0 and drawdown > 0.0:
        recovery = (equity - 1.0) * 100.0 / drawdown
        metrics[Metric.RECOVERY_FACTOR] = clamp_ratio(recovery)
    days = (totals.last - totals.first) / DAY
    frequency = size / days * 365.0
    if days >= MINIMUM_DAYS and frequency <= MAXIMUM_TRADES_PER_YEAR:
        metrics[Metric.TRADES_PER_YEAR] = frequency
        metrics[Metric.ANNUALIZED_SHARPE_RATIO] = sharpe * math.sqrt(frequency)
        yearly = -100.0 if equity == 0.0 else (equity ** (frequency / size) - 1.0) * 100.0
        if abs(yearly) <= MAXIMUM_YEARLY_PERCENT:
            metrics[Metric.EXPECTED_YEARLY_RETURNS] = yearly
            if drawdown > 0.0:
                metrics[Metric.CALMAR_RATIO] = clamp_ratio(yearly / drawdown)


@kernel(types.void(f8, f8, f8, i8, i8, f8, types.int64, _i8_out, _f8_out, _f8_out))
def trade_metrics(
    pnl: Any,
    peak: Any,
    fall: Any,
    pending: Any,
    close: Any,
    price: Any,
    scope: Any,
    order: Any,
    values: Any,
    metrics: Any,
) -> None:
    """Fill ``metrics`` with every statistic of the trades (spec reports.md 6.4 to 6.6, 7).

    pnl : f8[n]       result of each trade, percent after fees and slippage
    peak, fall : f8[n]   best and worst result on the way, percent; NaN = the trade has none
    pending, close : i8[n]   when the position opened and closed, ms UTC; <= 0 marks a damaged time
    price : f8[n]     price of the close, quote currency; the profile leaves out a point <= 0 or not finite
    scope : Scope     whose numbers; it also says the order of the rows
    order : i8[>= 2 n], values : f8[>= n]   scratch; ``order[:n]`` holds the rows in close order afterwards
    metrics : f8[len(Metric)]   the answer, indexed by ``Metric``; NaN where a number is not available

    All columns share one length n, which the caller sees to: nothing is checked here.
    """
    size = pnl.size
    is_pool = scope == Scope.POOL
    is_series = scope == Scope.SERIES
    if size == 0:
        write_nothing(metrics)
        return
    metrics[:] = np.nan
    write_close_order(close, not is_pool, order)

    win_count = loss_count = peak_count = fall_count = 0
    total = win_total = loss_total = downside = peak_total = fall_total = 0.0
    highest = -np.inf
    lowest = np.inf
    first = pending[0]
    last = close[0]
    for k in range(size):
        i = order[k] if is_pool else size - 1 - k
        result = pnl[i]
        values[k] = result
        total += result
        if result > 0.0:
            win_count += 1
            win_total += result
        elif result < 0.0:
            loss_count += 1
            loss_total += result
            downside += result * result
        if not math.isnan(peak[i]):
            peak_count += 1
            peak_total += peak[i]
            highest = max(highest, peak[i])
        if not math.isnan(fall[i]):
            fall_count += 1
            fall_total += fall[i]
            lowest = min(lowest, fall[i])
        first = min(first, pending[i])
        last = max(last, close[i])

    average = total / size
    squares = 0.0
    for k in range(size):  # the median has not reordered the values yet
        squares += (values[k] - average) * (values[k] - average)
    equity, drawdown = follow_equity(pnl, fall, order)
    totals = Totals(
        *(size, win_count, loss_count, total, win_total, loss_total, squares, downside),
        *(peak_count, peak_total, highest, fall_count, fall_total, lowest, first, last, equity, drawdown),
    )
    write_totals(totals, scope, metrics)
    write_minutes(minutes_of(pnl, pending, close, not is_pool, is_series), metrics)
    if not is_pool:
        write_runs(runs_of(pnl, not is_series), metrics)
    if not math.isnan(total):
        metrics[Metric.MEDIAN_PNL] = take_median(values, size)
    if not is_pool:
        profile = price_profile(close, price, order, values)
        for k in range(len(profile)):
            metrics[int64(Metric.MEDIAN_STEP_SIZE) + k] = profile[k]
    hide_infinite(metrics)


def measure(
    pnl_percent: ArrayLike,
    peak_percent: ArrayLike,
    fall_percent: ArrayLike,
    pending_at: ArrayLike,
    close_timestamp: ArrayLike,
    close_price: ArrayLike,
    scope: Scope = Scope.SERIES,
) -> NDArray[np.float64]:
    """The metric vector of one series of trades: :func:`trade_metrics` with its scratch arrays provided.

    Takes the columns of that kernel (n values each), returns f8[len(Metric)].
    Raises :class:`MetricsError` when the columns differ in length.
    """
    columns = (pnl_percent, peak_percent, fall_percent, close_price)
    pnl, peak, fall, price = (np.ascontiguousarray(column, np.float64) for column in columns)
    pending = np.ascontiguousarray(pending_at, np.int64)
    close = np.ascontiguousarray(close_timestamp, np.int64)
    shapes = [column.shape for column in (pnl, peak, fall, pending, close, price)]
    if len(set(shapes)) > 1 or pnl.ndim != 1:
        raise MetricsError(
            f"trade columns must be one-dimensional and equally long, got shapes {shapes}",
            hint="pass one value per trade in every column; NaN stands for a missing peak or fall",
        )
    order, values = np.empty(2 * pnl.size, np.int64), np.empty(pnl.size)
    metrics = np.empty(len(Metric))
    trade_metrics(pnl, peak, fall, pending, close, price, int(scope), order, values, metrics)
    return metrics
