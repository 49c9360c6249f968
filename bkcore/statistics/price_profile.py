"""Who pushed the market between the closes: step size, pressure and trend of prices (spec reports.md 7)."""

from __future__ import annotations

import math
from enum import IntEnum
from typing import Any, Final

import numpy as np
from numba import int64

from bkcore.jit import rule
from bkcore.statistics.ordering import take_median

MINIMUM_POINTS: Final = 10
MINIMUM_CONFIDENCE: Final = 0.30
NEUTRAL_STEPS: Final = 0.25
DAY: Final = 86_400_000.0


class Trend(IntEnum):
    """Direction of the close prices (spec 7), the code behind ``Metric.TREND``."""

    SIDEWAYS = 0
    NEUTRAL = 1
    BULLISH = 2
    BEARISH = 3


@rule
def is_point(time: Any, price: Any) -> Any:
    """Whether a close belongs to the profile: a time above 0 and a finite price above 0."""
    return time > 0 and 0.0 < price < np.inf


@rule
def fit_trend(close: Any, price: Any, order: Any, start: Any, mean_day: Any, mean_log: Any) -> Any:
    """Least-squares line of ln(price) against days: ``(slope in percent per day, R squared)``."""
    spread_days = spread_logs = product = 0.0
    for k in range(close.size):
        i = order[k]
        if is_point(close[i], price[i]):
            day = (close[i] - start) / DAY - mean_day
            log = math.log(price[i]) - mean_log
            spread_days += day * day
            spread_logs += log * log
            product += day * log
    confidence = 0.0
    if spread_logs > 0.0:
        confidence = min(product * product / (spread_days * spread_logs), 1.0)
    return product / spread_days * 100.0, confidence


@rule
def name_trend(slope: Any, confidence: Any, median_step: Any) -> Any:
    """The ``Trend`` of a fit: sideways if it explains little, neutral if it is small against the steps."""
    if confidence < MINIMUM_CONFIDENCE:
        return int64(Trend.SIDEWAYS)
    if abs(slope) < NEUTRAL_STEPS * median_step:
        return int64(Trend.NEUTRAL)
    return int64(Trend.BULLISH) if slope > 0.0 else int64(Trend.BEARISH)


@rule
def price_profile(close: Any, price: Any, order: Any, values: Any) -> Any:
    """The nine fields of spec 7 as floats, in the order of ``Metric`` from ``MEDIAN_STEP_SIZE`` on.

    close : i8[n], price : f8[n]   time and price of each close; bad points are dropped
    order : i8[>= n]   the rows in close order
    values : f8[>= n]   scratch

    NaN where a field is not available: all nine below ten points, pressure and strength when no price
    differs from the one before, the trend when all closes happen at once.
    """
    points = ups = downs = 0
    start = end = int64(0)
    previous = rise = decline = days = logs = 0.0
    for k in range(close.size):
        i = order[k]
        if not is_point(close[i], price[i]):
            continue
        if points == 0:
            start = close[i]
        else:
            step = (price[i] - previous) / previous
            values[points - 1] = abs(step)
            if step > 0.0:
                ups += 1
                rise += step
            elif step < 0.0:
                downs += 1
                decline -= step
        end = close[i]
        previous = price[i]
        days += (end - start) / DAY
        logs += math.log(previous)
        points += 1
    median_step = buyers = sellers = buyer = seller = trend = slope = confidence = np.nan
    if points >= MINIMUM_POINTS:
        median_step = take_median(values, points - 1) * 100.0
        if ups + downs > 0:
            buyers = ups / (ups + downs)
            sellers = downs / (ups + downs)
            buyer = rise / (rise + decline)
            seller = decline / (rise + decline)
        if start != end:
            slope = confidence = 0.0  # what rounding would blur when all prices are equal
            if ups + downs > 0:
                slope, confidence = fit_trend(close, price, order, start, days / points, logs / points)
            trend = 1.0 * name_trend(slope, confidence, median_step)
    return median_step, buyers, sellers, buyer, seller, buyer - seller, trend, slope, confidence
