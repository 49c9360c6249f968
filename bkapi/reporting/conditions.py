"""Says in one line how the numbers of a report were made: costs, fill model, price rule, candles, hash of the run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from bkapi.base import config
from bkapi.reporting.provenance import code_version, digest_of, provenance
from bkapi.runs.finished import finished_run
from bkapi.runs.ledger import runs_of
from bkcore.candles.errors import utc_text

if TYPE_CHECKING:
    from bkapi.base.context import RunKey
    from bkapi.runs.strategy import StrategyRun
    from bkcore.machine.settings import EngineSettings

#: How each fill model finds out that a level is reached.
FILL_MODELS: Final = {
    "next_open": "what is decided at a close fills at the next open, levels inside the candle that reaches them, the "
    "worst first, gaps at the open",
    "last_close": "what is decided at a close fills at that close, levels inside the candle that reaches them, the "
    "worst first, gaps at the open",
    "vwap": "levels are held against the average price of {} candles (VWAP), exits at the exact level",
}
ANNUALISATION: Final = (
    "annualised by trades per year = trades x 365 / days from the first opening to the last close, "
    "not below 10 trades or 14 days, not above 365 a year"
)


def costs(fee: float, maker_fee: float | None, slippage: float, fill: str, average_candles: int) -> str:
    """Fees, slippage, fill model and price rule in words.

    maker_fee   told where it differs from the fee and the fill model knows makers; None is the fee
    """
    fees = f"fee {fee:g} %"
    if maker_fee not in (None, fee) and fill in ("next_open", "last_close"):
        fees = f"taker fee {fee:g} %, maker fee {maker_fee:g} %"
    return (
        f"{fees} and slippage {slippage:g} % per side; fill model {fill}: "
        f"{FILL_MODELS[fill].format(average_candles)}"
    )


def told_settings(settings: EngineSettings) -> str:
    """The same of the settings of a run."""
    return costs(
        settings.fee_percent,
        settings.maker_fee_percent,
        settings.slippage_percent,
        settings.fill,
        settings.average_candles,
    )


def told_edge(percent: float | None) -> str:
    """How much better entries were than the next open, in words; nothing at real prices."""
    return "" if percent is None else f" (entries {percent:+.3g} % better than the next open)"


def span(frame: Mapping[str, int]) -> str:
    """First and last tick in words: a day that ends a frame is its midnight."""
    return f"ticks from {utc_text(frame['start_ms'])} to {utc_text(frame['end_ms'])}, the last one"


def run_conditions(run: StrategyRun) -> str:
    """How the numbers of one run were made."""
    about = provenance(run)
    edge = told_edge(finished_run(run).entry_edge_percent)
    return (
        f"{told_settings(run.settings)}{edge}; {ANNUALISATION}; {span(about['frame'])}; "
        f"candles {about['candles']}; run {about['run_hash']}; code {about['code']}"
        + "".join(f"; {in_a_line(str(trouble))}" for trouble in run.repeats.troubles)
    )


def in_a_line(text: str) -> str:
    """A text in one line that Markdown takes as it is."""
    return " ".join(text.split()).translate({ord(sign): f"\\{sign}" for sign in "*<"})


def conditions_line(key: RunKey, strategy_name: str) -> str:
    """What stands under a report: how its numbers were made, as far as this process knows."""
    runs = runs_of(key)
    if len(runs) == 1:
        return f"Conditions: {run_conditions(runs[0])}."
    words = "; ".join(sorted({told_settings(run.settings) for run in runs})) or told_settings(
        config.engine_settings()
    )
    if not runs:
        return f"Conditions: {words}; {ANNUALISATION}; code {code_version()}; candles and run are not known here."
    about = [provenance(run) for run in runs]
    candles = digest_of([one["candles"] for one in about])
    together = digest_of([one["run_hash"] for one in about])
    return (
        f"Conditions: {words}; {ANNUALISATION}; candles of {len(runs)} runs {candles}; runs {together}; "
        f"code {code_version()}."
    )
