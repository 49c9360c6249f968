"""What a series of trades was worth: the numbers of reports, walkers and parameter sweeps (spec reports.md 6, 7).

:func:`trade_metrics` has the trades at hand and fills the whole vector; its sums are left folds in the order of spec
6.2. A sweep that keeps only sums (:mod:`bkcore.sweeps.fold`) makes its metrics by the same rules: :func:`write_totals`
and its like, :func:`next_account` for equity and drawdown, :func:`next_run` for streaks. What it sums up, it sums in
another order, and the deviation in one pass, so means may differ in the last bits; equity and drawdown do not.
The sweep over ideas has figures of its own (spec risk-sizing-walker-sweep.md 4.7; :mod:`bkcore.ideas.sweep`).
"""

from __future__ import annotations

import math
from enum import IntEnum
from typing import Any, Final, NamedTuple

import numpy as np
from numba import int64, types
from numpy.typing import ArrayLike, NDArray

from bkcore.errors import BkError
from bkcore.jit import f8, f8_out, i8, i8_out, kernel, rule
from bkcore.statistics.ordering import take_median, write_close_order
from bkcore.statistics.price_profile import DAY, price_profile

MINIMUM_TRADES: Final = 10
MINIMUM_DAYS: Final = 14.0
MAXIMUM_TRADES_PER_YEAR: Final = 365.0
MAXIMUM_YEARLY_PERCENT: Final = 100.0
RATIO_CLAMP: Final = 1000.0
EPSILON: Final = 1e-9
MINUTE: Final = 60_000.0
#: How a trade came out; see :func:`outcome_of`.
WIN, EVEN, LOSS = range(3)
#: More than three roundings: what a comparison of products may be wrong by against one of quotients.
_ROUNDINGS: Final = 2e-15


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


class Account(NamedTuple):
    """An account that compounds fully from 1 (spec 6.5).

    equity      what it holds; 0 once it is blown
    peak        the most that it held
    drawdown    its largest fall, percent of the peak before
    kept        at or above this share of the peak, equity has surely fallen no farther: that spares a division
    """

    equity: Any
    peak: Any
    drawdown: Any
    kept: Any


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
def outcome_of(result: Any) -> Any:
    """WIN, EVEN or LOSS; what is no number is EVEN. There is nothing to guess, as a branch would have it."""
    return int64(EVEN) - int64(result > 0.0) + int64(result < 0.0)


@rule
def next_run(run: Any, outcome: Any, following: Any) -> Any:
    """Length of the run after a trade ``following`` one of ``outcome``, which stood in a run of so many (spec 6.4)."""
    return run + 1 if following == outcome else int64(1)


@rule
def runs_of(pnl: Any, is_backward: Any) -> Any:
    """The :class:`Runs` of a column; a result of 0 ends a run. Each run is summed up before it is added."""
    size = pnl.size
    longest_win = longest_loss = win_runs = loss_runs = run = int64(0)
    outcome = int64(EVEN)
    total = win_total = loss_total = 0.0
    for k in range(size + 1):
        value = 0.0 if k == size else pnl[size - 1 - k if is_backward else k]
        following = outcome_of(value)
        if following != outcome:
            if outcome == WIN:
                win_total += total
                win_runs += 1
            elif outcome == LOSS:
                loss_total += total
                loss_runs += 1
            total = 0.0
        run = next_run(run, outcome, following)
        outcome = following
        total += value
        if outcome == WIN:
            longest_win = max(longest_win, run)
        elif outcome == LOSS:
            longest_loss = max(longest_loss, run)
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
def compound(equity: Any, percent: Any) -> Any:
    """``equity`` after a result of ``percent``; nothing is left below 0."""
    after = equity * (1.0 + percent * 0.01)
    return 0.0 if after <= 0.0 else after


@rule
def share_kept(drawdown: Any) -> Any:
    """``Account.kept`` of a drawdown in percent."""
    return 1.0 - drawdown * 0.01 + _ROUNDINGS


@rule
def fall_to(peak: Any, drawdown: Any, kept: Any, equity: Any) -> Any:
    """``(drawdown, kept)`` of an account that held ``peak`` and then ``equity``."""
    if equity < peak * kept:
        drawdown = max(drawdown, (peak - equity) / peak * 100.0)
        kept = share_kept(drawdown)
    return drawdown, kept


@rule
def next_account(account: Any, result: Any, fall: Any) -> Any:
    """The account after a trade that came out at ``result`` percent and was at ``fall`` at worst (spec 6.5).

    A fall that is not below 0, NaN among them, is none.
    """
    equity, peak, drawdown, kept = account
    if fall < 0.0:
        trough = compound(equity, fall)
        drawdown, kept = fall_to(peak, drawdown, kept, trough)
        equity = 0.0 if trough == 0.0 else equity
    equity = compound(equity, result)
    peak = max(peak, equity)
    drawdown, kept = fall_to(peak, drawdown, kept, equity)
    return Account(equity, peak, drawdown, kept)


@rule
def drawdown_of(account: Any) -> Any:
    """Maximum drawdown in percent: 100 for a blown account, NaN where the equity is no number."""
    if account.equity == 0.0:
        return 100.0
    return np.nan if math.isnan(account.equity) else account.drawdown


@rule
def follow_equity(pnl: Any, fall: Any, order: Any) -> Any:
    """The :class:`Account` after all trades; nothing follows a blown one."""
    account = Account(1.0, 1.0, 0.0, share_kept(0.0))
    for k in range(pnl.size):
        account = next_account(account, pnl[order[k]], fall[order[k]])
        if account.equity == 0.0:
            break
    return account


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


@kernel(types.void(f8, f8, f8, i8, i8, f8, types.int64, i8_out, f8_out, f8_out))
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
    account = follow_equity(pnl, fall, order)
    totals = Totals(
        *(size, win_count, loss_count, total, win_total, loss_total, squares, downside),
        *(peak_count, peak_total, highest, fall_count, fall_total, lowest),
        *(first, last, account.equity, drawdown_of(account)),
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
