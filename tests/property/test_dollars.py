"""Where the money went: a ledger kept from the event frame alone comes to the results of the trades.

Cash in is the cost of the entries, a part that is closed leaves with its basis and its units, and what is left
leaves at the end (spec engine.md 9).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import isclose
from typing import Any

from hypothesis import given, strategies as st

from bkapi.schemas.policy import Policy
from bkcore.machine.event_log import events_frame, trades_frame
from tests.property.playing import play, signals_of
from tests.property.scenes import Scene, policies, scenes
from tests.shares import share

#: Policies that close parts and add entries, so that nearly every ledger has something to say.
busy_policies = st.builds(
    lambda policy, profit, loss, step: Policy(
        **{
            **policy.model_dump(exclude_unset=True),
            "partial_profit": ((10.0, profit), (50.0, 50.0), (80.0, 100.0)),
            "partial_loss": ((25.0, loss), (60.0, 33.0)),
            "dca_step_percent": step,
            "dca_most_entries": 4,
        }
    ),
    policies(),
    st.sampled_from([10.0, 33.0, 99.0]),
    st.sampled_from([10.0, 33.0, 99.0]),
    st.sampled_from([0.1, 0.3]),
)


@dataclass
class Ledger:
    """One position: ``basis`` and ``units`` that are left, and what has left, as (basis, entry, exit price)."""

    side: int
    basis: float
    units: float
    invested: float
    bought: float
    legs: list[tuple[float, float, float]] = field(default_factory=list)

    @property
    def entry(self) -> float:
        """Dollars per unit of what is left."""
        return self.basis / self.units

    def add(self, price: float, cost: float) -> None:
        """An entry."""
        self.basis += cost
        self.units += cost / price
        self.invested += cost
        self.bought += cost / price

    def close(self, percent: float, price: float) -> None:
        """``percent`` of what is left goes."""
        part = self.basis * percent / 100.0
        self.legs.append((part, self.entry, price))
        self.units -= part / self.entry
        self.basis -= part

    def profit(self, fee: float, slippage: float) -> float:
        """Dollars gained: every leg bought and sold with slippage, a fee on the way in and on each way out."""
        total = -self.invested * fee / 100.0
        for part, entry, price in self.legs:
            paid = entry * (1.0 + self.side * slippage / 100.0)
            got = price * (1.0 - self.side * slippage / 100.0)
            worth = part * got / paid
            total += self.side * (worth - part) - worth * fee / 100.0
        return total


def near(one: float, other: float, scale: float = 1.0) -> bool:
    """Equal but for rounding, measured against ``scale``."""
    return isclose(one, other, rel_tol=1e-9, abs_tol=1e-9 * scale)


def ledgers(run: Any) -> dict[int, Ledger]:
    """A ledger per trade, kept from the rows of the event frame."""
    trades = trades_frame(run)
    kept: dict[int, Ledger] = {}
    for event in events_frame(run).iter_rows(named=True):
        trade, price, value = event["trade"], event["price"], event["value"]
        if event["kind"] == "opened":
            cost = float(run.trades["cost"][trade])
            side = 1 if trades["position"][trade] == "long" else -1
            kept[trade] = Ledger(side, cost, cost / price, cost, cost / price)
        ledger = kept.get(trade)
        if ledger is None:
            continue
        match event["action"]:
            case "average-buy":
                ledger.add(price, value)
            case "partial-profit" | "partial-loss":
                ledger.close(value, price)
        if event["kind"] == "closed":
            assert near(100.0 - event["closed_percent"], ledger.basis / ledger.invested * 100.0, 100.0)
            if ledger.basis > 1e-9 * ledger.invested:
                assert near(event["effective_open"], ledger.entry)
                ledger.close(100.0, price)
    return kept


@given(scenes(busy=True, noise=0.01), busy_policies)
def test_the_event_frame_accounts_for_every_dollar(scene: Scene, policy: Policy) -> None:
    run = scene.run(policy=policy).finish()
    trades = trades_frame(run)
    fee, slippage = scene.settings.fee_percent, scene.settings.slippage_percent
    kept = ledgers(run)
    closed = [number for number, status in enumerate(trades["status"]) if status == "closed"]
    share("runs with a closed trade", bool(closed), least=0.5)
    assert set(closed) <= set(kept)
    for number in closed:
        ledger, row = kept[number], trades.row(number, named=True)
        invested = ledger.invested
        assert near(row["invested"], invested)
        assert near(sum(part for part, _, _ in ledger.legs), invested)
        assert near(sum(part / entry for part, entry, _ in ledger.legs), ledger.bought)
        assert row["pnl_cost"] == row["pnl_percent"] / 100.0 * row["invested"]
        assert near(row["pnl_cost"], ledger.profit(fee, slippage), invested)


@given(scenes(busy=True), busy_policies)
def test_a_result_tells_the_same_money_as_its_row(scene: Scene, policy: Policy) -> None:
    results = play(scene, {**signals_of(scene), "policy": policy}, kinds=()).results
    closed = [result for result in results if result["action"] == "closed"]
    share("runs with a closed trade", bool(closed), least=0.5)
    for result in closed:
        row, pnl = result["signal"], result["pnl"]
        assert row["pnl"] == pnl
        costs = sum(entry["cost"] for entry in row["entries"])
        assert near(pnl["pnl_entries"], costs)
        assert pnl["pnl_cost"] == pnl["pnl_percentage"] / 100.0 * pnl["pnl_entries"]
        sold = sum(part["percent"] / 100.0 * part["cost_basis_at_close"] for part in row["partials"])
        assert near(row["partial_executed"], sold / costs * 100.0, 100.0)
        assert len(row["entries"]) == row["total_entries"]
        assert len(row["partials"]) == row["total_partials"]
