"""What does a walker compare, and how does each candidate become a run? Strategies, or combinations of a space."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from bkapi.backtests.prepare import prepare, signal_table
from bkapi.base import config
from bkapi.market.exchange import client_of
from bkapi.runs.strategy import StrategyRun
from bkapi.schemas.registry import exchanges, frames, strategies
from bkapi.schemas.run_settings import settings_of
from bkapi.schemas.space import Space
from bkapi.schemas.strategy import StrategySchema
from bkapi.sweeps.plan import Roles, SweepError, check_bracket, check_hooks, check_whole, with_parameters
from bkapi.sweeps.policies import check_policy
from bkapi.sweeps.result import told_parameters
from bkcore.machine.market import Market
from bkcore.machine.run import Frame
from bkcore.machine.settings import EngineSettings
from bkcore.machine.signals import SignalTable

_KEPT_TABLES: Final = 32  # sets of parameters whose signals are kept
_KEPT_RUNS: Final = 4  # runs that are kept after they were played again for their trades
_NUMBERED: Final = 65_536  # combinations whose conditions are tested together


@dataclass(frozen=True)
class Candidate:
    """One of the compared runs: its name, its strategy, and the parameters of its combination."""

    name: str
    strategy_name: str
    parameters: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Conditions:
    """Everything registered that a run of a strategy depends on: strategy, exchange, frame, configuration."""

    strategy: StrategySchema
    exchange: Any
    frame: Any
    constants: Mapping[str, Any]

    @classmethod
    def of(cls, strategy_name: str, context: Mapping[str, str]) -> Conditions:
        """The conditions in force now."""
        return cls(
            strategies.lookup(strategy_name),
            exchanges.lookup(context["exchange_name"]),
            frames.lookup(context["frame_name"]),
            config.get_config(),
        )

    def hold(self) -> bool:
        """Whether the same conditions are still in force."""
        names = {"exchange_name": self.exchange.exchange_name, "frame_name": self.frame.frame_name}
        now = Conditions.of(self.strategy.strategy_name, names)
        same = all(getattr(now, name) is getattr(self, name) for name in ("strategy", "exchange", "frame"))
        return same and now.constants == self.constants


class Candidates(Sequence[Candidate]):
    """The candidates of a walker in order: every strategy and, with a space, every combination of each.

    symbol      whose candles
    context     ``{"exchange_name": ..., "frame_name": ...}``

    Raises :class:`UnknownNameError` for a parameter that a strategy does not know, and :class:`SweepError` for
    brackets that cannot be traded or a strategy that has no signals to vary.
    """

    def __init__(
        self, symbol: str, names: Sequence[str], context: Mapping[str, str], space: Space | None
    ) -> None:
        self.symbol = symbol
        self.names = tuple(names)
        self.space = space
        self._context = {"exchange_name": context["exchange_name"], "frame_name": context["frame_name"]}
        self._roles: dict[str, Roles] = {}
        self._numbers: NDArray[np.int64] = np.zeros(1, np.int64)
        self._tables: OrderedDict[tuple[Any, ...], tuple[Any, SignalTable | None]] = OrderedDict()
        self._played: OrderedDict[str, StrategyRun] = OrderedDict()
        self._asking = threading.Lock()
        if space is not None:
            self._roles = {name: self._roles_of(name, space) for name in self.names}
            chunks = [space.columns(k, k + _NUMBERED)[0] for k in range(0, space.size, _NUMBERED)]
            self._numbers = np.concatenate(chunks)
            if not self._numbers.size:
                raise SweepError(
                    "no combination meets the conditions of the space.",
                    hint="loosen them, or widen its axes.",
                )

    def _roles_of(self, name: str, space: Space) -> Roles:
        strategy = strategies.lookup(name)
        if strategy.signals is None and strategy.kernel is None:
            raise SweepError(
                f"strategy {name!r} has no signals function, so a space cannot vary it.",
                hint="register it with signals=<function from candles to a signal frame>, or with a jitted kernel.",
            )
        roles = Roles.of(space, strategy)
        if strategy.signals is None and roles.bracket:
            raise SweepError(
                f"the kernel of {name!r} sets its own levels.",
                hint=f"make {roles.bracket[0]} one of its params.",
            )
        client = client_of(self._context["exchange_name"], "Walker")
        settings = settings_of(strategy, client.schema, step_ms=client.step_ms)
        check_bracket(space, roles.bracket, settings)
        check_policy(space, roles.policy, fill=settings.fill, strategy_name=name)
        check_hooks(space, roles.hooks)
        check_whole(space, (*roles.policy, *roles.bracket))
        return roles

    def __len__(self) -> int:
        return len(self.names) * self._numbers.size

    def __getitem__(self, place: Any) -> Any:
        if isinstance(place, slice):
            return [self[k] for k in range(*place.indices(len(self)))]
        strategy, combination = divmod(range(len(self))[place], self._numbers.size)
        name = self.names[strategy]
        if self.space is None:
            return Candidate(name, name)
        parameters = self.space.parameters(int(self._numbers[combination]))
        return Candidate(f"{name}({told_parameters(parameters)})", name, parameters)

    # ------------------------------------------------------------------------------------------------- their runs

    def conditions(self, candidate: Candidate) -> Conditions:
        """The conditions in force now that a run of the candidate depends on."""
        return Conditions.of(candidate.strategy_name, self._context)

    def prepare(self, candidate: Candidate) -> StrategyRun:
        """The run of a candidate before its first tick; raises what :func:`bkapi.backtests.prepare.prepare` raises."""
        context = {**self._context, "strategy_name": candidate.strategy_name}
        if candidate.parameters is None:
            return prepare(self.symbol, context, source="Walker.run")
        roles = self._roles[candidate.strategy_name]
        base = strategies.lookup(candidate.strategy_name)
        run = prepare(
            self.symbol,
            context,
            source="Walker.run",
            strategy=with_parameters(base, candidate.parameters, roles),
            signals=partial(self._signals, roles=roles),
        )
        run.run.set_bracket(**{name: float(candidate.parameters[name]) for name in roles.bracket})
        return run

    def _signals(
        self,
        strategy: StrategySchema,
        market: Market,
        symbol: str,
        *,
        settings: EngineSettings,
        frame: Frame,
        roles: Roles,
    ) -> SignalTable | None:
        """The signals of one set of parameters, computed once; one thread at a time computes."""
        if strategy.signals is None:
            return None
        key = (
            strategy.strategy_name,
            id(strategy.signals),
            id(market),
            settings.at_real_prices,
            repr([strategy.params[name] for name in roles.signals]),
        )
        with self._asking:
            if key not in self._tables:
                made = signal_table(strategy, market, symbol, settings=settings, frame=frame)
                self._tables[key] = (
                    (strategy.signals, market),
                    made,
                )  # keeps the objects alive whose ids are in the key
                if len(self._tables) > _KEPT_TABLES:
                    self._tables.popitem(last=False)
            return self._tables[key][1]

    def again(self, candidate: Candidate, run: StrategyRun) -> Callable[[], StrategyRun]:
        """A function that plays the run of a combination once more, so that its trades need not be kept."""
        roles = self._roles[candidate.strategy_name]
        strategy, market, frame, settings = run.schema, run.run.market, run.frame, run.settings
        names, policy, hooks = run.names, run.policy, run.hooks
        bracket = {name: float((candidate.parameters or {})[name]) for name in roles.bracket}

        def played() -> StrategyRun:
            known = self._played.get(candidate.name)
            if known is None:
                table = self._signals(
                    strategy, market, self.symbol, settings=settings, frame=frame, roles=roles
                )
                known = StrategyRun(
                    *(self.symbol, names, strategy, market, frame, settings),
                    table=table,
                    policy=policy,
                    hooks=hooks,
                )
                known.run.set_bracket(**bracket)
                known.play_ahead()
                self._played[candidate.name] = known
                if len(self._played) > _KEPT_RUNS:
                    self._played.popitem(last=False)
            return known

        return played
