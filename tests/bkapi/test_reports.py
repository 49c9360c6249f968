"""What the services, facades and switches of reports promise (spec reports.md 1, 2)."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import bkapi
from bkapi.backtests.backtest import Backtest
from bkapi.cli.file_run import set_up
from bkapi.reporting.documents.services import MARKDOWN_SERVICES
from bkapi.reporting.journal.services import REPORT_SERVICES
from bkapi.reporting.kinds import FLAGS

CONTEXT = {"strategy_name": "sma_cross", "exchange_name": "file", "frame_name": "file"}
KEY = ("BTCUSDT", "sma_cross", "file", "file", True)


@pytest.fixture(autouse=True)
def _fresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    bkapi.reset()
    yield
    bkapi.reset()


def run_example() -> None:
    setup = set_up("example")
    for _ in Backtest.run(setup.symbol, setup.context):
        pass


def again() -> None:
    for _ in Backtest.run("BTCUSDT", CONTEXT):
        pass


def closed(identity: str, pnl: float = 1.0, **changes: Any) -> Any:
    """A closed result as a mapping."""
    signal = {
        "id": identity,
        "symbol": "BTCUSDT",
        "position": "long",
        "pending_at": 60_000,
        "scheduled_at": 60_000,
    }
    event = {
        "action": "closed",
        "signal": signal,
        "symbol": "BTCUSDT",
        "strategy_name": "s",
        "exchange_name": "e",
        "frame_name": "f",
        "backtest": True,
        "current_price": 100.0,
        "close_reason": "take_profit",
        "close_timestamp": 120_000,
        "pnl": {"pnl_percentage": pnl, "pnl_cost": pnl},
    }
    return {**event, **changes}


# ---------------------------------------------------------------------------------------- services


@pytest.mark.parametrize("name", FLAGS)
def test_every_kind_has_its_services_and_both_refuse_or_wait_before_they_are_subscribed(name: str) -> None:
    service = MARKDOWN_SERVICES[name]()
    arguments: tuple[Any, ...] = KEY
    if name == "heat":
        arguments = KEY[2:]
    elif name == "walker":
        arguments = ("w", "BTCUSDT", "sharpe_ratio", {"exchange_name": "e", "frame_name": "f"})
    message = f"{type(service).__name__} not initialized. Call subscribe\\(\\) before getting data."
    with pytest.raises(bkapi.NotSubscribedError, match=message):
        service.get_data(*arguments)
    reports = REPORT_SERVICES[name]()
    for one in (service, reports):
        first = one.subscribe()
        assert one.subscribe() == first
        one.unsubscribe()
        one.unsubscribe()
        assert not one.is_subscribed
    assert not any(channel.listeners for channel in bkapi.emitters)


def test_subscribing_twice_counts_once_and_the_end_drops_everything() -> None:
    service = bkapi.BacktestMarkdownService()
    end = service.subscribe()
    service.subscribe()
    bkapi.emitters.signal_backtest_emitter.emit(closed("a"))
    key = ("BTCUSDT", "s", "e", "f", True)
    assert service.get_data(*key).total_signals == 1
    end()
    service.subscribe()
    assert service.get_data(*key).total_signals == 0


def test_a_handler_counts_without_a_subscription_but_commands_wait_for_it() -> None:
    service = bkapi.BacktestMarkdownService()
    service.tick(closed("a"))
    service.tick(closed("b", action="opened"))
    service.subscribe()
    assert service.get_data("BTCUSDT", "s", "e", "f", True).total_signals == 1
    commands = bkapi.StrategyMarkdownService()
    event: Any = {**closed("a"), "action": "breakeven", "timestamp": 0, "signal_id": "a"}
    commands.breakeven(event)
    commands.subscribe()
    assert commands.get_data("BTCUSDT", "s", "e", "f", True).total_events == 0
    commands.breakeven(event)
    assert commands.get_data("BTCUSDT", "s", "e", "f", True).breakeven_count == 1


def test_clear_drops_one_bucket_or_all_and_the_frame_none_is_the_empty_one() -> None:
    service = bkapi.ScheduleMarkdownService()
    service.subscribe()
    for frame in ("", "f"):
        service.tick(closed("a", action="scheduled", frame_name=frame))
    key = ("BTCUSDT", "s", "e")
    assert service.get_data(*key, None, True).total_events == 1
    service.clear(
        {
            "symbol": "BTCUSDT",
            "strategy_name": "s",
            "exchange_name": "e",
            "frame_name": None,
            "backtest": True,
        }
    )
    assert service.get_data(*key, "", True).total_events == 0
    assert service.get_data(*key, "f", True).total_events == 1
    service.clear()
    assert service.get_data(*key, "f", True).total_events == 0


def test_the_limit_is_read_at_every_row_and_a_record_holds_a_copy() -> None:
    service = bkapi.BacktestMarkdownService()
    service.subscribe()
    bkapi.set_config({"CC_MAX_BACKTEST_MARKDOWN_ROWS": 3})
    for number in range(5):
        service.tick(closed(f"s{number}"))
    data = service.get_data("BTCUSDT", "s", "e", "f", True)
    assert [row["signal"]["id"] for row in data.signal_list] == ["s4", "s3", "s2"]
    list.clear(data.signal_list)  # type: ignore[arg-type]
    again = service.get_data("BTCUSDT", "s", "e", "f", True)
    assert (again.total_signals, again) == (3, service.get_data("BTCUSDT", "s", "e", "f", True))


def test_a_record_shows_itself() -> None:
    run_example()
    data = Backtest.get_data("BTCUSDT", CONTEXT)
    assert repr(data).startswith("BacktestStatistics\n")
    assert data._repr_html_().startswith("<table>")
    with pytest.raises(AttributeError):
        data.total_signals = 0  # type: ignore[misc]


# ----------------------------------------------------------------------------------------- switches


def test_enable_is_single_shot_and_disable_undoes_it_all() -> None:
    undo = bkapi.Markdown.enable({"backtest": True, "heat": True})
    assert bkapi.Markdown.enable() is undo
    services = bkapi.Markdown.services
    assert [name for name in FLAGS if services[name].is_subscribed] == ["backtest", "heat"]
    bkapi.Markdown.disable({"backtest": True})
    assert not any(services[name].is_subscribed for name in FLAGS)
    bkapi.Markdown.enable()
    assert all(services[name].is_subscribed for name in FLAGS)
    undo()  # an old one changes nothing
    assert services["backtest"].is_subscribed
    with pytest.raises(bkapi.SchemaError, match="unknown kind 'backtets'"):
        bkapi.Report.enable({"backtets": True})


def test_clearing_a_kind_leaves_the_others() -> None:
    bkapi.Markdown.enable()
    for channel in (bkapi.emitters.signal_backtest_emitter, bkapi.emitters.signal_emitter):
        channel.emit(closed("a"))
    bkapi.Markdown.clear({"backtest": True})
    assert bkapi.Markdown.services["backtest"].get_data("BTCUSDT", "s", "e", "f", True).total_signals == 0
    assert bkapi.Markdown.services["heat"].get_data("e", "f", True).total_symbols == 1


# ------------------------------------------------------------------------------------------- runs


def test_a_second_run_of_a_context_counts_once_everywhere() -> None:
    bkapi.Markdown.enable()
    run_example()
    facades = ("Schedule", "Partial", "Breakeven", "Strategy", "HighestProfit", "MaxDrawdown")
    first = [Backtest.get_report("BTCUSDT", CONTEXT), bkapi.Heat.get_report(CONTEXT, True)]
    first += [getattr(bkapi, name).get_report("BTCUSDT", CONTEXT, True) for name in facades]
    again()
    second = [Backtest.get_report("BTCUSDT", CONTEXT), bkapi.Heat.get_report(CONTEXT, True)]
    second += [getattr(bkapi, name).get_report("BTCUSDT", CONTEXT, True) for name in facades]
    assert first == second
    assert "**Total signals:** 81" in first[0]


def test_rows_keep_no_run_alive() -> None:
    bkapi.Markdown.enable()
    run_example()
    tables = weakref.ref(Backtest.last_run("BTCUSDT", CONTEXT).strategy_run.rows)
    for report in ("Schedule", "Partial", "Breakeven", "Strategy", "HighestProfit", "MaxDrawdown"):
        getattr(bkapi, report).get_data("BTCUSDT", CONTEXT, True)
    bkapi.Heat.get_data(CONTEXT, True)
    assert Backtest.get_data("BTCUSDT", CONTEXT).total_signals == 81
    Backtest.clear()
    gc.collect()
    assert tables() is None


def test_a_run_inside_a_snapshot_is_none_of_the_reports_business() -> None:
    bkapi.Markdown.enable()
    run_example()
    before = [Backtest.get_report("BTCUSDT", CONTEXT), bkapi.Heat.get_report(CONTEXT, True)]
    restore = bkapi.System.create_snapshot()
    bkapi.set_config(CC_PERCENT_FEE=0.01)
    again()
    restore()
    after = [Backtest.get_report("BTCUSDT", CONTEXT), bkapi.Heat.get_report(CONTEXT, True)]
    assert [text.split("*Conditions")[0] for text in after] == [
        text.split("*Conditions")[0] for text in before
    ]


def test_a_run_without_any_report_enabled_still_answers_and_others_say_what_to_do() -> None:
    run_example()
    silent = Backtest.get_report("BTCUSDT", CONTEXT)
    bkapi.Markdown.enable()
    again()
    assert Backtest.get_report("BTCUSDT", CONTEXT) == silent
    bkapi.Markdown.disable()
    with pytest.raises(bkapi.NotSubscribedError, match="Call subscribe"):
        bkapi.Risk.get_data("BTCUSDT", CONTEXT, True)
    with pytest.raises(bkapi.UnknownNameError):
        bkapi.Partial.get_data("BTCUSDT", {**CONTEXT, "strategy_name": "nobody"}, True)


def test_every_document_of_a_run_says_how_its_numbers_were_made() -> None:
    run_example()
    text = Backtest.get_report("BTCUSDT", CONTEXT)
    line = text.split("\n")[-1]
    for part in (
        "fee 0.1 %",
        "slippage 0.1 %",
        "fill model vwap",
        "average price of 5 candles",
        "annualised",
        "run ",
    ):
        assert part in line
    assert Backtest.last_run("BTCUSDT", CONTEXT).candles_digest in line
    assert line.startswith("*Conditions")
    assert line.endswith("*")


def test_the_hash_of_a_run_follows_what_it_was_made_from() -> None:
    def run_hash() -> str:
        return Backtest.get_report("BTCUSDT", CONTEXT).split("; run ")[1].split(";")[0]

    run_example()
    first = run_hash()
    again()
    assert run_hash() == first
    bkapi.set_config(CC_PERCENT_SLIPPAGE=0.05)
    again()
    assert run_hash() != first
    bkapi.set_config(CC_PERCENT_SLIPPAGE=0.1)
    bkapi.override_strategy_schema(strategy_name="sma_cross", policy=bkapi.Policy(close_at_loss_percent=1.0))
    again()
    assert run_hash() != first


def test_the_duration_of_a_run_is_told() -> None:
    bkapi.Markdown.enable({"performance": True})
    run_example()
    data = bkapi.Performance.get_data("BTCUSDT", CONTEXT, True)
    assert [*data.metric_stats] == ["backtest_total"]
    assert data.total_duration > 0


def test_custom_columns_replace_the_table_and_notes_follow_the_configuration() -> None:
    run_example()
    columns = [
        bkapi.ColumnModel("n", "No.", lambda row, index: str(index)),
        {"key": "id", "label": "Id", "format": lambda row, index: row.signal_id, "is_visible": lambda: True},
        {"key": "x", "label": "Hidden", "format": lambda row, index: "", "is_visible": lambda: False},
    ]
    lines = Backtest.get_report("BTCUSDT", CONTEXT, columns).split("\n")
    assert lines[2:4] == ["| No. | Id |", "| --- | --- |"]
    assert lines[4].startswith("| 0 | ")
    assert "| Note |" not in Backtest.get_report("BTCUSDT", CONTEXT)
    bkapi.set_config(CC_REPORT_SHOW_SIGNAL_NOTE=True)
    assert "| Note |" in Backtest.get_report("BTCUSDT", CONTEXT)


def test_stored_closes_are_replayed_once_and_not_counted_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    from bkapi.reporting.documents import history

    stored = {**closed("old")["signal"], **closed("old", pnl=2.0), "id": "old", "status": "closed"}
    monkeypatch.setitem(history.readers, True, lambda: [stored, {**stored, "id": "open", "status": "opened"}])
    service = bkapi.BacktestMarkdownService()
    service.subscribe()
    key = ("BTCUSDT", "s", "e", "f", True)
    assert service.get_data(*key).total_signals == 1
    service.tick(closed("old"))  # the delivery of the same close
    assert service.get_data(*key).total_signals == 1
    service.tick(closed("old"))  # a repeated id counts
    assert service.get_data(*key).total_signals == 2


# ------------------------------------------------------------------------------------ walkers, files


def test_a_walker_document_needs_a_result() -> None:
    service = bkapi.WalkerMarkdownService()
    service.subscribe()
    where: Any = ("w", "BTCUSDT", "sharpe_ratio", {"exchange_name": "e", "frame_name": "f"})
    with pytest.raises(bkapi.NoWalkerDataError, match="No walker data available - no results added yet"):
        service.get_report(*where)
    backtests = bkapi.BacktestMarkdownService()
    backtests.subscribe()
    backtests.tick(closed("a"))
    stats = backtests.get_data("BTCUSDT", "s", "e", "f", True)
    event = bkapi.WalkerEvent(
        "w", "e", "f", "BTCUSDT", "s", stats, float("nan"), "sharpe_ratio", None, None, 1, 2
    )
    bkapi.emitters.walker_emitter.emit(event)
    data = service.get_data(*where)
    assert [(row.strategy_name, row.metric_value) for row in data.strategy_results] == [("s", None)]
    assert data.table["total_signals"].to_list() == [1]
    assert "## Best Strategy: N/A" in service.get_report(*where)


def test_a_document_is_dumped_under_its_name_and_cannot_leave_its_folder(tmp_path: Path) -> None:
    run_example()
    Backtest.dump("BTCUSDT", CONTEXT)
    (file,) = (tmp_path / "dump" / "backtest").iterdir()
    assert file.name.startswith("BTCUSDT_sma_cross_file_file_backtest-")
    assert file.read_text() == Backtest.get_report("BTCUSDT", CONTEXT)
    options = dict.fromkeys(("symbol", "strategy_name", "exchange_name", "frame_name", "signal_id"), "")
    for number, name in enumerate(
        ("../../out.md", "/etc/out.md", "a/b.md", "..", "x" * 400 + ".md", "con.md", "")
    ):
        folder = tmp_path / f"safe{number}"
        bkapi.MarkdownWriter.write_data("risk", "text", {**options, "path": str(folder), "file": name})
        (written,) = folder.iterdir()
        assert (written.parent, written.read_text()) == (folder, "text")
        assert len(written.name.encode()) <= 200


def test_two_texts_never_share_a_file() -> None:
    from bkapi.sinks.file_names import safe_file_name

    names = ["BTC/USDT.md", "BTC_USDT.md", "BTC\\USDT.md", "BTC:USDT.md", " BTC_USDT.md"]
    assert len({safe_file_name(name) for name in names}) == len(names)
    assert safe_file_name("BTC_USDT.md") == "BTC_USDT.md"


def test_a_folder_that_cannot_be_written_to_is_one_clear_error() -> None:
    run_example()
    with pytest.raises(bkapi.SinkError, match="cannot be written into"):
        Backtest.dump("BTCUSDT", CONTEXT, path="/proc/none")


def test_live_rows_replace_each_other_as_documented() -> None:
    service = bkapi.LiveMarkdownService()
    service.subscribe()
    at = datetime(2024, 1, 1, tzinfo=UTC)

    def tick(minute: int, action: str, identity: str = "a") -> None:
        event = closed(identity, action=action, backtest=False, frame_name="", percent_tp=1.0, percent_sl=0.0)
        bkapi.run_in_mock_context(lambda: service.tick(event), when=at + timedelta(minutes=minute))

    tick(0, "idle")
    tick(1, "idle")  # the bottom row is rewritten
    tick(2, "active")
    tick(3, "active")  # in place
    tick(4, "idle")  # nothing opened or active lies below the oldest idle
    tick(5, "closed")
    rows = service.get_data("BTCUSDT", "s", "e", "", False).event_list
    assert [row.action for row in rows] == ["closed", "active", "idle"]
    assert rows[2].timestamp == int((at + timedelta(minutes=4)).timestamp() * 1000)


def test_a_key_that_stands_several_times_is_one_problem() -> None:
    columns = [bkapi.ColumnModel("a", "A", lambda row, index: "") for _ in range(3)]
    with pytest.raises(bkapi.ConfigError) as caught:
        bkapi.set_columns({"risk_columns": columns})
    assert caught.value.problems == ('risk_columns: Duplicate key "a" at indexes 0, 1, 2',)
