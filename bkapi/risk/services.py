"""The documented services over risk profiles: a client per profile, exchange, frame and mode (spec: see ``client``)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from bkapi.base.context import MethodContext
from bkapi.base.forwarding import Forwarding, forwarded
from bkapi.risk.client import ClientRisk, Context, Params, _one_at_a_time, _Stores, use_position_store
from bkapi.schemas.registry import risks, validate_names

R = TypeVar("R")
_ClientKey = tuple[str, str, str, bool]

_clients: dict[_ClientKey, ClientRisk] = {}


def _client_key(payload: Context) -> _ClientKey:
    frame_name = payload.get("frame_name") or ""
    return payload["risk_name"], payload["exchange_name"], frame_name, payload["backtest"]


class RiskConnectionService:
    """One client per risk name, exchange, frame and mode, made at its first use.

    ``payload`` holds ``risk_name``, ``exchange_name``, ``frame_name`` and ``backtest``; for ``add_signal`` and
    ``remove_signal`` also ``strategy_name``.
    """

    def get_risk(self, risk_name: str, exchange_name: str, frame_name: str, backtest: bool) -> ClientRisk:
        """The client, the same at every call until it is cleared; raises :class:`NotRegisteredError`."""
        key = (risk_name, exchange_name, frame_name or "", backtest)
        with _one_at_a_time:
            client = _clients.get(key)
            if client is None:
                store = None if backtest else _Stores.positions
                client = ClientRisk(risks.lookup(risk_name), *key[1:], store=store)
                _clients[key] = client
            return client

    def _of(self, payload: Context) -> ClientRisk:
        return self.get_risk(*_client_key(payload))

    def check_signal(
        self, params: Params, payload: Context, options: Mapping[str, Any] | None = None
    ) -> bool:
        """As :meth:`ClientRisk.check_signal`."""
        return self._of(payload).check_signal(params, options)

    def check_signal_and_reserve(self, params: Params, payload: Context) -> bool:
        """As :meth:`ClientRisk.check_signal_and_reserve`."""
        return self._of(payload).check_signal_and_reserve(params)

    def add_signal(self, symbol: str, payload: Context, data: Mapping[str, Any]) -> None:
        """As :meth:`ClientRisk.add_signal`."""
        self._of(payload).add_signal(symbol, payload, data)

    def remove_signal(self, symbol: str, payload: Context) -> None:
        """As :meth:`ClientRisk.remove_signal`."""
        self._of(payload).remove_signal(symbol, payload)

    def clear(self, payload: Context | None = None) -> None:
        """Forget one client or all; a run in progress keeps the one that it has."""
        with _one_at_a_time:
            if payload is None:
                _clients.clear()
            else:
                _clients.pop(_client_key(payload), None)


class RiskGlobalService(Forwarding):
    """The entry point of the risk profiles: names are validated, then the connection service is asked."""

    def validate(self, payload: Context, source: str = "RiskGlobalService.validate") -> bool:
        """True when risk, exchange and, where given, frame are registered; raises :class:`UnknownNameError`.

        Successes are remembered by the registries.
        """
        return validate_names(payload, source, "risk", "exchange", "frame")

    def _ask(self, method: Callable[..., R], given: Mapping[str, Any]) -> R:
        if given.get("payload") is not None:
            self.validate(given["payload"], f"RiskGlobalService.{method.__name__}")
        return method(RiskConnectionService(), **given)

    check_signal = forwarded(RiskConnectionService.check_signal)
    check_signal_and_reserve = forwarded(RiskConnectionService.check_signal_and_reserve)
    add_signal = forwarded(RiskConnectionService.add_signal)
    remove_signal = forwarded(RiskConnectionService.remove_signal)
    clear = forwarded(RiskConnectionService.clear)


def clear_risks(risk_names: Sequence[str], names: MethodContext, *, backtest: bool) -> None:
    """A run starts: its risk profiles begin without positions; runs in progress keep what they have (spec 1.9)."""
    for risk_name in risk_names:
        payload = {"risk_name": risk_name, **names.to_dict(), "backtest": backtest}
        RiskConnectionService().clear(payload)


def forget_risks() -> None:
    """Forget every client and the store, as at the start of the process."""
    _clients.clear()
    use_position_store(None)
