"""Which options the commands share, each declared once."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, cast, get_type_hints

import typer

from bkapi.cli.output import ArgumentError
from bkcore.errors import did_you_mean

if TYPE_CHECKING:
    from bkcore.candles.frame import CandleFrame

Candles = Annotated[
    str | None,
    typer.Option(
        help="A candle file: CSV, Parquet, Arrow, a Binance dump; or a quoted pattern such as 'dumps/*.zip'. "
        "Default: the bundled sample."
    ),
]
Name = Annotated[
    str | None, typer.Option("--strategy", help="Which strategy, if the file registers several.")
]
Symbol = Annotated[str | None, typer.Option(help="The symbol, where the file name does not tell it.")]
Start = Annotated[str | None, typer.Option(help="First tick, as 2024-01-31 or 2024-01-31T12:00 (UTC).")]
End = Annotated[str | None, typer.Option(help="Last tick. Default: one candle before the candles end.")]
FrameInterval = Annotated[str, typer.Option(help="Time between ticks: 1m, 5m, 15m, 1h ...")]
Gaps = Annotated[str, typer.Option(help="Missing candles: raise, keep or fill.")]
RunGaps = Annotated[
    str | None, typer.Option(help="Missing candles of the file: raise (the default), keep or fill.")
]
Fill = Annotated[
    str | None,
    typer.Option(
        help="How orders fill: next_open (at the next open), last_close, or vwap (average prices). "
        "Default: what the strategy says, else CC_FILL_MODEL."
    ),
]
Config = Annotated[list[str] | None, typer.Option(help="A configuration constant, as CC_PERCENT_FEE=0.05.")]
Strategy = Annotated[str, typer.Argument(help="A Python file that registers a strategy, or 'example'.")]
File = Annotated[str, typer.Argument(help="A candle file, or a quoted pattern such as 'dumps/*.zip'.")]
Interval = Annotated[str | None, typer.Option(help="The interval, where the file name does not tell it.")]
Target = Annotated[str, typer.Argument(help="The file to write: .csv, .csv.gz, .parquet, .arrow, .feather.")]
Vary = Annotated[
    list[str] | None,
    typer.Option(
        help="One more parameter, of the strategies or of a policy, in every combination: NAME=1,2,3 or "
        "NAME=first:last:step."
    ),
]
Top = Annotated[int, typer.Option(help="How many of the best to print.", min=1)]
Threads = Annotated[int | None, typer.Option(help="Threads. Default: all cores.", min=1)]
#: What ``--config`` takes besides numbers.
_WORDS: Final = {"true": True, "false": False, "none": None}
TableFile = Annotated[Path | None, typer.Option(help="Write all results to a .parquet or .csv file.")]


@dataclass(frozen=True)
class Market:
    """The candles of a run, the time that it covers, its configuration and its fill model."""

    candles: Candles = None
    symbol: Symbol = None
    start: Start = None
    end: End = None
    frame_interval: FrameInterval = "1m"
    gaps: RunGaps = None
    config: Config = None
    fill: Fill = None

    def given(self) -> dict[str, Any]:
        """Put the configuration in force and read the candles: what ``set_up`` takes beside the strategy."""
        configure(self.config)
        return {
            "candles": self._candles(),
            "start": self.start,
            "end": self.end,
            "frame_interval": self.frame_interval,
            "fill": chosen_fill(self.fill),
        }

    def _candles(self) -> CandleFrame | None:
        """The candles of ``--candles``; None for the bundled sample, to which the other options mean nothing."""
        if self.candles is not None:
            return read(self.candles, self.symbol, "1m", self.gaps or "raise")
        for option, value in (("--symbol", self.symbol), ("--gaps", self.gaps)):
            if value is not None:
                raise ArgumentError(
                    f"{option} {value} is about a candle file, and none is given.",
                    hint=f"give it with --candles FILE, or leave {option} out: the bundled sample is complete.",
                )
        return None

    def how(self) -> dict[str, str | None]:
        """What reads the same candles again, wherever that is done."""
        file = None if self.candles is None else str(Path(self.candles).absolute())
        return {"candles": file, "symbol": self.symbol, "gaps": self.gaps or "raise", "fill": self.fill}


def takes_market(command: Callable[..., None]) -> Callable[..., None]:
    """Let a command that has a parameter ``market`` take the options of a :class:`Market` in its place."""
    declared, hints = inspect.signature(command), get_type_hints(command, include_extras=True)
    fields = [*inspect.signature(Market).parameters.values()]
    hints |= get_type_hints(Market, include_extras=True)

    @wraps(command)
    def run(**given: Any) -> None:
        command(market=Market(**{one.name: given.pop(one.name) for one in fields}), **given)

    own = [
        one
        for parameter in declared.parameters.values()
        for one in (fields if parameter.name == "market" else [parameter])
    ]
    kind, made = inspect.Parameter.KEYWORD_ONLY, cast(Any, run)
    made.__annotations__ = hints
    made.__signature__ = inspect.Signature(
        [one.replace(kind=kind, annotation=hints[one.name]) for one in own]
    )
    return run


def read(
    file: str, symbol: str | None = None, interval: str | None = None, gaps: str = "raise"
) -> CandleFrame:
    """The candles of a file, or of all that a pattern finds."""
    from bkapi.cli.file_run import read_candles

    return read_candles(file, symbol=symbol, interval=interval, gaps=gaps)


def chosen_fill(model: str | None) -> str | None:
    """The model of ``--fill``; raises :class:`ArgumentError` for one that there is not."""
    from bkapi.base.config import FILL_MODELS

    if model is not None and model not in FILL_MODELS:
        raise ArgumentError(
            f"--fill {model!r} is no fill model.",
            hint=did_you_mean(model, FILL_MODELS) + f"known: {', '.join(FILL_MODELS)}.",
        )
    return model


def numbers(text: str, option: str) -> list[float]:
    """``1,2,3`` or ``0.5:3:0.5`` (both ends included)."""
    hint = f"give numbers as {option} 0.5,1,2 or a range as {option} 0.5:3:0.5 (first, last, step)."
    try:
        if ":" not in text:
            return [float(part) for part in text.split(",")]
        first, last, step = (float(part) for part in text.split(":"))
    except ValueError:
        raise ArgumentError(f"{option} {text!r} is neither a list nor a range.", hint=hint) from None
    count = (last - first) / step if step > 0 else -1.0
    if not 0 <= count < 1e6:
        raise ArgumentError(f"{option} {text!r} is an empty or endless range.", hint=hint)
    return [round(first + k * step, 10) for k in range(int(count + 1e-9) + 1)]


def configure(constants: list[str] | None) -> None:
    """Put the constants of ``--config`` in force."""
    from bkapi.base.config import get_default_config, set_config

    known = get_default_config()
    chosen: dict[str, Any] = {}
    for constant in constants or []:
        name, _, text = constant.partition("=")
        if name not in known:
            raise ArgumentError(
                f"--config {constant!r}: there is no constant {name!r}.",
                hint=did_you_mean(name, known) + "docs: get_config() lists them all.",
            )
        if isinstance(known[name], str):
            chosen[name] = text  # set_config judges it
            continue
        try:
            chosen[name] = _WORDS[text] if text in _WORDS else float(text)
        except ValueError:
            raise ArgumentError(
                f"--config {constant!r} has no value.",
                hint="give a number, inf, none, true or false: --config CC_PERCENT_FEE=0.05.",
            ) from None
    set_config(chosen)


def varied(vary: list[str] | None) -> dict[str, list[Any]]:
    """The axes that ``--vary`` gives."""
    axes: dict[str, list[Any]] = {}
    for text in vary or ():
        parameter, _, values = text.partition("=")
        if not values or not parameter:
            raise ArgumentError(f"--vary {text!r} means nothing.", hint="write --vary NAME=1,2,3.")
        axes[parameter] = [int(value) if value.is_integer() else value for value in numbers(values, "--vary")]
    return axes
