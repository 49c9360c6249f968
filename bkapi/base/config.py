"""Which numbers control the engine and its reports? The configuration (spec engine.md 2, market-data.md 18).

The engine reads a value when it uses it, so a change takes effect at once. A change is all or nothing: the new
configuration is validated as a whole before its values replace the old ones.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from numbers import Real
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from bkapi.errors import ConfigError
from bkcore.errors import did_you_mean, shown
from bkcore.intervals import MOST_MINUTES

if TYPE_CHECKING:
    from bkcore.machine.settings import EngineSettings, FillModel

logger = logging.getLogger(__name__)


#: The largest number of things that a constant may count; minutes have ``MOST_MINUTES``.
MOST = 1_000_000_000


def is_number(value: Any) -> bool:
    """Whether ``value`` is a finite number that a float can hold; a boolean is not."""
    try:
        return isinstance(value, Real) and value is not True and value is not False and math.isfinite(value)
    except OverflowError:  # an integer beyond the largest float
        return False


def _is_count(value: Any, least: int, *, most: int = MOST) -> bool:
    return is_number(value) and least <= value <= most and bool(value == math.floor(value))


def _is_switch(value: Any) -> bool:
    return type(value).__name__ in ("bool", "bool_") or (is_number(value) and value in (0, 1))


@dataclass(frozen=True, slots=True)
class _Domain:
    """The values that a constant may have, and how errors describe them."""

    words: str
    holds: Callable[[Any], bool]


_NOT_NEGATIVE = _Domain("a finite number >= 0", lambda value: is_number(value) and value >= 0)
_POSITIVE = _Domain("a finite number > 0", lambda value: is_number(value) and value > 0)
_COUNT = _Domain(f"an integer from 0 to {MOST:,}", lambda value: _is_count(value, 0))
_POSITIVE_COUNT = _Domain(f"an integer from 1 to {MOST:,}", lambda value: _is_count(value, 1))
_MINUTES = _Domain(
    f"an integer from 1 to {MOST_MINUTES:,}", lambda value: _is_count(value, 1, most=MOST_MINUTES)
)


def _is_minutes_or_endless(value: Any) -> bool:
    return _MINUTES.holds(value) or (isinstance(value, Real) and bool(value == math.inf))


_LIFETIME = _Domain(f'{_MINUTES.words}, or float("inf") for signals without an end', _is_minutes_or_endless)
_PATIENCE = _Domain(
    f'{_MINUTES.words}, or float("inf") for orders that wait until the frame ends', _is_minutes_or_endless
)
_SWITCH = _Domain("True or False", _is_switch)
#: The fill models that a configuration may choose (spec fills.md).
FILL_MODELS: Final = ("next_open", "last_close", "vwap")
#: The fill model of whoever names none.
DEFAULT_FILL_MODEL: Final = "next_open"
_FILL_MODEL = _Domain(
    ", ".join(f'"{model}"' for model in FILL_MODELS[:-1]) + f' or "{FILL_MODELS[-1]}"',
    lambda value: isinstance(value, str) and value in FILL_MODELS,
)
_MAKER_FEE = _Domain(
    "a finite number, below 0 for a rebate, or None for the taker fee",
    lambda value: value is None or is_number(value),
)
_ANY = _Domain("anything", lambda _: True)


@dataclass(frozen=True, slots=True)
class Constant:
    """One constant: its default, unit, meaning, and the values it may have."""

    name: str
    default: Any
    unit: str
    meaning: str
    domain: _Domain = _COUNT


#: Every documented constant, in the order in which problems are reported.
CONSTANTS: tuple[Constant, ...] = (
    Constant("CC_PERCENT_SLIPPAGE", 0.1, "%", "slippage per side in PnL", _NOT_NEGATIVE),
    Constant("CC_PERCENT_FEE", 0.1, "%", "fee per side in PnL", _NOT_NEGATIVE),
    Constant("CC_BREAKEVEN_THRESHOLD", 0.2, "%", "extra margin of the breakeven threshold", _NOT_NEGATIVE),
    Constant(
        "CC_MIN_TAKEPROFIT_DISTANCE_PERCENT",
        0.5,
        "%",
        "smallest distance of the take-profit from the entry",
        _POSITIVE,
    ),
    Constant("CC_MIN_STOPLOSS_DISTANCE_PERCENT", 0.5, "%", "smallest distance of the stop-loss", _POSITIVE),
    Constant("CC_MAX_STOPLOSS_DISTANCE_PERCENT", 20, "%", "largest distance of the stop-loss", _POSITIVE),
    Constant("CC_SCHEDULE_AWAIT_MINUTES", 120, "min", "how long a scheduled signal waits", _PATIENCE),
    Constant(
        "CC_MAX_SIGNAL_LIFETIME_MINUTES", 1440, "min", "default and largest lifetime of a signal", _LIFETIME
    ),
    Constant("CC_MAX_SIGNAL_GENERATION_SECONDS", 180, "s", "wall-clock limit of get_signal", _POSITIVE_COUNT),
    Constant("CC_AVG_PRICE_CANDLES_COUNT", 5, "candles", "window of the VWAP", _POSITIVE_COUNT),
    Constant("CC_GET_CANDLES_RETRY_COUNT", 3, "", "attempts of a candle request", _COUNT),
    Constant("CC_GET_CANDLES_RETRY_DELAY_MS", 5000, "ms", "pause between the attempts", _COUNT),
    Constant(
        "CC_GET_CANDLES_PRICE_ANOMALY_THRESHOLD_FACTOR",
        1000,
        "",
        "a price this many times below the reference is an error",
        _POSITIVE_COUNT,
    ),
    Constant(
        "CC_GET_CANDLES_MIN_CANDLES_FOR_MEDIAN",
        5,
        "candles",
        "from here on the reference price is the median, not the mean",
        _POSITIVE_COUNT,
    ),
    Constant("CC_MAX_CANDLES_PER_REQUEST", 1000, "candles", "largest single candle request", _POSITIVE_COUNT),
    Constant("CC_ORDER_BOOK_TIME_OFFSET_MINUTES", 10, "min", "time range of an order book request", _COUNT),
    Constant("CC_MAX_NOTIFICATIONS", 500, "", "notifications kept per mode", _POSITIVE_COUNT),
    Constant("CC_MAX_SIGNALS", 50, "", "signals kept in the storage per mode", _POSITIVE_COUNT),
    Constant(
        "CC_ENABLE_DCA_EVERYWHERE",
        False,
        "",
        "average buys need no better price than the entries before",
        _SWITCH,
    ),
    Constant("CC_ENABLE_PPPL_EVERYWHERE", False, "", "partial closes on either side of the entry", _SWITCH),
    Constant("CC_ENABLE_TRAILING_EVERYWHERE", False, "", "trailing may loosen a level", _SWITCH),
    Constant("CC_ENABLE_LONG_SIGNAL", True, "", "long signals are allowed", _SWITCH),
    Constant("CC_ENABLE_SHORT_SIGNAL", True, "", "short signals are allowed", _SWITCH),
    Constant("CC_POSITION_ENTRY_COST", 100, "USD", "default cost of an entry", _POSITIVE),
    Constant("CC_ORDER_OPEN_RETRY_ATTEMPTS", 5, "", "live: attempts to open an order"),
    Constant("CC_ORDER_CHECK_RETRY_ATTEMPTS", 5, "", "live: failed order checks that are tolerated"),
    Constant("CC_ORDER_CLOSE_RETRY_ATTEMPTS", 5, "", "live: attempts to close an order"),
    Constant(
        "CC_ENABLE_CANDLE_FETCH_MUTEX", True, "", "one candle request at a time in the process", _SWITCH
    ),
    Constant("CC_ENABLE_BACKTEST_PARALLEL_SPIN", True, "", "parallel backtests take turns", _SWITCH),
    Constant("CC_ORDER_BOOK_MAX_DEPTH_LEVELS", 1000, "levels", "default depth of an order book request"),
    Constant(  # judged where trades are asked for
        "CC_AGGREGATED_TRADES_MAX_MINUTES", 60, "min", "largest single request of aggregated trades", _ANY
    ),
    Constant("CC_NOTIFICATION_ORDER_CHECK_TTL", 900_000, "ms", "pause between order check notifications"),
    Constant("CC_MAX_LOG_LINES", 1000, "", "log entries kept"),
    Constant("CC_REPORT_SHOW_SIGNAL_NOTE", False, "", "reports have a note column", _SWITCH),
    Constant("CC_WALKER_MARKDOWN_TOP_N", 10, "rows", "strategies in the table of a walker report"),
    Constant("CC_MAX_BACKTEST_MARKDOWN_ROWS", 250, "rows", "rows kept for the backtest report"),
    Constant("CC_MAX_LIVE_MARKDOWN_ROWS", 250, "rows", "rows kept for the live report"),
    Constant("CC_MAX_SCHEDULE_MARKDOWN_ROWS", 250, "rows", "rows kept for the schedule report"),
    Constant("CC_MAX_HEATMAP_MARKDOWN_ROWS", 250, "rows", "rows kept per symbol for the heat report"),
    Constant("CC_MAX_PERFORMANCE_MARKDOWN_ROWS", 10_000, "rows", "rows kept for the performance report"),
    Constant("CC_MAX_PARTIAL_MARKDOWN_ROWS", 250, "rows", "rows kept for the partial report"),
    Constant("CC_MAX_BREAKEVEN_MARKDOWN_ROWS", 250, "rows", "rows kept for the breakeven report"),
    Constant("CC_MAX_RISK_MARKDOWN_ROWS", 250, "rows", "rows kept for the risk report"),
    Constant("CC_MAX_STRATEGY_MARKDOWN_ROWS", 250, "rows", "rows kept for the strategy report"),
    Constant("CC_MAX_SYNC_MARKDOWN_ROWS", 250, "rows", "rows kept for the sync report"),
    Constant("CC_MAX_HIGHEST_PROFIT_MARKDOWN_ROWS", 250, "rows", "rows kept for the highest profit report"),
    Constant("CC_MAX_MAX_DRAWDOWN_MARKDOWN_ROWS", 250, "rows", "rows kept for the maximum drawdown report"),
    # Beyond the documented framework (spec fills.md).
    Constant("CC_FILL_MODEL", DEFAULT_FILL_MODEL, "", "how orders fill", _FILL_MODEL),
    Constant("CC_PERCENT_MAKER_FEE", None, "%", "fee of a fill that waited at its price", _MAKER_FEE),
)

DEFAULTS: Mapping[str, Any] = MappingProxyType({constant.name: constant.default for constant in CONSTANTS})

_current: dict[str, Any] = dict(DEFAULTS)


def _as_number(value: object) -> float:
    """The number that ``value`` counts as in a sum: itself, a text that reads as a number, else NaN."""
    try:
        return float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        return math.nan


def _take_profit_covers_costs(config: Mapping[str, Any]) -> Iterator[str]:
    distance = config["CC_MIN_TAKEPROFIT_DISTANCE_PERCENT"]
    slippage = 2 * _as_number(config["CC_PERCENT_SLIPPAGE"])
    fee = 2 * _as_number(config["CC_PERCENT_FEE"])
    if _POSITIVE.holds(distance) and distance < slippage + fee:
        yield (
            f"CC_MIN_TAKEPROFIT_DISTANCE_PERCENT={distance!r} does not cover the costs of a trade: "
            f"at least {slippage + fee:.2f} % (slippage {slippage:.2f} % + fees {fee:.2f} %, both sides)."
        )


def _stop_loss_range(config: Mapping[str, Any]) -> Iterator[str]:
    smallest = config["CC_MIN_STOPLOSS_DISTANCE_PERCENT"]
    largest = config["CC_MAX_STOPLOSS_DISTANCE_PERCENT"]
    if is_number(smallest) and is_number(largest) and smallest >= largest:
        yield (
            f"CC_MIN_STOPLOSS_DISTANCE_PERCENT={smallest!r} must be less than "
            f"CC_MAX_STOPLOSS_DISTANCE_PERCENT={largest!r}."
        )


#: Rules between constants; each is checked right after the constant it is listed under.
_RULES: Mapping[str, Callable[[Mapping[str, Any]], Iterator[str]]] = {
    "CC_MIN_TAKEPROFIT_DISTANCE_PERCENT": _take_profit_covers_costs,
    "CC_MAX_STOPLOSS_DISTANCE_PERCENT": _stop_loss_range,
}


def _problems(config: Mapping[str, Any]) -> Iterator[str]:
    for constant in CONSTANTS:
        yield from _outside(constant, config[constant.name])
        if constant.name in _RULES:
            yield from _RULES[constant.name](config)


def _outside(constant: Constant, value: Any) -> Iterator[str]:
    if not constant.domain.holds(value):
        yield f"{constant.name}={shown(value)} must be {constant.domain.words} ({constant.meaning})."


def _misspelt(names: Iterable[Any]) -> Iterator[str]:
    """A sentence per name that is no constant, but was meant as one: it looks like one, or nearly has its name."""
    for name in names:
        if not isinstance(name, str):
            yield f"{shown(name)} is no name of a constant."
            continue
        folded = name.upper()
        if name in DEFAULTS or not (folded.startswith("CC_") or f"CC_{folded}" in DEFAULTS):
            continue
        if did_you_mean(folded, DEFAULTS) or not any(
            map(str.isdigit, name)
        ):  # no constant has a digit: such keys are one's own, as recorded
            yield _unknown(name)


def _unknown(name: str) -> str:
    near = did_you_mean(name.upper(), DEFAULTS) or "get_config() lists them all."
    return f"{shown(name)} is no constant; {near}".rstrip()


def validate_config(config: Mapping[str, Any]) -> None:
    """Check every rule of spec market-data.md 18.1; raises one :class:`ConfigError` with all problems."""
    _refuse([*_problems(config)])


def _refuse(problems: list[str]) -> None:
    if problems:
        raise ConfigError(
            "GLOBAL_CONFIG validation failed:",
            problems,
            hint="the previous values stay in force; set_config(..., unsafe=True) skips the checks.",
        )


def set_config(partial: Mapping[str, Any] | None = None, /, unsafe: bool = False, **constants: Any) -> None:
    """Change constants: ``set_config(CC_PERCENT_FEE=0.05)`` or ``set_config({"CC_PERCENT_FEE": 0.05})``.

    The configuration that results is validated as a whole, unless ``unsafe``; raises :class:`ConfigError`
    with all problems numbered, and the previous values stay. A misspelt constant is refused; keys of one's own are
    stored without an error, even then. An infinite lifetime is ``float("inf")``. Takes effect at once (spec
    engine.md 2).
    """
    global _current
    if partial is not None and not isinstance(partial, Mapping):
        raise ConfigError(
            f"set_config: {shown(partial)} is not a mapping.", (), hint='give {"CC_PERCENT_FEE": 0.05}.'
        )
    given = {**(partial or {}), **constants}
    changed = {**_current, **given}
    if not unsafe:
        kept = {name: value for name, value in given.items() if not [*_misspelt([name])]}
        try:
            _refuse([*_problems(changed), *_misspelt(given)])
        except ConfigError as error:
            logger.warning("set_config: %s", error.message)
            _current = {**kept, **_current}  # keys that were not there before stay, as recorded
            raise
    _current = changed


@contextmanager
def restored_config() -> Iterator[None]:
    """For a block; afterwards, also after an error, the constants have the values that they had before."""
    global _current
    before = _current
    try:
        yield
    finally:
        _current = before


def constants_of_a_run() -> tuple[str, ...]:
    """The constants that one strategy may have for itself: those that a run of it reads."""
    from bkcore.machine.settings import READ_CONSTANTS

    return *READ_CONSTANTS, "CC_MAX_SIGNAL_GENERATION_SECONDS"


def override_problems(overrides: Mapping[str, Any]) -> list[str]:
    """A sentence per override of one strategy that no run can have, in the words of :func:`set_config`.

    Rules between constants depend on the configuration in force; :func:`engine_settings` checks them.
    """
    known = {constant.name: constant for constant in CONSTANTS}
    problems: list[str] = []
    for name, given in overrides.items():
        if name not in known:
            problems.append(_unknown(name))
        elif name not in constants_of_a_run():
            problems.append(
                f"{name}={shown(given)} belongs to the whole process, not to one strategy: "
                f"set_config({name}={shown(given)})."
            )
        else:
            problems += _outside(known[name], given)
    return problems


def engine_settings(
    *,
    step_ms: int = 60_000,
    fill: FillModel | None = None,
    costs: Mapping[str, Any] | None = None,
    overrides: Mapping[str, Any] | None = None,
    owner: str = "",
) -> EngineSettings:
    """What the engine reads of the constants in force, for candles of ``step_ms``.

    fill        the fill model; default: ``CC_FILL_MODEL``
    costs       constants that an exchange replaces, under ``overrides``
    overrides   constants that a strategy replaces, checked by :func:`override_problems`
    owner       whose overrides they are, for errors: ``"strategy_name='dip'"``

    Raises :class:`ConfigError` for overrides that break a rule between constants, and for values that ``unsafe`` has
    let in and the engine cannot compute with.
    """
    from bkcore.machine.settings import EngineSettings

    before = {**_current, **(costs or {})}
    constants = {**before, **overrides} if overrides else before
    if overrides:
        known = {*_problems(before)}
        if found := [problem for problem in _problems(constants) if problem not in known]:
            raise ConfigError(
                f"The settings of {owner or 'a strategy'} do not fit to the configuration:",
                found,
                hint="change these values in settings={...} of the strategy, or those that set_config(...) has set.",
            )
    try:
        settings = EngineSettings.from_config(constants, step_ms=step_ms, fill=fill)
        settings.record()
        lifetime = float(settings.max_lifetime_minutes)
    except (TypeError, ValueError, OverflowError, KeyError, AttributeError):
        validate_config(constants)
        raise
    counts = (settings.average_candles, settings.chunk_candles)
    if math.isnan(lifetime) or not all(1 <= count <= MOST for count in counts):
        validate_config(constants)
    return settings


def reset_config() -> None:
    """Set every constant to its default."""
    global _current
    _current = dict(DEFAULTS)


def get_config() -> dict[str, Any]:
    """A copy of the values in force."""
    return dict(_current)


def get_default_config() -> Mapping[str, Any]:
    """The defaults, read-only."""
    return DEFAULTS


def value(name: str) -> Any:
    """The value in force of one constant; raises ``KeyError`` for a name that nobody has set."""
    return _current[name]


class ConfigValidationService:
    """Judges the configuration in force (spec market-data.md 18.1)."""

    def validate(self) -> None:
        """Raise :class:`ConfigError` with every broken rule."""
        validate_config(_current)
