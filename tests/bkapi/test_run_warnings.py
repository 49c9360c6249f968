"""What a run says when something is odd: once, and in words that show the way out."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import date, timedelta

import polars as pl
import pytest

import bkapi as bk
from bkcore.candles.errors import CandleGapError
from bkcore.candles.frame import CandleFrame
from bkcore.machine.signals import Asking, SignalFrameError, bind_signals
from tests.bkapi.short_runs import CONTEXT, MIDNIGHT, MIDNIGHT_MS, SYMBOL, candles_of, register

CLOSES = [100.0] * 200


@pytest.fixture(autouse=True)
def clean() -> Iterator[None]:
    bk.reset()
    yield
    bk.reset()


def run_signals(minutes: list[int], interval: str) -> bk.FinishedRun:
    register(candles_of(CLOSES), {})
    bk.add_strategy_schema(
        strategy_name="framed",
        interval=interval,
        signals=lambda candles: pl.DataFrame(
            {
                "timestamp": [MIDNIGHT_MS + minute * 60_000 for minute in minutes],
                "position": ["long"] * len(minutes),
                "take_profit_percent": [2.0] * len(minutes),
                "stop_loss_percent": [2.0] * len(minutes),
            }
        ),
    )
    return bk.Backtest.finish(SYMBOL, {**CONTEXT, "strategy_name": "framed"})


@pytest.mark.parametrize("minutes", [[67, 127], [60, 127], [60] * 70 + [67]])
def test_a_signal_that_no_tick_asks_for_is_refused(minutes: list[int]) -> None:
    row = next(at for at, minute in enumerate(minutes) if minute % 60)
    with pytest.raises(SignalFrameError) as caught:
        run_signals(minutes, "1h")
    assert (
        f"({MIDNIGHT_MS + minutes[row] * 60_000}) in row {row:,}: the strategy is asked at multiples of 60 min"
        in str(caught.value)
    )
    assert f"{MIDNIGHT + timedelta(hours=minutes[row] // 60 + 1):%H:%M} UTC" in str(caught.value.hint)


@pytest.mark.parametrize("minutes", [[60, 120], []])
def test_signals_on_a_boundary_pass_without_a_word(
    minutes: list[int], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        run_signals(minutes, "1h")
    assert not caplog.records


@pytest.mark.parametrize(
    ("factor", "unit"), [(0.001, "seconds"), (1000, "microseconds"), (1_000_000, "nanoseconds")]
)
def test_signal_times_in_another_unit_are_refused(factor: float, unit: str) -> None:
    times = pl.Series([0, MIDNIGHT_MS + 3_600_000], dtype=pl.Int64)
    table = frame_of(pl.Series([0, int(times[1] * factor)], dtype=pl.Int64))
    with pytest.raises(SignalFrameError, match=f"in row 1, but the candles go from(.|\n)*look like {unit}"):
        bind_signals(table, SYMBOL, asking=Asking(MIDNIGHT_MS, MIDNIGHT_MS + 86_400_000, 60_000))


@pytest.mark.parametrize("days", [-365, 365, 1_000_000])
def test_signals_of_another_time_altogether_are_refused(days: int) -> None:
    asking = Asking(MIDNIGHT_MS, MIDNIGHT_MS + 86_400_000, 60_000)
    shift = days * 86_400_000
    times = pl.Series([MIDNIGHT_MS + shift, MIDNIGHT_MS + shift + 60_000])
    with pytest.raises(SignalFrameError, match="no signal would ever be seen"):
        bind_signals(frame_of(times), SYMBOL, asking=asking)
    times = pl.Series([MIDNIGHT_MS - 60_000, MIDNIGHT_MS, MIDNIGHT_MS + 2 * 86_400_000])
    assert bind_signals(frame_of(times), SYMBOL, asking=asking).records.size == 3  # some of them are seen
    assert bind_signals(frame_of(times[:0]), SYMBOL, asking=asking).records.size == 0


def frame_of(times: pl.Series) -> pl.DataFrame:
    return pl.DataFrame({"timestamp": times}).with_columns(
        position=pl.lit("long"), take_profit_percent=pl.lit(2.0), stop_loss_percent=pl.lit(2.0)
    )


def test_withdrawals_may_come_between() -> None:
    times = pl.Series([MIDNIGHT_MS, MIDNIGHT_MS + 60_000])
    frame = frame_of(times).with_columns(position=pl.Series(["long", None]))
    asking = Asking(MIDNIGHT_MS, MIDNIGHT_MS + 86_400_000, 3_600_000)
    assert bind_signals(frame, SYMBOL, 3_600_000, asking=asking).records["side"].tolist() == [1, 0]


def test_a_refused_row_is_told_as_it_was_written() -> None:
    register(candles_of(CLOSES), {})
    times = pl.Series([MIDNIGHT_MS + minute * 60_000 for minute in (60, 70, 80)])
    frame = frame_of(times).with_columns(
        position=pl.Series(["BUY", "long", "long"]),
        symbol=pl.Series([None, "OTHER", None]),
        take_profit_percent=pl.Series([2.0, 2.0, 0.04]),
    )
    bk.add_strategy_schema(strategy_name="odd", signals=lambda candles: frame)
    heard: list[Exception] = []
    bk.listen_error(heard.append)
    list(bk.Backtest.run(SYMBOL, {**CONTEXT, "strategy_name": "odd"}))
    told = "\n".join(map(str, heard))
    assert "got 'BUY': did you mean 'long'?" in told
    assert "the signal is for 'OTHER'" in told
    assert "take_profit_percent 0.04 is closer than 0.5 %: did you mean 4?" in told


def test_an_error_at_every_tick_is_logged_once_per_wording(caplog: pytest.LogCaptureFixture) -> None:
    register(candles_of(CLOSES), {})
    heard: list[Exception] = []

    def raises(symbol: str, when: object, price: float) -> None:
        if len(heard) % 2:
            raise KeyError(f"no indicator {len(heard)}")
        raise ValueError("odd")

    bk.add_strategy_schema(strategy_name="raising", get_signal=raises)
    bk.listen_error(heard.append)
    with caplog.at_level(logging.WARNING):
        for _ in range(2):  # a second run is told anew
            list(bk.Backtest.run(SYMBOL, {**CONTEXT, "strategy_name": "raising"}))
    assert len(heard) == 2 * 194
    assert [record.exc_info is not None for record in caplog.records] == [True, True, False, False] * 2
    counted = [record.getMessage() for record in caplog.records if not record.exc_info]
    assert counted[:2] == [
        "get_signal: odd (96 more like it)",
        "get_signal: 'no indicator 1' (96 more like it)",
    ]
    assert "in raises" in caplog.text


def test_holes_in_the_candles_of_an_exchange_show_the_call_that_settles_them() -> None:
    register(candles_of(CLOSES), {})
    bk.add_exchange_schema(
        exchange_name="holes", candles={SYMBOL: candles_of(CLOSES)[[*range(90), *range(95, 200)]]}
    )
    with pytest.raises(CandleGapError, match=r"CandleFrame\.from_any\(.*gaps=\"fill\"\)"):
        bk.Backtest.run(SYMBOL, {**CONTEXT, "exchange_name": "holes"})


def test_a_run_and_its_candles_have_one_digest() -> None:
    candles = CandleFrame.from_any(candles_of(CLOSES), symbol=SYMBOL, interval="1m")
    assert run_signals([60], "1h").candles_digest == candles.digest


def test_a_finished_run_says_what_it_has_survived() -> None:
    """A strategy that always raises, and one whose signals are all refused, do not look like ones that never trade."""
    bk.reset()
    bk.add_exchange_schema(exchange_name="sample", candles={"BTCUSDT": bk.sample()})
    bk.add_frame_schema(frame_name="day", start_date=date(2024, 1, 2), end_date=date(2024, 1, 3))

    def raises(symbol: str, when: object, price: float) -> None:
        raise ValueError(f"no *idea* at {price}")

    def near(candles: pl.DataFrame) -> pl.DataFrame:
        return candles.filter(pl.col("closed_at") % 3_600_000 == 0).select(
            timestamp="closed_at",
            position=pl.lit("long"),
            take_profit_percent=pl.lit(0.1),
            stop_loss_percent=pl.lit(1.0),
        )

    heard: list[Exception] = []
    bk.add_strategy_schema(strategy_name="raises", interval="1h", get_signal=raises)
    bk.add_strategy_schema(strategy_name="near", interval="1h", signals=near)
    for listens in (False, True):
        if listens:
            bk.listen_error(heard.append)
        for name, words in (("raises", "25 errors in get_signal"), ("near", "25 signals refused")):
            names = {"strategy_name": name, "exchange_name": "sample", "frame_name": "day"}
            run = bk.Backtest.finish("BTCUSDT", names)
            assert run.has_failed
            assert words in repr(run)
            (trouble,) = run.troubles
            assert (trouble.times, trouble.is_refusal) == (25, name == "near")
            assert ("closer than 0.5 %" if name == "near" else "ValueError: no *idea* at") in trouble.error
    assert len(heard) == 50
    assert {type(error) for error in heard} == {ValueError, bk.RefusedSignalError}
    bk.reset()
