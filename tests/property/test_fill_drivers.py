"""One machine at real prices: however a run is driven, listened to or interrupted, it is the same to the last bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from bkcore.intervals import MINUTE_MS
from bkcore.machine.codes import Command, Commit, EventKind, Listen, Wake
from bkcore.machine.hooks import MANAGE, compile_hook
from bkcore.machine.records import NEW_WAKE
from bkcore.machine.run import MOST_WAITING, Hooks, Run
from tests.golden.fills_case import Record, differences
from tests.golden.fills_engine import record_of, run_of
from tests.golden.run_fills_twin import play as twin
from tests.property.comparing import ONLY_WITH_LOG, assert_same_runs
from tests.property.fill_scenes import ALL_COLUMNS, MIDNIGHT, fill_scenes, scene_of
from tests.property.test_interruption import continued
from tests.shares import share

pytestmark = pytest.mark.real_prices
MANY = settings(max_examples=4 * settings().max_examples)
DRIVERS = st.sampled_from(["skip", "run", "step"])
#: Busy ones, and calm ones that are long enough for a run to have something to jump over.
some_scenes = st.one_of(
    fill_scenes(columns=ALL_COLUMNS),
    fill_scenes(columns=ALL_COLUMNS, candles=(300, 1500), calm=True, densities=(0.05, 0.01, 0.3)),
)
EVENTS = sum(int(Listen.EVENTS) << int(kind) for kind in EventKind)
STOPS = int(Listen.IDLE | Listen.ACTIVE_PING | Listen.SCHEDULE_PING | Listen.MONITORED | Listen.TICK)
#: A bit, and the wake with which a run returns for it.
WAKES = {
    int(Listen.IDLE): Wake.IDLE,
    int(Listen.ACTIVE_PING): Wake.ACTIVE_PING,
    int(Listen.SCHEDULE_PING): Wake.SCHEDULE_PING,
    int(Listen.MONITORED): Wake.MONITORED,
    int(Listen.TICK): Wake.TICK,
    EVENTS: Wake.EVENTS,
}


def assert_same(one: Run, other: Run, *, without: tuple[str, ...] = ()) -> None:
    """Both runs came to the same end, and the same became of their rows."""
    assert_same_runs(one, other, without=without)
    assert one.row_counts == other.row_counts
    assert one.now.target == other.now.target


def wakes_of(run: Run) -> list[tuple[Wake, int]]:
    """Why a run returned, and when, until it ended."""
    found = []
    while (wake := run.advance()) is not Wake.DONE:
        found.append((wake, run.when))
    return found


@MANY
@given(some_scenes)
def test_skip_and_run_and_step_are_one(scene: Record) -> None:
    run = run_of(scene, driver="run").finish()
    share("scenes with a trade", run.trades.size > 0, least=0.5)
    assert_same(run, run_of(scene, driver="skip").finish())
    assert_same(run, run_of(scene, driver="step").finish())


@given(some_scenes, DRIVERS)
def test_the_log_changes_no_trade(scene: Record, driver: Any) -> None:
    logged = run_of(scene).finish()
    silent = run_of(scene, driver=driver, logs=False).finish()
    assert silent.events.size == 0
    assert_same(logged, silent, without=ONLY_WITH_LOG)


@MANY
@given(some_scenes, DRIVERS, st.integers(0, 2**20 - 1))
def test_whatever_is_listened_to_nothing_changes(scene: Record, driver: Any, bits: int) -> None:
    whole = run_of(scene, driver="run").finish()
    run = run_of(scene, driver=driver, listen=bits)
    wakes = {wake for wake, _ in wakes_of(run)}
    share("runs that return on the way", bool(wakes), least=0.5)
    assert_same(whole, run)


@pytest.mark.parametrize("bit", WAKES, ids=[wake.name.lower() for wake in WAKES.values()])
@settings(max_examples=settings().max_examples // 2)
@given(some_scenes)
def test_skipping_keeps_every_wake_that_is_listened_to(bit: int, scene: Record) -> None:
    """A run that jumps returns for the same reasons at the same times as one that visits every candle."""
    told = wakes_of(run_of(scene, driver="run", listen=bit))
    share("runs that return", bool(told), least=0.05)
    assert {wake for wake, _ in told} <= {WAKES[bit]}
    assert wakes_of(run_of(scene, driver="skip", listen=bit)) == told


@given(some_scenes, st.lists(st.integers(0, 2**20 - 1), min_size=1, max_size=8), st.integers(0, 99))
def test_stops_of_any_kind_change_nothing(scene: Record, bits: list[int], seed: int) -> None:
    """Listening now to this and now to that, skipping or not, a run comes to the same end."""
    whole = run_of(scene, driver="run").finish()
    run = run_of(scene)
    dice = np.random.default_rng(seed)
    while True:
        run.listen(int(dice.choice(bits)))
        run.state["skips"] = dice.integers(0, 2)
        if run.advance() is Wake.DONE:
            break
    assert_same(whole, run)


@given(some_scenes, DRIVERS, st.integers(0, 300))
def test_a_run_that_is_handed_over_never_stopped(scene: Record, driver: Any, stops: int) -> None:
    """From wherever it stands, another run goes on with its state."""
    whole = run_of(scene).finish()
    first = run_of(scene, driver="run", listen=STOPS | EVENTS)
    for _ in range(stops):
        if first.advance() is Wake.DONE:
            share("runs that stopped on the way", False, least=0.2)
            return
    share("runs that stopped on the way", True)
    assert_same(whole, continued(first, run_of(scene, driver=driver)).finish())


@given(some_scenes, st.integers(0, 300))
def test_a_run_that_starts_again_is_a_new_run(scene: Record, stops: int) -> None:
    whole = run_of(scene).finish()
    run = run_of(scene)
    run.listen(STOPS)
    for _ in range(stops):
        if run.advance() is Wake.DONE:
            break
    run.restart()
    assert_same(whole, run.finish())


#: Conditions to be woken at: how far from the entry in percent of it, net percents, and candles from now on.
conditions = st.fixed_dictionaries(
    {},
    optional={
        "wake_above": st.sampled_from([1.0, 0.25, -1.0, 4.0]),
        "wake_below": st.sampled_from([-1.0, -0.25, 1.0, -4.0]),
        "wake_pnl_above": st.sampled_from([0.5, 1.0, -1.0]),
        "wake_pnl_below": st.sampled_from([-0.5, -1.0, 0.5]),
        "wake_at": st.sampled_from([1, 3, 0, 40]),
    },
)


def woken(scene: Record, driver: Any, wanted: dict[str, float]) -> tuple[Run, list[int]]:
    """A run in which every position waits for a condition, again and again, and when each held."""
    opened = int(Listen.EVENTS) << int(EventKind.OPENED)
    run = run_of(scene, driver=driver, listen=opened)
    state, moments, step = run.now, [], int(run.settings["step_ms"][0])
    while (wake := run.advance()) is not Wake.DONE:
        if wake is Wake.WOKEN:
            moments.append(run.when)
        if wake not in (Wake.EVENTS, Wake.WOKEN) or state.current < 0:
            continue
        entry = float(run.trades[state.current]["effective_open"])
        state.wake_above = entry * (1 + wanted.get("wake_above", np.inf) / 100)
        state.wake_below = entry * (1 + wanted.get("wake_below", -np.inf) / 100)
        state.wake_pnl_above = wanted.get("wake_pnl_above", np.inf)
        state.wake_pnl_below = wanted.get("wake_pnl_below", -np.inf)
        after = wanted.get("wake_at")
        state.wake_at = np.iinfo(np.int64).max if after is None else run.when + int(after * step)
        state.has_wake = NEW_WAKE
    return run, moments


@MANY
@given(some_scenes, conditions)
def test_who_waits_for_a_condition_is_woken_at_the_same_candle(
    scene: Record, wanted: dict[str, float]
) -> None:
    run, moments = woken(scene, "run", wanted)
    share("runs in which somebody is woken", bool(moments), least=0.2)
    other, others = woken(scene, "skip", wanted)
    assert others == moments
    assert_same(run, other)


def fall_of(percent: float, *, then: int = 3) -> list[list[Any]]:
    """A candle at 100, one that falls by ``percent`` and comes back, and some that stand still."""
    rows = [[100.0, 100.0, 100.0, 100.0], [100.0, 100.0, 100.0 - percent, 100.0]]
    rows += [[100.0] * 4] * then
    return [[MIDNIGHT + k * MINUTE_MS, *prices, 1.0] for k, prices in enumerate(rows)]


@pytest.mark.parametrize("first", ["market", "limit"])
@pytest.mark.parametrize("logs", [True, False])
@pytest.mark.parametrize("driver", ["skip", "run", "step"])
def test_a_ladder_of_hundreds_of_steps_is_climbed_in_one_candle(driver: Any, logs: bool, first: str) -> None:
    """Tables grow in the middle of the candle, more than once, and nothing is lost or done twice."""
    limit = {"price_open": 100.0} if first == "limit" else {}
    scene = scene_of(
        fall_of(60.0),
        [{"timestamp": MIDNIGHT + MINUTE_MS, "position": "long", **limit}],
        {"dca_step_percent": 0.1, "dca_most_entries": 700, "partial_loss_percent": [(30.0, 50.0)]},
    )
    run = run_of(scene, driver=driver, logs=logs).finish()
    (trade,) = run.trades
    assert (trade["entry_count"], trade["partial_count"]) == (700, 1)
    prices = run.entries["price"][:700]
    np.testing.assert_allclose(prices, 100.0 * 0.999 ** np.arange(700), rtol=1e-12)
    assert list(differences(twin(scene), record_of(run))) == []


def test_a_gap_over_hundreds_of_steps_is_one_entry_at_the_open() -> None:
    """The next level is a step below the last fill, which is the open (spec fills.md 5)."""
    rows = [[100.0] * 4, [100.0] * 4, [50.0, 50.0, 50.0, 50.0], [50.0] * 4]
    scene = scene_of(
        [[MIDNIGHT + k * MINUTE_MS, *prices, 1.0] for k, prices in enumerate(rows)],
        [{"timestamp": MIDNIGHT + MINUTE_MS, "position": "long"}],
        {"dca_step_percent": 0.1, "dca_most_entries": 700},
    )
    run = run_of(scene).finish()
    assert run.trades["entry_count"].tolist() == [2]
    assert list(differences(twin(scene), record_of(run))) == []


def test_an_open_at_hundreds_of_levels_fills_them_all_at_the_open() -> None:
    """A step that is too small to be told from the price before; tables grow on the way."""
    scene = scene_of(
        fall_of(0.0),
        [{"timestamp": MIDNIGHT + MINUTE_MS, "position": "long"}],
        {"dca_step_percent": 1e-15, "dca_most_entries": 700},
    )
    run = run_of(scene).finish()
    assert (run.entries["time"][:700] == MIDNIGHT + MINUTE_MS).all()
    assert list(differences(twin(scene), record_of(run))) == []


@pytest.mark.parametrize("room", [*range(33, 80, 3), 1000])
def test_room_in_the_tables_decides_no_price(room: int) -> None:
    """A level that an open jumps over is filled at the open, whether or not a table is full."""
    rows = [[100.0] * 4, [100.0] * 4, [95.0] * 4, [95.0] * 4]
    scene = scene_of(
        [[MIDNIGHT + k * MINUTE_MS, *prices, 1.0] for k, prices in enumerate(rows)],
        [{"timestamp": MIDNIGHT + MINUTE_MS, "position": "long"}],
        {"dca_step_percent": 1.0, "partial_loss_percent": [(1.0, 10.0), (2.0, 10.0), (3.0, 10.0)]},
    )
    run = run_of(scene)
    run._events = np.zeros(room, run._events.dtype)
    run.tables = run._tables()
    run.finish()
    assert run.entries["price"][:2].tolist() == [100.0, 95.0]
    assert list(differences(twin(scene), record_of(run))) == []


@pytest.mark.parametrize("driver", ["skip", "run", "step"])
def test_a_stop_that_trails_thousands_of_times_keeps_every_move(driver: Any) -> None:
    count = 5000
    closes = 100.0 + 0.25 * np.arange(count)
    candles = [
        [MIDNIGHT + k * MINUTE_MS, close - 0.25, close + 0.125, close - 0.5, close, 1.0]
        for k, close in enumerate(closes.tolist())
    ]
    scene = scene_of(
        candles,
        [{"timestamp": MIDNIGHT + MINUTE_MS, "position": "long"}],
        {"trailing_stop_distance_percent": 3.0},
    )
    run = run_of(scene, driver=driver).finish()
    moved = run.commits["code"][: int(run.now.commit_count)] == Commit.TRAILING_STOP
    assert moved.sum() == count - 2  # neither before the entry nor at the last tick, which ends the frame
    assert_same(run_of(scene, driver="run").finish(), run)
    assert list(differences(twin(scene), record_of(run))) == []


TABLES = ("_events", "entries", "partials", "revisions", "commits")
TENTHS = [(10.0 * (k + 1), 5.0) for k in range(10)]


def sell_eight(
    when: Any,
    price: Any,
    known_price: Any,
    open: Any,  # noqa: A002
    high: Any,
    low: Any,
    close: Any,
    volume: Any,
    position: Any,
    params: Any,
    memory: Any,
    orders: Any,
) -> Any:
    """As many orders as a hook may give."""
    for k in range(8):
        orders[k, 0] = Command.PARTIAL_PROFIT
        orders[k, 1] = 1.0
    return 8


def swinging() -> Record:
    """A candle that reaches all there is to reach on both sides, and the position survives it."""
    rows = [[100.0] * 4, [100.0, 199.0, 51.0, 100.0], [100.0] * 4]
    return scene_of(
        [[MIDNIGHT + k * MINUTE_MS, *prices, 1.0] for k, prices in enumerate(rows)],
        [
            {
                "timestamp": MIDNIGHT + MINUTE_MS,
                "position": "long",
                "price_open": 100.0,
                "price_take_profit": 200.0,
                "price_stop_loss": 50.0,
            }
        ],
        {
            "breakeven_from_percent": 20.0,
            "trailing_take_distance_percent": 70.0,
            "partial_profit_percent": [(at * 0.95, percent) for at, percent in TENTHS],
        },
    )


def commanded() -> Record:
    """An open at which everything that was commanded, and everything that rests, is filled."""
    rows = [[100.0] * 4, [101.0] * 4, [101.0] * 4, [250.0] * 4, [250.0] * 4]
    return scene_of(
        [[MIDNIGHT + k * MINUTE_MS, *prices, 1.0] for k, prices in enumerate(rows)],
        [{"timestamp": MIDNIGHT, "position": "long"}],
        {"partial_profit_percent": TENTHS},
    )


@pytest.mark.parametrize("scene", [swinging(), commanded()], ids=["swinging", "commanded"])
@pytest.mark.parametrize("table", TABLES)
def test_no_candle_writes_past_the_end_of_a_table(table: str, scene: Record) -> None:
    """Whatever room a table has left, it grows in time."""
    hooks = Hooks(None, compile_hook(sell_eight, MANAGE))
    hooked = scene["policy"].get("breakeven_from_percent") is None
    for room in range(33, 132):
        run = run_of(
            scene, listen=int(Listen.ACTIVE_PING) if hooked else 0, hooks=hooks if hooked else Hooks()
        )
        kept = np.zeros(room + 64, getattr(run, table).dtype)
        setattr(run, table, kept[:room])
        run.tables = run._tables()
        while run.advance() is not Wake.DONE:
            for _ in range(MOST_WAITING):
                run.order(Command.PARTIAL_PROFIT, price=run.known_price(), value=1.0, time=run.when)
        assert not kept[room:].view(np.uint8).any()
        assert run.trades["partial_count"][0] > 8
