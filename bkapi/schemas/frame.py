"""Which fields does a frame have? A span of time and the interval of its ticks (spec market-data.md 11, 19)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date, datetime
from typing import Annotated, Any, ClassVar, Self, TypeAlias, TypedDict

from pydantic import BeforeValidator, Field

from bkapi.base.timestamps import to_datetime, to_ms
from bkapi.errors import MomentError
from bkapi.schemas.base import Callback, FrameInterval, Schema, not_usable, optional, or_default


def _moment(value: object) -> datetime:
    """A date of a frame; text is refused, as recorded in the golden cases."""
    if not isinstance(value, str):
        try:
            return to_datetime(value)  # type: ignore[arg-type]
        except MomentError:
            pass
    raise ValueError("is not a date")


Date: TypeAlias = Annotated[datetime, BeforeValidator(_moment)]


class FrameCallbacks(Schema):
    """Callbacks of a frame (spec market-data.md 11.2)."""

    kind: ClassVar[str] = "frame callbacks"

    on_timeframe: Callback = optional("(timestamps, start_date, end_date, interval)")


class FrameSchema(Schema):
    """Which stretch of time a backtest covers, both ends included (spec market-data.md 11).

    Dates are datetimes (naive = UTC), dates or ms UTC; here they are aware UTC datetimes.
    """

    kind: ClassVar[str] = "frame"

    frame_name: str = Field(description="the name to register under, a text")
    start_date: Date = Field(description="a datetime (naive = UTC), a date, or ms UTC as int, the first tick")
    end_date: Date = Field(
        description="a datetime (naive = UTC), a date, or ms UTC as int, the last tick at most"
    )
    interval: Annotated[str, or_default("1m")] = Field(
        default="1m", description="time between ticks: 1m, 3m, 5m, 15m, 30m, 1h, 2h, 4h, 6h, 8h, 12h or 1d"
    )
    callbacks: FrameCallbacks | None = optional("a mapping of callback names to functions")
    note: str | None = optional("free text")

    @property
    def start_ms(self) -> int:
        """``start_date`` in ms UTC."""
        return to_ms(self.start_date)

    @property
    def end_ms(self) -> int:
        """``end_date`` in ms UTC."""
        return to_ms(self.end_date)

    @classmethod
    def unchecked(cls, values: Mapping[str, Any]) -> Self:
        """As for any schema, but dates become aware UTC datetimes, since a run computes with them."""
        computed = dict(values)
        for field in ("start_date", "end_date"):
            if field in values:
                try:
                    computed[field] = _moment(values[field])
                except ValueError:
                    raise not_usable(cls, field, values) from None
        return super().unchecked(computed)


class FrameFields(TypedDict, total=False):
    """Keyword arguments of ``add_frame_schema``, see :class:`FrameSchema`."""

    frame_name: str
    start_date: datetime | date | int
    end_date: datetime | date | int
    interval: FrameInterval | None
    callbacks: FrameCallbacks | Mapping[str, Callable[..., Any]] | None
    note: str | None
