"""What may the manifest of a saved run say? It is checked before anything of it is used."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from bkapi.reporting.conditions import FILL_MODELS
from bkapi.reporting.saved.folder import MANIFEST, SavedRunError
from bkcore.intervals import INTERVAL_MINUTES, MINUTE_MS


def _one_of(known: Mapping[Any, Any]) -> AfterValidator:
    def check(value: Any) -> Any:
        if value not in known:
            raise ValueError(f"{value!r:.40} is none of {', '.join(map(str, known))}")
        return value

    return AfterValidator(check)


Name = Annotated[str, Field(min_length=1, max_length=1000)]
Moment = Annotated[int, Field(ge=0, le=253_402_300_799_999)]
Percent = Annotated[float, Field(allow_inf_nan=False)]


class _Part(BaseModel):
    model_config = ConfigDict(strict=True, extra="allow", frozen=True)


class Frame(_Part):
    """The span of the ticks, ms UTC, and the time between them."""

    start_ms: Moment
    end_ms: Moment
    step_ms: Annotated[
        int, _one_of({minutes * MINUTE_MS: name for name, minutes in INTERVAL_MINUTES.items()})
    ]


class Provenance(_Part):
    """What the run was made from, see :mod:`bkapi.reporting.provenance`."""

    symbol: Name
    frame: Frame
    config: dict[str, bool | int | float | str | None] = Field(min_length=1)
    strategy: dict[str, Any]
    candles: Name
    code: Name


class Conditions(_Part):
    """Costs and fill model, as the line under a report tells them."""

    fee_percent: Percent
    maker_fee_percent: Percent | None = None
    slippage_percent: Percent
    fill: Annotated[str, _one_of(FILL_MODELS)]
    average_candles: Annotated[int, Field(ge=1)]
    entry_edge_percent: Percent | None = None


class How(_Part):
    """How ``bk repeat`` runs it again; the strategy file and the candles may lie anywhere."""

    strategy: Name | None = None
    candles: Name | None = None
    symbol: Name | None = None
    gaps: Name = "raise"
    end_ms: Moment | None = None
    fill: Annotated[str, _one_of(FILL_MODELS)] | None = None


class Manifest(_Part):
    """The whole manifest but for the digests of the files, which :mod:`bkapi.reporting.saved.folder` checks."""

    symbol: Name
    strategy_name: Name
    exchange_name: Name
    frame_name: str
    run_hash: Name
    provenance: Provenance
    conditions: Conditions
    how: How

    @classmethod
    def check(cls, manifest: Mapping[str, Any], folder: Path) -> None:
        """Raise :class:`SavedRunError`, naming the first field that is missing or wrong."""
        try:
            cls.model_validate(manifest)
        except ValidationError as error:
            first = error.errors()[0]
            field = ".".join(map(str, first["loc"]))
            raise SavedRunError(
                f"{str(folder / MANIFEST)!r} is not what was saved: {field}: {first['msg']}"
                + ("." if first["type"] == "missing" else f", not {first['input']!r:.60}."),
                hint="save the run again.",
            ) from None
