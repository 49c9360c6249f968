"""The sweep over ideas, worked by hand: preparation, trades, slots, tracks, callbacks, errors."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import polars as pl
import pytest

import bkapi as bk
from bkapi.errors import AlreadyExistsError, NotRegisteredError, SchemaError, UnknownNameError

START = 1_704_067_200_000  # 2024-01-01 00:00 UTC
MINUTE = 60_000
ROWS = 1500
POINT = {
    "hard_stop_percent": [2.0],
    "trailing_take_percent": [50.0],
    "hold_minutes": [10],
    "profit_lock_percent": [0],
}


def market(**changed: dict[int, tuple[float, float, float, float]]) -> pl.DataFrame:
    """Flat candles at 100; ``changed["candles"]`` replaces open, high, low, close of single minutes."""
    rows = [(100.0, 100.0, 100.0, 100.0)] * ROWS
    for minute, candle in changed.get("candles", {}).items():
        rows[minute] = candle
    columns = dict(zip(("open", "high", "low", "close"), map(list, zip(*rows, strict=True)), strict=True))
    return pl.DataFrame(
        {"timestamp": [START + k * MINUTE for k in range(ROWS)], **columns, "volume": [1.0] * ROWS}
    )


def idea(
    number: int, minute: float, direction: str = "LONG", author: str = "ann", **more: Any
) -> dict[str, Any]:
    """An idea ``minute`` minutes after the start: its trade opens with the next minute."""
    return {
        "id": number,
        "ts": START + int(minute * MINUTE),
        "symbol": "BTCUSDT",
        "direction": direction,
        "author": author,
        **more,
    }


@pytest.fixture(autouse=True)
def clean() -> Iterator[None]:
    """No costs and short requests, so that numbers can be read."""
    bk.reset()
    bk.set_config(CC_PERCENT_FEE=0.0, CC_PERCENT_SLIPPAGE=0.0, CC_MAX_CANDLES_PER_REQUEST=20)
    yield
    bk.reset()


def register(candles: pl.DataFrame, axes: dict[str, Any] | None = None, **more: Any) -> None:
    """One exchange in memory, one sweep."""
    bk.add_exchange_schema(exchange_name="memory", candles={"BTCUSDT": candles})
    bk.add_sweep_schema(
        sweep_name="feed", exchange_name="memory", grid_axes={**POINT, **(axes or {})}, **more
    )


def run(*ideas: dict[str, Any]) -> bk.IdeaSweepResult:
    return bk.Sweep.run({"symbol": "BTCUSDT", "sweep_name": "feed", "ideas": list(ideas)})


def only_trade(*ideas: dict[str, Any]) -> bk.IdeaTrade:
    (report,) = run(*ideas).reports.reports
    (trade,) = report.trades_list
    return trade


# ------------------------------------------------------------------------------------------------ preparation


def test_ideas_are_filtered_sorted_and_kept_apart_by_480_minutes() -> None:
    told: list[Any] = []
    register(market(), callbacks={"on_profiles": lambda symbol, profiles, cut: told.extend(profiles)})
    result = run(
        idea(1, 480),  # 480 minutes after the kept one: kept
        idea(2, 479),  # dropped, and does not extend the window
        idea(3, 0),
        idea(4, 10, "SHORT"),  # the other direction is independent
        idea(5, 10, author="bob"),
        idea(6, 11, "NEUTRAL", "bob"),
        idea(7, 12, symbol="ETHUSDT"),
    )
    assert (result.ideas_total, result.ideas_directional, result.profile_count) == (6, 4, 4)
    assert [profile.idea_id for profile in told] == [3, 4, 5, 1]


@pytest.mark.parametrize(("minute", "entry"), [(5, 6), (5.5, 6), (5.999, 6)])
def test_the_entry_is_always_the_next_minute(minute: float, entry: int) -> None:
    register(market())
    assert only_trade(idea(1, minute)).entry_timestamp == START + entry * MINUTE


def test_a_profile_tells_extremes_and_what_shook_out_before_the_best() -> None:
    told: list[Any] = []
    candles = {
        1: (100.0, 100.0, 100.0, 100.0),
        2: (100.0, 101.0, 99.0, 100.5),
        3: (100.5, 102.0, 97.0, 101.0),
        4: (101.0, 102.0, 100.0, 101.0),
    }
    register(
        market(candles=candles),
        {"hold_minutes": [4]},
        callbacks={"on_profiles": lambda s, p, t: told.extend(p)},
    )
    run(idea(1, 0), idea(2, 0, "SHORT"))
    long, short = told
    assert (long.max_mfe_percent, long.minutes_to_mfe) == (pytest.approx(2.0), 2)
    assert (long.max_mae_percent, long.minutes_to_mae) == (pytest.approx(-3.0), 2)
    assert long.shakeout_mae_percent == pytest.approx(-1.0)
    assert long.median_move_percent == pytest.approx(0.75)  # of 0, 0.5, 1 and 1
    assert (long.hit, short.hit) == (True, False)
    assert (short.max_mfe_percent, short.max_mae_percent) == (pytest.approx(3.0), pytest.approx(-2.0))
    assert long.outcome_known_at == START + 5 * MINUTE


def test_a_path_ends_with_the_last_full_request() -> None:
    register(market(), {"hold_minutes": [60]})
    last = ROWS - 51  # 50 minutes are left after its entry: two requests of 20
    trade = only_trade(idea(1, last - 0.5))
    assert (trade.hold_minutes_actual, trade.exit_reason) == (40, "data_truncated")
    assert run(idea(1, last - 0.5)).truncated_count == 1


def test_an_idea_without_candles_ends_the_run_and_says_why() -> None:
    register(market())
    with pytest.raises(bk.IdeaSweepError, match="no candles for BTCUSDT idea 7: candle count mismatch"):
        run(idea(1, 0), idea(7, ROWS - 15))


# ----------------------------------------------------------------------------------------------------- trades


def test_the_stop_fills_at_its_level_even_where_a_floor_is_hit_too() -> None:
    candles = {
        2: (100.0, 103.0, 100.0, 103.0),
        3: (103.0, 103.0, 97.0, 97.0),  # through the lock at 101 and the stop at 98
    }
    register(market(candles=candles), {"profit_lock_percent": [1.0]})
    trade = only_trade(idea(1, 0))
    assert (trade.exit_reason, trade.pnl_percent) == ("hard_stop", pytest.approx(-2.0))
    assert trade.exit_timestamp == START + 3 * MINUTE
    assert trade.hold_minutes_actual == 3


def test_a_floor_never_arms_and_fires_in_the_same_candle() -> None:
    candles = {
        2: (100.0, 102.0, 99.0, 101.5),  # arms the lock at 101, and is below it
        3: (101.5, 101.6, 101.2, 101.5),
        4: (101.5, 101.5, 100.9, 101.0),
    }
    register(market(candles=candles), {"profit_lock_percent": [1.0]})
    trade = only_trade(idea(1, 0))
    assert (trade.exit_reason, trade.hold_minutes_actual) == ("profit_lock", 4)
    assert trade.pnl_percent == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("lock", "reason", "pnl"),
    [(1.0, "trailing_take", 110 * 0.98 - 100), (9.0, "profit_lock", 9.0)],
)
def test_of_two_floors_the_better_one_fills(lock: float, reason: str, pnl: float) -> None:
    candles = {2: (100.0, 110.0, 100.0, 110.0), 3: (110.0, 110.0, 100.5, 100.5)}
    register(market(candles=candles), {"trailing_take_percent": [2.0], "profit_lock_percent": [lock]})
    trade = only_trade(idea(1, 0))
    assert (trade.exit_reason, trade.pnl_percent) == (reason, pytest.approx(pnl))


def test_a_short_mirrors_a_long() -> None:
    candles = {2: (100.0, 100.0, 90.0, 90.0), 3: (90.0, 92.0, 90.0, 92.0)}
    register(market(candles=candles), {"trailing_take_percent": [2.0]})
    trade = only_trade(idea(1, 0, "SHORT"))
    assert (trade.exit_reason, trade.pnl_percent) == ("trailing_take", pytest.approx(100 - 90 * 1.02))


def test_costs_are_two_slippages_and_two_fees() -> None:
    bk.set_config(CC_PERCENT_FEE=0.1, CC_PERCENT_SLIPPAGE=0.1)
    register(market())
    trade = only_trade(idea(1, 0))
    assert trade.exit_reason == "time_expired"
    assert trade.pnl_percent == pytest.approx((100 * 0.999 - 100 * 1.001) / (100 * 1.001) * 100 - 0.2)


def test_a_trailing_of_0_is_off_for_trades_and_for_grades() -> None:
    register(market(), {"trailing_take_percent": [0]})
    result = run(idea(1, 0))
    assert result.reports.reports[0].trades_list[0].exit_reason == "time_expired"
    assert result.reports.tracks[0].hits == 0


# ------------------------------------------------------------------------------------ slots, tracks, reports


def test_an_author_has_one_slot_and_blocks_nobody_else() -> None:
    register(market())
    result = run(
        idea(1, 0),
        idea(2, 9, "SHORT"),  # enters in the last minute of trade 1
        idea(3, 9, "SHORT", "bob"),
        idea(4, 500, "SHORT"),
    )
    report = result.reports.reports[0]
    assert report.skipped_busy == 1
    assert [trade.idea_id for trade in report.trades_list] == [1, 3, 4]
    assert [[other.idea_id for other in trade.absorbed_ideas] for trade in report.trades_list] == [
        [2],
        [],
        [],
    ]
    assert report.exit_reasons == {
        "hard_stop": 0,
        "trailing_take": 0,
        "profit_lock": 0,
        "time_expired": 3,
        "data_truncated": 0,
    }


def test_the_minute_after_an_exit_is_free_again() -> None:
    register(market())
    report = run(idea(1, 0), idea(2, 10, "SHORT")).reports.reports[0]
    assert [trade.idea_id for trade in report.trades_list] == [1, 2]


def test_grades_ignore_slots_and_costs_and_the_stop_wins_its_candle() -> None:
    bk.set_config(CC_PERCENT_SLIPPAGE=0.1)
    candles = {
        3: (100.0, 101.0, 100.0, 100.0),  # exactly the lock from the raw entry: a hit
        501: (100.0, 105.0, 97.0, 100.0),  # lock and stop in one candle: a miss
    }
    register(market(candles=candles), {"profit_lock_percent": [1.0]})
    result = run(
        idea(1, 0), idea(2, 1, "SHORT"), idea(3, 490), idea(4, 0, author="bob"), idea(5, 500, author="eve")
    )
    tracks = [(track.author, track.ideas, track.hits) for track in result.reports.tracks]
    assert tracks == [("ann", 3, 1), ("bob", 1, 1), ("eve", 1, 0)]
    assert result.reports.tracks[0].hit_rate == pytest.approx(1 / 3)


def test_a_report_adds_percents_in_order_of_entry() -> None:
    candles = {
        2: (100.0, 100.0, 97.0, 100.0),  # -2 at the stop
        502: (100.0, 104.0, 100.0, 104.0),
        510: (104.0, 104.0, 104.0, 104.0),  # +4 at the end of the hold
        1002: (100.0, 100.0, 97.0, 100.0),
    }
    register(market(candles={**candles, **dict.fromkeys(range(503, 511), (104.0,) * 4)}))
    report = run(idea(1, 0), idea(2, 500), idea(3, 1000)).reports.reports[0]
    assert [trade.pnl_percent for trade in report.trades_list] == pytest.approx([-2.0, 4.0, -2.0])
    assert report.total_pnl_percent == pytest.approx(0.0)
    assert report.win_rate == pytest.approx(1 / 3)
    assert report.profit_factor == pytest.approx(1.0)
    assert report.max_series_drawdown_percent == pytest.approx(2.0)
    assert (report.avg_hold_minutes, report.p95_hold_minutes) == (pytest.approx(14 / 3), 10)
    assert report.sharpe == 0.0  # a single day
    assert "3 trades" in repr(report)


def test_no_ideas_give_the_whole_grid_of_zeros() -> None:
    register(market(), {"hold_minutes": [5, 10], "hard_stop_percent": [1, 2]})
    result = run()
    assert (result.ideas_total, result.avg_hold_minutes, len(result.reports.tracks)) == (0, 0.0, 0)
    assert len(result.reports.reports) == 4
    assert {report.profit_factor for report in result.reports.reports} == {math.inf}
    assert [best.point.hard_stop_percent for best in result.reports.best] == [1, 1, 1, 1]


def test_the_default_grid_has_21280_points_and_an_axis_left_out_is_default() -> None:
    register(market())
    bk.add_sweep_schema(sweep_name="default", exchange_name="memory")
    result = bk.Sweep.run(symbol="BTCUSDT", sweep_name="default", ideas=[])
    assert len(result.reports.reports) == 21_280
    bk.add_sweep_schema(sweep_name="partial", exchange_name="memory", grid_axes={"hold_minutes": [60]})
    assert len(bk.Sweep.run(symbol="BTCUSDT", sweep_name="partial", ideas=[]).frame) == 1520


# ----------------------------------------------------------------------------------------- rankings, callbacks


def rising() -> pl.DataFrame:
    """Ten minutes up to 104, flat at 100 before and after."""
    return market(
        candles={k: (100.0 + k / 3, 100.0 + k / 3, 100.0 + k / 3, 100.0 + k / 3) for k in range(1, 13)}
    )


def test_reports_follow_the_order_asked_for_and_winners_are_the_same_objects() -> None:
    register(rising(), {"hold_minutes": [5, 10, 1]}, report_order="pnl")
    reports = run(idea(1, 0)).reports
    assert [report.point.hold_minutes for report in reports.reports] == [10, 5, 1]
    by = {best.criterion: best.report for best in reports.best}
    assert list(by) == ["sharpe", "sortino", "pnl", "recovery"]
    assert by["pnl"] is reports.reports[0]
    assert by["sharpe"].point.hold_minutes == 5  # all are 0: grid order decides


def test_an_unknown_order_counts_as_sharpe() -> None:
    register(rising(), {"hold_minutes": [5, 10]}, report_order="luck")
    assert [report.point.hold_minutes for report in run(idea(1, 0)).reports.reports] == [5, 10]


def test_callbacks_come_in_the_documented_order() -> None:
    heard: list[Any] = []
    register(
        rising(),
        {"hold_minutes": [5, 5, 10]},  # the second 5 is no new rule
        callbacks={
            "on_ideas": lambda symbol, total, left: heard.append(("ideas", total, left)),
            "on_profiles": lambda symbol, profiles, cut: heard.append(("profiles", len(profiles), cut)),
            "on_authors_trained": lambda symbol, tracks: heard.append(("trained", tracks[0].hold_minutes)),
            "on_grid_point": lambda symbol, report, trades: heard.append(("point", len(trades))),
            "on_progress": lambda symbol, stage, done, total: heard.append((stage, done, total)),
            "on_ranking": lambda symbol, criterion, reports, best: heard.append(
                (criterion, best.report is reports[0])
            ),
            "on_done": lambda symbol, result: heard.append(result),
        },
    )
    result = run(idea(1, 0))
    points = [
        ("trained", 5),
        ("point", 1),
        ("grid", 1, 3),
        ("point", 1),
        ("grid", 2, 3),
        ("trained", 10),
        ("point", 1),
        ("grid", 3, 3),
    ]
    rankings = [(name, True) for name in ("sharpe", "sortino", "pnl", "recovery")]
    assert heard[:-1] == [("ideas", 1, 1), ("profiles", 1, 1), ("profiles", 1, 0), *points, *rankings]
    assert heard[-1] is result
    assert len(result.reports.tracks) == 2


def test_what_a_callback_raises_ends_the_run() -> None:
    def stop(symbol: str, report: Any, trades: Any) -> None:
        raise RuntimeError("enough")

    register(market(), callbacks={"on_grid_point": stop})
    with pytest.raises(RuntimeError, match="enough"):
        run(idea(1, 0))


def test_a_sweep_is_stateless_and_reads_records_mappings_and_frames() -> None:
    register(rising(), {"hold_minutes": [5, 10]})
    rows = [idea(1, 0), idea(2, 3, "SHORT", "bob")]
    first = run(*rows)
    assert run(*rows) == first
    assert run(*[bk.Idea(**row) for row in rows]) == first  # type: ignore[arg-type]
    assert bk.Sweep.run(symbol="BTCUSDT", sweep_name="feed", ideas=pl.DataFrame(rows)) == first
    assert run(*[{**row, "ts": datetime.fromtimestamp(row["ts"] / 1000, UTC)} for row in rows]) == first
    assert first.to_dict()["reports"]["reports"][0]["trades_list"][0]["idea_id"] == 1


def test_a_result_shows_its_winners_and_has_a_frame() -> None:
    register(rising(), {"hold_minutes": [5, 10]}, report_order="pnl")
    result = run(idea(1, 0))
    assert "2 points over 1 of 1 ideas on BTCUSDT" in repr(result)
    assert "recovery" in result._repr_html_()
    assert result.frame["hold_minutes"].to_list() == [10, 5]
    assert result.frame["total_pnl_percent"][0] == result.reports.reports[0].total_pnl_percent
    assert (result.avg_hold_minutes, result.p95_hold_minutes, result.p99_hold_minutes) == (7.5, 10, 10)


# ------------------------------------------------------------------------------------- candles of an adapter


def test_candles_are_asked_for_once_in_chunks_and_a_failure_ends_the_path() -> None:
    asked: list[tuple[int, int]] = []
    candles = market()

    def get_candles(symbol: str, interval: str, since: datetime, limit: int, backtest: bool) -> Any:
        minute = (int(since.timestamp() * 1000) - START) // MINUTE
        asked.append((minute, limit))
        if minute >= 60:
            raise ConnectionError("gone")
        return candles[minute : minute + limit].to_dicts()

    bk.add_exchange_schema(exchange_name="adapter", get_candles=get_candles)
    axes = {**POINT, "hold_minutes": [50]}
    bk.add_sweep_schema(sweep_name="feed", exchange_name="adapter", grid_axes=axes)
    result = run(idea(1, 9), idea(2, 14, author="bob"), idea(3, 24, author="eve"))
    assert asked == [(10, 20), (30, 20), (50, 20), (55, 20), (65, 20)]
    holds = [trade.hold_minutes_actual for trade in result.reports.reports[0].trades_list]
    assert holds == [50, 50, 40]
    assert result.truncated_count == 1


# ----------------------------------------------------------------------------------------- names and services


def test_names_are_validated() -> None:
    with pytest.raises(UnknownNameError, match=r"sweep feed not found source=SweepUtils\.run"):
        run(idea(1, 0))
    bk.add_sweep_schema(sweep_name="feed", exchange_name="nowhere")
    with pytest.raises(UnknownNameError, match="exchange nowhere not found"):
        run(idea(1, 0))
    with pytest.raises(UnknownNameError, match="exchange nowhere not found"):
        bk.get_sweep_schema("feed")
    with pytest.raises(AlreadyExistsError):
        bk.add_sweep(sweep_name="feed", exchange_name="memory")
    with pytest.raises(SchemaError, match="exchange_name"):
        bk.add_sweep_schema(sweep_name="other")  # type: ignore[typeddict-item]
    assert [schema.sweep_name for schema in bk.list_sweep_schema()] == [
        "feed"
    ]  # what was refused is not there


def test_an_override_counts_until_the_first_run() -> None:
    register(market())
    bk.override_sweep_schema(sweep_name="feed", grid_axes={**POINT, "hold_minutes": [5]})
    assert run().reports.reports[0].point.hold_minutes == 5
    bk.override_sweep_schema(sweep_name="feed", grid_axes={**POINT, "hold_minutes": [6]})
    assert run().reports.reports[0].point.hold_minutes == 5
    bk.SweepConnectionService().clear("feed")
    assert run().reports.reports[0].point.hold_minutes == 6


def test_every_entry_gives_the_same() -> None:
    register(rising())
    request: Any = {"symbol": "BTCUSDT", "sweep_name": "feed", "ideas": [idea(1, 0)]}
    wanted = bk.Sweep.run(request)
    for service in (bk.SweepUtils, bk.SweepGlobalService, bk.SweepCoreService, bk.SweepConnectionService):
        assert service().run(request) == wanted
    client = bk.SweepConnectionService().get_sweep("feed")
    assert isinstance(client, bk.ClientSweep)
    assert client is bk.SweepConnectionService().get_sweep("feed")
    assert client.run("BTCUSDT", request["ideas"]) == wanted
    assert bk.SweepCoreService().validate("feed")


def test_the_schema_and_validation_services() -> None:
    schemas, names = bk.SweepSchemaService(), bk.SweepValidationService()
    with pytest.raises(NotRegisteredError):
        schemas.get("a")
    schemas.register("a", {"sweep_name": "a", "exchange_name": "memory"})
    assert schemas.override("a", {"note": "changed"}).note == "changed"
    assert schemas.get("a").note == "changed"
    with pytest.raises(AlreadyExistsError, match="Tool is already registered name=a"):
        schemas.register("a", {"sweep_name": "a", "exchange_name": "memory"})
    with pytest.raises(SchemaError, match="sweep schema validation failed"):
        schemas.validate_shallow({"sweep_name": "a"})
    with pytest.raises(UnknownNameError, match="sweep a not found source=here"):
        names.validate("a", "here")
    names.add_sweep("a", {"sweep_name": "a", "exchange_name": "memory"})
    with pytest.raises(UnknownNameError, match="exchange memory not found source=here"):
        names.validate("a", "here")
    bk.add_exchange_schema(exchange_name="memory", candles={})
    assert names.validate("a", "here")
    assert [schema.sweep_name for schema in names.list()] == ["a"]


# ----------------------------------------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("axes", "message"),
    [
        ({"hard_stop_percent": []}, "the grid is empty: the axis hard_stop_percent"),
        ({"hold_minutes": [0]}, "holdMinutes axis must contain at least one positive value"),
        ({"hold_minutes": [0, 60]}, "hold_minutes=0 is no whole number of minutes >= 1"),
        ({"hold_minutes": [1.5]}, r"hold_minutes=1\.5 is no whole number"),
        ({"hold_minutes": 60}, "hold_minutes=60 is no list"),
        ({"trailing_take_percent": [-1]}, "trailing_take_percent=-1 is no finite number >= 0"),
        ({"profit_lock_percent": ["1"]}, "profit_lock_percent='1' is no finite number"),
        ({"profit_lock_percent": [math.nan]}, "profit_lock_percent=nan is no finite number"),
        ({"hard_stop_percent": [1.0] * 3_000, "profit_lock_percent": [1.0] * 3_000}, "9,000,000 points"),
    ],
)
def test_an_impossible_grid_is_refused(axes: dict[str, Any], message: str) -> None:
    register(market(), axes)
    with pytest.raises(bk.IdeaSweepError, match=message):
        run(idea(1, 0))


def test_an_unknown_axis_is_refused() -> None:
    with pytest.raises(SchemaError, match="grid_axes"):
        register(market(), {"stop": [1]})


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"id": 1}, r"ideas\[1\] has no ts"),
        (idea(1, 0, "UP"), r"ideas\[1\]: direction='UP' is unknown"),
        (idea(1, 0, ts="soon"), r"ideas\[1\]: ts='soon' is no moment"),
        (7, r"ideas\[1\]=7 is no idea"),
    ],
)
def test_a_bad_idea_is_named(bad: Any, message: str) -> None:
    register(market())
    with pytest.raises(bk.IdeaSweepError, match=message):
        run(idea(1, 0), bad)


def test_a_bad_request_is_named() -> None:
    register(market())
    with pytest.raises(bk.IdeaSweepError, match="misses ideas"):
        bk.Sweep.run(symbol="BTCUSDT", sweep_name="feed")
    with pytest.raises(bk.IdeaSweepError, match="no argument 'sweep'"):
        bk.Sweep.run({"symbol": "BTCUSDT", "sweep": "feed", "ideas": []})  # type: ignore[typeddict-unknown-key]
    with pytest.raises(bk.IdeaSweepError, match="is no list of ideas"):
        bk.Sweep.run(symbol="BTCUSDT", sweep_name="feed", ideas="all")


def test_an_exchange_of_other_candles_is_refused() -> None:
    bk.add_exchange_schema(exchange_name="slow", candles={}, base_interval="5m")
    bk.add_sweep_schema(sweep_name="feed", exchange_name="slow", grid_axes=POINT)
    with pytest.raises(bk.IdeaSweepError, match="'slow' runs on 5m candles"):
        run(idea(1, 0))


# ------------------------------------------------------------------------------------- Exchange.get_raw_candles


def raw(*arguments: Any, **named: Any) -> list[int]:
    """Minutes after the start."""
    rows = bk.Exchange.get_raw_candles("BTCUSDT", "5m", {"exchange_name": "memory"}, *arguments, **named)
    return [(timestamp - START) // MINUTE for timestamp in rows["timestamp"]]


def at(minute: float) -> int:
    return START + int(minute * MINUTE)


def test_raw_candles_of_every_combination() -> None:
    register(market())
    assert raw(2, at(7), at(30)) == [5, 10]
    assert raw(s_date=at(7), e_date=at(21)) == [5, 10, 15]
    assert raw(2, e_date=at(21)) == [10, 15]
    assert raw(2, at(7)) == [5, 10]
    assert raw(4, at(7), at(12)) == [5, 10, 15, 20]  # documented: the limit is not held to e_date
    inside = bk.run_in_mock_context(lambda: raw(2), when=at(21), exchange_name="memory")
    assert inside == [10, 15]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((None, None, None), "invalid parameter combination"),
        ((None, at(5), None), "invalid parameter combination"),
        ((None, None, at(5)), "invalid parameter combination"),
        ((2, at(9), at(9)), r"sDate \(\d+\) must be < eDate"),
        ((None, at(6), at(9)), "calculated limit is 0, must be > 0"),
        ((1, None, at(31)), r"eDate \(\d+\) exceeds current time .* Look-ahead bias protection"),
        ((9, at(0), at(30)), r"calculated endTimestamp \(\d+\) exceeds current time"),
        ((2, at(-5), None), "candle count mismatch"),
    ],
)
def test_raw_candles_that_make_no_sense(arguments: tuple[Any, ...], message: str) -> None:
    register(market())
    with pytest.raises(bk.CandleRequestError, match=message):
        bk.run_in_mock_context(lambda: raw(*arguments), when=at(30.5), exchange_name="memory")


def test_raw_candles_are_asked_for_once() -> None:
    calls: list[int] = []

    def get_candles(symbol: str, interval: str, since: datetime, limit: int, backtest: bool) -> Any:
        calls.append(limit)
        raise ConnectionError("gone")

    bk.add_exchange_schema(exchange_name="memory", get_candles=get_candles)
    with pytest.raises(ConnectionError):
        raw(2, at(0))
    assert calls == [2]
