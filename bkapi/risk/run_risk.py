"""Asks the risk profiles of a run's strategy, and tells them what is open (spec risk-sizing-walker-sweep.md 1.6)."""

from __future__ import annotations

from collections.abc import Sequence

from bkapi.base.context import MethodContext
from bkapi.events.results import PublicSignal, SignalInput
from bkapi.risk.client import ClientRisk, MergeRisk
from bkapi.risk.records import RiskCheck
from bkapi.risk.services import RiskConnectionService


class RunRisk:
    """The risk profiles of one run: asked before anything opens, and told what is open (spec 1.5).

    The clients are looked up at the first question, so runs that were begun together share them.
    """

    def __init__(
        self, symbol: str, names: MethodContext, risk_names: Sequence[str], *, backtest: bool
    ) -> None:
        self._symbol = symbol
        self._names = names
        self._risk_names = tuple(risk_names)
        self._backtest = backtest
        self._found: ClientRisk | MergeRisk | None = None
        self._holds = False

    def _risk(self) -> ClientRisk | MergeRisk:
        if self._found is None:
            service, names = RiskConnectionService(), self._names
            clients = {
                name: service.get_risk(name, names.exchange_name, names.frame_name, self._backtest)
                for name in self._risk_names
            }
            self._found = MergeRisk(clients) if len(clients) > 1 else clients[self._risk_names[0]]
        return self._found

    def admits(self, signal: SignalInput | PublicSignal, price: float, when_ms: int) -> bool:
        """Whether the signal may open at ``price``; if so its place is reserved."""
        check = RiskCheck(
            symbol=self._symbol,
            current_signal=signal,
            **self._names.to_dict(),
            risk_name=self._risk_names[0],
            current_price=price,
            timestamp=when_ms,
        )
        admitted = self._risk().check_signal_and_reserve(check)
        self._holds = self._holds or admitted
        return admitted

    def hold(self, signal: PublicSignal) -> None:
        """Note that the position has opened."""
        data = {
            "position": signal.position,
            "price_open": signal.entries[0].price,
            "price_stop_loss": signal.price_stop_loss,
            "price_take_profit": signal.price_take_profit,
            "minute_estimated_time": signal.minute_estimated_time,
            "open_timestamp": signal.pending_at,
        }
        self._holds = True
        self._risk().add_signal(self._symbol, self._names.to_dict(), data)

    def release(self) -> None:
        """Note that nothing is open and nothing rests."""
        if self._holds:
            self._holds = False
            self._risk().remove_signal(self._symbol, self._names.to_dict())
