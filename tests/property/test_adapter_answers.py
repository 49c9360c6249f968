"""Whatever the functions of an exchange answer, a strategy gets candles on their grid or one clean error."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import polars as pl
from hypothesis import given, strategies as st

import bkapi as bk
from tests.shares import share

MINUTE = 60_000
NOW = 1_704_110_400_000
LIMIT = 4

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.text(max_size=5),
    st.binary(max_size=5),
    st.dates(),
    st.datetimes(),
)
names = st.one_of(
    st.sampled_from(["timestamp", "open", "high", "low", "close", "volume"]), st.text(max_size=4)
)
junk = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=6), st.dictionaries(names, inner, max_size=7), st.tuples(inner, inner)
    ),
    max_leaves=25,
)


@st.composite
def nearly_candles(draw: st.DrawFn) -> Any:
    """The rows that were asked for, with a few values or rows spoilt, in some shape."""
    columns = ["timestamp", "open", "high", "low", "close", "volume"]
    rows: list[list[Any]] = [
        [NOW - (LIMIT - k) * MINUTE, 100.0, 101.0, 99.0, 100.5, 1.0] for k in range(LIMIT)
    ]
    for _ in range(draw(st.sampled_from([0, 1, 2, 0]))):
        rows[draw(st.integers(0, LIMIT - 1))][draw(st.integers(0, 5))] = draw(scalars)
    others = (rows[::-1], rows[1:], rows[:-1], rows * 2, [rows[0]] * LIMIT)
    rows = draw(st.sampled_from([*[rows] * len(others), *others]))
    shape = draw(st.sampled_from(["rows", "dicts", "columns", "array", "pandas", "polars"]))
    if shape == "dicts":
        return [dict(zip(columns, row, strict=True)) for row in rows]
    if shape == "columns":
        return dict(zip(columns, map(list, zip(*rows, strict=True)), strict=True))
    if shape == "array":
        return np.array(rows, dtype=object)
    if shape == "pandas":
        return pd.DataFrame(rows, columns=columns, dtype=object)
    if shape == "polars":
        try:
            return pl.DataFrame(rows, schema=columns, orient="row", strict=False)
        except Exception:
            return rows
    return rows


def asked(answer: Any) -> pl.DataFrame | None:
    bk.reset()
    bk.set_config(CC_GET_CANDLES_RETRY_COUNT=1)
    bk.add_exchange_schema(exchange_name="odd", get_candles=lambda *_: answer)
    try:
        return bk.run_in_mock_context(
            lambda: bk.get_candles("BTCUSDT", "1m", LIMIT), exchange_name="odd", when=NOW, backtest=True
        )
    except bk.BkError:
        return None
    finally:
        bk.reset()


@given(st.integers(0, 2).flatmap(lambda k: nearly_candles() if k else junk))
def test_an_answer_is_candles_or_a_clean_error(answer: Any) -> None:
    rows = asked(answer)
    share("answers that are candles", rows is not None, least=0.03)
    if rows is not None:
        assert rows["timestamp"].to_list() == [NOW - (LIMIT - k) * MINUTE for k in range(LIMIT)]
        values = rows.drop("timestamp").to_numpy()
        assert np.isfinite(values).all()
        assert (values[:, :4] > 0).all()
        assert (values[:, 1] >= values[:, 2]).all()


@st.composite
def nearly_trades(draw: st.DrawFn) -> Any:
    """Some trades, now and then with a field spoilt or left out, as mappings or as a frame."""
    number = st.one_of(st.integers(0, 2**50), st.floats(0, 1e9), st.just("2.5"))
    rows = [
        {
            "id": str(k),
            "price": draw(number),
            "qty": draw(number),
            "timestamp": NOW + k,
            "is_buyer_maker": k > 1,
        }
        for k in range(draw(st.integers(1, 4)))
    ]
    if draw(st.booleans()):
        row, name = draw(st.sampled_from(rows)), draw(st.sampled_from([*rows[0]]))
        if draw(st.booleans()):
            row[name] = draw(scalars)
        else:
            del row[name]
    if draw(st.integers(0, 3)) == 3:
        try:
            return pl.DataFrame(rows, strict=False)
        except Exception:
            return rows
    return rows


def trades_by_rule(answer: Any) -> list[dict[str, Any]] | None:
    """The rows of an answer with numbers for price, quantity and time; None where one is no trade."""
    rows = answer.to_dicts() if isinstance(answer, pl.DataFrame) else answer
    if not isinstance(rows, list | tuple) or not all(isinstance(row, dict) for row in rows):
        return None
    try:
        return [
            {
                **row,
                "price": float(row["price"]),
                "qty": float(row["qty"]),
                "timestamp": int(row["timestamp"]),
            }
            for row in rows
        ]
    except (KeyError, TypeError, ValueError, OverflowError):
        return None


@given(st.one_of(junk, nearly_trades()))
def test_trades_are_mappings_of_numbers_or_a_clean_error(answer: Any) -> None:
    bk.reset()
    bk.add_exchange_schema(
        exchange_name="odd", get_candles=lambda *_: [], get_aggregated_trades=lambda *_: answer
    )
    wanted = trades_by_rule(answer)
    share("answers that are trades", bool(wanted), least=0.1)
    share("answers that are none", wanted is None, least=0.1)
    try:
        trades = bk.Exchange.get_aggregated_trades("BTCUSDT", {"exchange_name": "odd"})
    except bk.BkError:
        trades = None
    finally:
        bk.reset()
    assert repr(trades) == repr(wanted)  # NaN is what it is


@given(interval=st.text(max_size=4), limit=scalars, start=scalars, end=scalars)
def test_whatever_is_asked_for_is_a_clean_error(interval: str, limit: Any, start: Any, end: Any) -> None:
    bk.reset()
    bk.add_exchange_schema(exchange_name="odd", get_candles=lambda *_: [])
    for known in (interval, "5m"):
        try:
            bk.Exchange.get_raw_candles("BTCUSDT", known, {"exchange_name": "odd"}, limit, start, end)
        except bk.BkError:
            continue
        raise AssertionError("an empty answer was taken")
    bk.reset()
