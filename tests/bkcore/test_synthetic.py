"""The synthetic market: repeatable to the bit, valid at the door, and statistically like a market."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings, strategies as st

from bkcore import synthetic
from bkcore.candles.errors import CandleError, CandleFileError
from bkcore.candles.frame import CandleFrame

TWO_MONTHS = synthetic.generate(minutes=60 * 1440, seed=5)


def log_returns(frame: CandleFrame) -> np.ndarray:
    return np.diff(np.log(frame.close))


def autocorrelation(values: np.ndarray, lag: int) -> float:
    centred = values - values.mean()
    return float((centred[lag:] * centred[:-lag]).mean() / centred.var())


def test_one_seed_gives_the_same_bits():
    # made once and written down: another platform or library version must find the same candles
    assert synthetic.generate(minutes=1440, seed=3).digest == "f1b7f012546a1977"
    assert (
        synthetic.generate(minutes=1440, seed=3, gaps=3, jumps=20.0, price=0.5, price_decimals=6).digest
        == "d6d864b58f211ed3"
    )
    assert synthetic.generate(minutes=1440, seed=4).digest != synthetic.generate(minutes=1440, seed=3).digest


def test_more_minutes_continue_the_same_market():
    assert synthetic.generate(minutes=3000, seed=5).frame.equals(TWO_MONTHS.frame[:3000])


@settings(max_examples=60, deadline=None)
@given(
    minutes=st.integers(1, 400),
    seed=st.integers(0, 2**128),
    price=st.sampled_from([1e-4, 0.5, 100.0, 42_000.0, 1e9]),
    volatility=st.sampled_from([0.0, 10.0, 300.0, 20_000.0]),
    clustering=st.floats(0.0, 1.0),
    rhythm=st.floats(0.0, 1.0),
    jumps=st.sampled_from([0.0, 5.0, 1440.0]),
    gaps=st.integers(0, 3),
)
def test_every_setting_gives_valid_candles(minutes, seed, price, volatility, clustering, rhythm, jumps, gaps):
    gaps = min(gaps, (minutes - 2) // 4) if minutes > 6 else 0
    frame = synthetic.generate(
        minutes=minutes, seed=seed, price=price, annual_volatility_percent=volatility, clustering=clustering,
        daily_rhythm=rhythm, jumps=jumps, gaps=gaps, price_decimals=6, start=datetime(2020, 2, 29, 23, 58),
    )  # fmt: skip
    assert len(frame.gaps) == gaps
    assert len(frame) + int(frame.gaps["missing"].sum()) == minutes
    assert (frame.high >= np.maximum(frame.open, frame.close)).all()
    assert (frame.low <= np.minimum(frame.open, frame.close)).all()
    assert frame.low.min() > 0.0
    assert frame.start == datetime(2020, 2, 29, 23, 58, tzinfo=UTC)


def test_returns_have_fat_tails_and_clustered_volatility():
    returns = log_returns(TWO_MONTHS)
    kurtosis = float(((returns - returns.mean()) ** 4).mean() / returns.var() ** 2)
    assert kurtosis > 6.0
    assert abs(autocorrelation(returns, 1)) < 0.03
    sizes = np.abs(returns)
    assert autocorrelation(sizes, 1) > 0.2
    assert autocorrelation(sizes, 60) > 0.1
    assert 35.0 < returns.std() * np.sqrt(525_600) * 100.0 < 90.0
    calm = log_returns(
        synthetic.generate(minutes=60 * 1440, seed=5, clustering=0.0, daily_rhythm=0.0, jumps=0.0)
    )
    assert abs(autocorrelation(np.abs(calm), 1)) < 0.01
    assert 54.0 < calm.std() * np.sqrt(525_600) * 100.0 < 56.0


def test_the_day_has_a_rhythm():
    hours = TWO_MONTHS.frame.group_by(pl.from_epoch("timestamp", "ms").dt.hour().alias("hour")).agg(
        pl.col("volume").mean(), (pl.col("high") / pl.col("low")).log().median().alias("range")
    )
    by_hour = {row["hour"]: row for row in hours.iter_rows(named=True)}
    assert by_hour[14]["volume"] > 1.7 * by_hour[5]["volume"]
    assert by_hour[14]["range"] > 1.2 * by_hour[5]["range"]
    assert np.isclose(synthetic.HOURLY_ACTIVITY.mean(), 1.0)


def test_volume_follows_movement():
    correlation = np.corrcoef(np.abs(log_returns(TWO_MONTHS)), TWO_MONTHS.volume[1:])[0, 1]
    assert correlation > 0.4
    assert 10.0 < TWO_MONTHS.volume.mean() < 60.0


def test_jumps_and_outages_leave_the_other_minutes_alone():
    whole = synthetic.generate(minutes=5000, seed=9)
    holed = synthetic.generate(minutes=5000, seed=9, gaps=4)
    assert len(holed.gaps) == 4
    assert holed.frame.equals(whole.frame.filter(pl.col("timestamp").is_in(holed.timestamps.tolist())))
    smooth = synthetic.generate(minutes=5000, seed=9, jumps=0.0, clustering=0.0)
    jumpy = synthetic.generate(minutes=5000, seed=9, jumps=10.0, clustering=0.0)
    moved = np.abs(log_returns(smooth) - log_returns(jumpy)) > 1e-6
    assert 10 < moved.sum() < 70


@pytest.mark.parametrize(
    ("argument", "named"),
    [
        ({"minutes": 0}, "minutes=0, but it must be an integer from 1 to 52,560,000"),
        ({"minutes": 1.5}, "minutes=1.5"),
        ({"minutes": 10**9}, "minutes=1000000000"),
        ({"seed": -1}, "seed=-1"),
        ({"price": 0.0}, "price=0.0, but it must be a number from 1e-09"),
        ({"price": float("nan")}, "price=nan"),
        ({"annual_volatility_percent": float("inf")}, "annual_volatility_percent=inf"),
        ({"annual_drift_percent": float("nan")}, "annual_drift_percent=nan"),
        ({"clustering": 1.5}, "clustering=1.5, but it must be a number from 0 to 1."),
        ({"gaps": 100, "minutes": 200}, "gaps=100, but it must be an integer from 0 to 50"),
        ({"jumps": "many"}, "jumps='many'"),
        ({"start": "tomorrow"}, "start='tomorrow', but it must be a full minute"),
        ({"start": datetime(2024, 1, 1, 0, 0, 30)}, "a full minute"),
        ({"start": datetime(1960, 1, 1)}, "since 1970"),
        ({"start": 5}, "start=5"),
        ({"symbol": ""}, "symbol=''"),
    ],
)
def test_arguments_out_of_range_are_refused(argument, named):
    with pytest.raises(CandleError) as refused:
        synthetic.generate(**argument)
    assert named in str(refused.value)


# ---- the bundled sample ----


def test_the_bundled_sample_is_what_its_call_makes():
    frame = CandleFrame.read(synthetic.sample_path(), gaps="raise")
    assert (frame.symbol, frame.interval, len(frame)) == ("BTCUSDT", "1m", synthetic.SAMPLE_DAYS * 1440)
    assert frame == synthetic.generate_sample() == synthetic.sample()
    assert synthetic.sample_path().stat().st_size < 3_000_000
    assert "synthetic" in synthetic.sample_path().name


def test_the_readme_of_the_sample_tells_its_call_and_digest():
    text = (synthetic.sample_path().parent / "README.md").read_text()
    assert f"generate(minutes={synthetic.SAMPLE_DAYS} * 1440, seed={synthetic.SAMPLE_SEED})" in text
    assert synthetic.sample().digest in text


def test_without_its_file_the_sample_is_generated(monkeypatch, tmp_path):
    monkeypatch.setattr(synthetic, "_SAMPLE", tmp_path / "absent.parquet")
    assert synthetic.sample() == synthetic.generate_sample()
    with pytest.raises(CandleFileError, match="only the source tree carries it"):
        synthetic.sample_path()
