"""Computes the levels of a signal from percents: ``Position.bracket``, ``Position.moonbag`` (spec engine.md 14)."""

from __future__ import annotations

from typing import TypedDict

from bkapi.events.results import SIDES, Position as Side

_MOONBAG_PERCENT = 50.0


class Levels(TypedDict):
    """Side and both levels of a signal, in quote currency."""

    position: Side
    price_take_profit: float
    price_stop_loss: float


class Position:
    """Computes take-profit and stop-loss prices from percents of the price, for both sides."""

    @staticmethod
    def bracket(
        *, position: Side, current_price: float, percent_stop_loss: float, percent_take_profit: float
    ) -> Levels:
        """Levels ``percent_take_profit`` and ``percent_stop_loss`` away from ``current_price``.

        ``Position.bracket(position="short", current_price=100, percent_stop_loss=2, percent_take_profit=3)`` gives
        take-profit 97 and stop-loss 102. The same formula serves signal frames that give their levels in percent.
        """
        sign = SIDES[position]
        return {
            "position": position,
            "price_take_profit": current_price * (1 + sign * percent_take_profit / 100),
            "price_stop_loss": current_price * (1 - sign * percent_stop_loss / 100),
        }

    @staticmethod
    def moonbag(*, position: Side, current_price: float, percent_stop_loss: float) -> Levels:
        """A bracket whose take-profit is 50 % away."""
        return Position.bracket(
            position=position,
            current_price=current_price,
            percent_stop_loss=percent_stop_loss,
            percent_take_profit=_MOONBAG_PERCENT,
        )
