"""A policy is one more listener: however a run is driven and whoever hears it, its commands are the same."""

from __future__ import annotations

from typing import Any

from hypothesis import given, strategies as st

import bkapi as bk
from bkapi.schemas.policy import Policy
from tests.property.comparing import ONLY_WITH_LOG, assert_same_runs
from tests.property.playing import play, signals_of
from tests.property.scenes import SYMBOL, Scene, policies, scenes


@given(st.one_of(scenes(busy=True), scenes(holes=True, busy=True)), policies())
def test_skip_and_run_and_step_are_one_with_a_policy(scene: Scene, policy: Policy) -> None:
    market = scene.market()
    run = scene.run("run", market=market, policy=policy).finish()
    for driver in ("skip", "step"):
        assert_same_runs(run, scene.run(driver, market=market, policy=policy).finish())


@given(st.one_of(scenes(busy=True), scenes(holes=True, busy=True)), policies())
def test_the_log_changes_no_trade_of_a_policy(scene: Scene, policy: Policy) -> None:
    market = scene.market()
    logged = scene.run(market=market, policy=policy).finish()
    for driver in ("skip", "run"):
        silent = scene.run(driver, market=market, policy=policy, logs=False).finish()
        assert_same_runs(logged, silent, without=ONLY_WITH_LOG)


@given(scenes(holes=True, busy=True), policies(), st.sampled_from(["skip", "run", "step"]))
def test_a_policy_equals_its_rules_written_as_a_listener(scene: Scene, policy: Policy, driver: Any) -> None:
    strategy = signals_of(scene)
    kinds = ("signal", "signal_event", "order_schedule", "commit", "highest_profit", "max_drawdown")
    written = play(scene, strategy, kinds=kinds, first=lambda: bk.listen_active_ping(Rules(policy)))
    declared = play(scene, {**strategy, "policy": policy}, driver=driver, kinds=kinds)
    assert declared.results == written.results
    assert declared.stream == written.stream
    silent = play(scene, {**strategy, "policy": policy}, driver=driver, kinds=())
    assert silent.results == declared.results


class Rules:
    """The docstring of ``Policy`` once more, in plain Python, as a listener of the ping."""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self.signal = ""

    def __call__(self, event: Any) -> None:
        if event.data.id + str(event.data.pending_at) != self.signal:
            self.signal = event.data.id + str(event.data.pending_at)
            self.is_at_breakeven = False
            self.done = {"profit": 0, "loss": 0}
        self.side = 1 if event.data.position == "long" else -1
        self.price = event.current_price
        if self.closes(event.data.pnl.pnl_percentage):
            bk.commit_close_pending(SYMBOL)
            return
        move = self.side * (self.price / event.data.price_open - 1.0) * 100.0
        way = self.way_gone(event.data)
        self.break_even(move)
        self.trail_stop(move)
        self.trail_take(move)
        self.close_parts("profit", way, bk.commit_partial_profit)
        self.close_parts("loss", -way, bk.commit_partial_loss)
        self.average()

    def closes(self, percent: float) -> bool:
        """The result is good enough, or bad enough."""
        gain, loss = self.policy.close_at_profit_percent, self.policy.close_at_loss_percent
        return (gain is not None and percent >= gain) or (loss is not None and percent <= -loss)

    def way_gone(self, data: Any) -> float:
        """Percent of the way to the target, or, below 0, to the stop."""
        gone = self.side * (self.price - data.price_open)
        if gone == 0:
            return 0.0
        towards, level = (1, data.price_take_profit) if gone > 0 else (-1, data.price_stop_loss)
        whole = towards * self.side * (level - data.price_open)
        return towards * (100.0 if whole <= 0 else min(100.0, abs(gone) / whole * 100.0))

    def break_even(self, move: float) -> None:
        """The stop is brought to the entry, once."""
        wanted = self.policy.breakeven_from_percent
        if wanted is not None and move >= wanted and not self.is_at_breakeven:
            self.is_at_breakeven = bk.commit_breakeven(SYMBOL)

    def trail_stop(self, move: float) -> None:
        """The stop follows the price, never back."""
        distance, row = self.policy.trailing_stop_distance_percent, bk.get_pending_signal(SYMBOL)
        if distance is None or row is None or move < self.policy.trailing_stop_from_percent:
            return
        stop = self.price * (1.0 - self.side * distance / 100.0)
        if self.side * (stop - row.price_stop_loss) > 0:
            shift = bk.sl_price_to_percent_shift(
                stop, row.original_price_stop_loss, row.price_open, row.position
            )
            bk.commit_trailing_stop(SYMBOL, shift, self.price)

    def trail_take(self, move: float) -> None:
        """The target follows the price, never away."""
        distance, row = self.policy.trailing_take_distance_percent, bk.get_pending_signal(SYMBOL)
        if distance is None or row is None or move < self.policy.trailing_take_from_percent:
            return
        take = self.price * (1.0 + self.side * distance / 100.0)
        if self.side * (take - row.price_take_profit) < 0:
            shift = bk.tp_price_to_percent_shift(
                take, row.original_price_take_profit, row.price_open, row.position
            )
            bk.commit_trailing_take(SYMBOL, shift, self.price)

    def close_parts(self, side: str, way: float, commit: Any) -> None:
        """Every level that is reached closes its part, in order; one that is refused waits."""
        levels = getattr(self.policy, f"partial_{side}")
        for at, percent in levels[self.done[side] :]:
            if way < at or not commit(SYMBOL, percent):
                return
            self.done[side] += 1

    def average(self) -> None:
        """The next rung of the ladder."""
        step = self.policy.dca_step_percent
        if step is None or bk.has_no_pending_signal(SYMBOL):
            return
        levels = bk.get_position_levels(SYMBOL)
        if len(levels) >= self.policy.dca_most_entries:
            return
        best = min(levels) if self.side > 0 else max(levels)
        if self.side * (self.price - best * (1.0 - self.side * step / 100.0)) <= 0:
            cost = 100.0 if self.policy.dca_cost is None else self.policy.dca_cost
            for _ in levels[1:]:
                cost *= self.policy.dca_cost_factor
            bk.commit_average_buy(SYMBOL, cost)
