"""Which fields does a frame have? A span of time and the interval of its ticks (spec market-data.md 11, 19)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date, datetime
from typing import Annotated, Any, ClassVar, Self, TypeAlias, TypedDict

from pydantic import BeforeValidator, Field, model_validator

from bkapi.base.timestamps import to_datetime, to_ms
from bkapi.errors import MomentError, SchemaError
from bkapi.schemas.base import Callback, FrameInterval, Schema, optional, or_default
from bkcore.intervals import INTERVAL_MINUTES

_CLOCK = "%Y-%m-%d %H:%M:%S UTC"

#: The years that candles may lie in.
_YEARS = range(1970, 2200)


def _moment(value: object) -> datetime:
    """A date of a frame; text is refused, as recorded in the golden cases."""
    if not isinstance(value, str):
        try:
            moment = to_datetime(value)  # type: ignore[arg-type]
        except MomentError:
            pass
        else:
            if moment.year in _YEARS:
                return moment
    raise ValueError("is not a date")


Date: TypeAlias = Annotated[datetime, BeforeValidator(_moment)]


class FrameCallbacks(Schema):
    """Callbacks of a frame (spec market-data.md 11.2)."""

    kind: ClassVar[str] = "frame callbacks"

    on_timeframe: Callback = optional("(timestamps, start_date, end_date, interval)")


class FrameSchema(Schema):
    """Which stretch of time a backtest covers, both ends included (spec market-data.md 11).

    Dates are datetimes (naive = UTC), dates or ms UTC of the years 1970 to 2199; here they are aware UTC datetimes. A
    date is its midnight: ``end_date=date(2024, 2, 28)`` makes 2024-02-28 00:00 the last tick.
    """

    kind: ClassVar[str] = "frame"

    frame_name: str = Field(description="the name to register under, a text")
    start_date: Date = Field(
        description="a datetime (naive = UTC), a date, or ms UTC as int, from 1970 to 2199, the first tick"
    )
    end_date: Date = Field(
        description="a datetime (naive = UTC), a date, or ms UTC as int, from 1970 to 2199, the last tick at most"
    )
    interval: Annotated[str, or_default("1m")] = Field(
        default="1m", description="time between ticks: 1m, 3m, 5m, 15m, 30m, 1h, 2h, 4h, 6h, 8h, 12h or 1d"
    )
    callbacks: FrameCallbacks | None = optional("a mapping of callback names to functions")
    note: str | None = optional("free text")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (
            self.end_date < self.start_date and self.interval in INTERVAL_MINUTES
        ):  # else a run names the interval
            raise SchemaError(
                self.kind,
                f"frame_name={self.frame_name!r} has an empty timeframe range: end_date {self.end_date:{_CLOCK}} lies "
                f"before start_date {self.start_date:{_CLOCK}}.",
                field="end_date",
                hint="let the frame start before it ends; a date without a time is its midnight UTC.",
            )
        return self

    @property
    def start_ms(self) -> int:
        """``start_date`` in ms UTC."""
        return to_ms(self.start_date)

    @property
    def end_ms(self) -> int:
        """``end_date`` in ms UTC."""
        return to_ms(self.end_date)


class FrameFields(TypedDict, total=False):
    """Keyword arguments of ``add_frame_schema``, see :class:`FrameSchema`."""

    frame_name: str
    start_date: datetime | date | int
    end_date: datetime | date | int
    interval: FrameInterval | None
    callbacks: FrameCallbacks | Mapping[str, Callable[..., Any]] | None
    note: str | None
