"""How large is a position? Fixed percentage, Kelly, ATR (spec risk-sizing-walker-sweep.md 2)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from bkapi.base.context import Context
from bkapi.errors import BkError
from bkapi.events.emitters import call_back
from bkapi.schemas.families import SizingMethodError, check_method
from bkapi.schemas.registry import sizings
from bkapi.schemas.sizing import SizingSchema

Params = Mapping[str, Any]


class SizingError(BkError, ValueError):
    """Raised by ``PositionSize.fixed_percentage("BTCUSDT", 1000, 100, 100, ...)``: no size follows from the numbers."""


def _fixed_percentage(schema: SizingSchema, params: Params) -> float:
    distance = abs(params["price_open"] - params["price_stop_loss"])
    if distance == 0:
        raise SizingError(
            "Stop-loss distance cannot be zero", hint="let price_stop_loss differ from price_open."
        )
    risk: float = params["account_balance"] * (schema.risk_percentage or 0) / 100
    return float(risk / distance)


def _kelly_criterion(schema: SizingSchema, params: Params) -> float:
    rate, ratio, price = params["win_rate"], params["win_loss_ratio"], params["price_open"]
    if not 0 < rate < 1:
        raise SizingError("winRate must be between 0 and 1", hint="0.55 means 55 % of the trades win.")
    if not ratio > 0:
        raise SizingError("winLossRatio must be positive", hint="give average win over average loss.")
    if not price > 0:
        raise SizingError("priceOpen must be positive", hint="give the price of the entry.")
    share = (rate * ratio - (1 - rate)) / ratio
    multiplier = 0.25 if schema.kelly_multiplier is None else schema.kelly_multiplier
    return float(params["account_balance"] * max(0.0, share) * multiplier / price)


def _atr_based(schema: SizingSchema, params: Params) -> float:
    atr = params["atr"]
    if not atr > 0:
        raise SizingError("ATR must be positive", hint="give the average true range in quote currency.")
    distance = atr * (2 if schema.atr_multiplier is None else schema.atr_multiplier)
    if distance == 0:
        raise SizingError(
            "ATR stop distance cannot be zero (check atrMultiplier)", hint="give an atr_multiplier above 0."
        )
    risk: float = params["account_balance"] * (schema.risk_percentage or 0) / 100
    return float(risk / distance)


_METHODS: Mapping[str, Callable[[SizingSchema, Params], float]] = {
    "fixed-percentage": _fixed_percentage,
    "kelly-criterion": _kelly_criterion,
    "atr-based": _atr_based,
}


class ClientSizing:
    """One registered sizing."""

    def __init__(self, schema: SizingSchema) -> None:
        self.schema = schema

    def calculate(self, params: Params) -> float:
        """The size in base units: by the method, then at least, percent at most and at most.

        ``params`` holds ``symbol``, ``method`` and the numbers of the method. Raises :class:`SizingMethodError` for
        another method than the schema's and :class:`SizingError` for impossible numbers.
        """
        schema, method = self.schema, params["method"]
        if method != schema.method:
            raise SizingMethodError(
                f"Params method mismatch: expected {schema.method}, got {method}",
                hint=f"sizing {schema.sizing_name!r} calculates by {schema.method!r}.",
            )
        if method not in _METHODS:
            raise SizingError(f"unknown method {method!r}", hint=f"known: {', '.join(_METHODS)}.")
        quantity = self._capped(_METHODS[method](schema, params), params)
        call_back(schema.callbacks, "on_calculate", quantity, params)
        return quantity

    def _capped(self, quantity: float, params: Params) -> float:
        schema = self.schema
        if schema.min_position_size is not None:
            quantity = max(quantity, schema.min_position_size)
        if schema.max_position_percentage is not None:
            price = params["price_open"] if params.get("price_open") is not None else 0.0
            if not price > 0:
                raise SizingError(
                    "priceOpen must be positive to apply maxPositionPercentage",
                    hint="give the price of the entry.",
                )
            most = params["account_balance"] * schema.max_position_percentage / 100 / price
            quantity = min(quantity, most)
        if schema.max_position_size is not None:
            quantity = min(quantity, schema.max_position_size)
        return quantity


_clients: dict[str, ClientSizing] = {}


class SizingConnectionService:
    """One client per sizing name, made at its first use; overrides after that do not reach it."""

    def get_sizing(self, sizing_name: str) -> ClientSizing:
        """The client of a registered sizing; raises :class:`NotRegisteredError`."""
        client = _clients.get(sizing_name)
        if client is None:
            client = _clients[sizing_name] = ClientSizing(sizings.lookup(sizing_name))
        return client

    def calculate(self, params: Params, context: Context) -> float:
        """As :meth:`ClientSizing.calculate` of ``context["sizing_name"]``."""
        return self.get_sizing(context["sizing_name"]).calculate(params)

    def clear(self) -> None:
        """Forget every client."""
        _clients.clear()


class SizingGlobalService:
    """Validates the name of the sizing, then calculates."""

    def calculate(self, params: Params, context: Context) -> float:
        """As :meth:`ClientSizing.calculate`; raises :class:`UnknownNameError` for an unknown sizing."""
        sizings.validate(context["sizing_name"], "SizingGlobalService.calculate")
        return SizingConnectionService().calculate(params, context)


class PositionSizeUtils:
    """Position sizes in base units by the three methods; the singleton is ``PositionSize``.

    ``context`` is ``{"sizing_name": ...}``. Each raises :class:`UnknownNameError` for an unknown sizing,
    :class:`SizingMethodError` for one of another method, and :class:`SizingError` for impossible numbers.
    """

    @staticmethod
    def _calculate(method: str, context: Context, **params: Any) -> float:
        name, source = context["sizing_name"], f"PositionSize.{method.replace('-', '_')}"
        sizings.validate(name, source)
        check_method(name, method, source)
        return SizingGlobalService().calculate({"method": method, **params}, context)

    @staticmethod
    def fixed_percentage(
        symbol: str, account_balance: float, price_open: float, price_stop_loss: float, context: Context
    ) -> float:
        """``risk_percentage`` of the balance is lost at the stop."""
        return PositionSizeUtils._calculate(
            "fixed-percentage",
            context,
            symbol=symbol,
            account_balance=account_balance,
            price_open=price_open,
            price_stop_loss=price_stop_loss,
        )

    @staticmethod
    def kelly_criterion(
        symbol: str,
        account_balance: float,
        price_open: float,
        win_rate: float,
        win_loss_ratio: float,
        context: Context,
    ) -> float:
        """``kelly_multiplier`` (0.25) of the Kelly share of the balance."""
        return PositionSizeUtils._calculate(
            "kelly-criterion",
            context,
            symbol=symbol,
            account_balance=account_balance,
            price_open=price_open,
            win_rate=win_rate,
            win_loss_ratio=win_loss_ratio,
        )

    @staticmethod
    def atr_based(
        symbol: str, account_balance: float, price_open: float, atr: float, context: Context
    ) -> float:
        """``risk_percentage`` of the balance is lost ``atr_multiplier`` (2) average true ranges away."""
        return PositionSizeUtils._calculate(
            "atr-based",
            context,
            symbol=symbol,
            account_balance=account_balance,
            price_open=price_open,
            atr=atr,
        )


PositionSize = PositionSizeUtils()
