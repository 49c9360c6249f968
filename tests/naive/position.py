"""What is a signal once it exists? The row of an order or position, and what is shown (spec engine.md 1)."""

from dataclasses import dataclass, field, replace

from tests.naive.pnl import NO_PNL, Costs, Entry, Partial, Pnl, closed_share, closing_pnl, effective_entry


@dataclass(frozen=True, slots=True)
class Extreme:
    """Best or worst average seen so far and what closing there would have paid (8.4)."""

    price: float | None
    timestamp: int | None
    pnl_percentage: float
    price_open: float
    price_close: float
    pnl_cost: float
    pnl_entries: float

    @classmethod
    def of(cls, price: float | None, timestamp: int | None, pnl: Pnl) -> "Extreme":
        """The extreme at ``price``, with the five numbers of ``pnl``."""
        return cls(
            price,
            timestamp,
            pnl.pnl_percentage,
            pnl.price_open,
            pnl.price_close,
            pnl.pnl_cost,
            pnl.pnl_entries,
        )


NO_EXTREME = Extreme.of(None, None, NO_PNL)
"""Peak and fall of a row that never opened."""


@dataclass(frozen=True, slots=True)
class PublicRow:
    """What listeners and getters see of a row (1.3); ``entries`` and ``partials`` are its history."""

    id: str
    symbol: str
    position: str
    note: str
    cost: float
    price_open: float
    price_take_profit: float
    price_stop_loss: float
    original_price_open: float
    original_price_take_profit: float
    original_price_stop_loss: float
    minute_estimated_time: float
    scheduled_at: int
    pending_at: int
    timestamp: int
    total_entries: int
    total_partials: int
    partial_executed: float
    pnl: Pnl
    peak_profit: Extreme
    max_drawdown: Extreme
    entries: tuple[Entry, ...]
    partials: tuple[Partial, ...]


@dataclass(slots=True)
class Row:
    """The internal row (1.2). Only its history, the trailing levels and the extremes ever change."""

    id: str
    symbol: str
    position: str
    note: str
    cost: float
    price_open: float
    price_take_profit: float
    price_stop_loss: float
    minute_estimated_time: float
    scheduled_at: int
    pending_at: int
    timestamp: int
    is_scheduled: bool
    entries: list[Entry]
    partials: list[Partial] = field(default_factory=list)
    trailing_stop: float | None = None
    trailing_take: float | None = None
    peak: Extreme = NO_EXTREME
    fall: Extreme = NO_EXTREME
    profit_levels: set[int] = field(default_factory=set)
    loss_levels: set[int] = field(default_factory=set)
    breakeven_reached: bool = False

    @property
    def is_long(self) -> bool:
        """A long position; everything else that passed validation is short."""
        return self.position == "long"

    def effective_open(self) -> float:
        """Cost-weighted entry price (9.2)."""
        return effective_entry(self.entries, self.partials, self.price_open)

    def take_profit(self) -> float:
        """The target in force: the trailed one, else the original."""
        return self.price_take_profit if self.trailing_take is None else self.trailing_take

    def stop_loss(self) -> float:
        """The stop in force: the trailed one, else the original."""
        return self.price_stop_loss if self.trailing_stop is None else self.trailing_stop

    def closed_percent(self) -> float:
        """Percent of all invested money that partials closed."""
        return closed_share(self.entries, self.partials)[0]

    def remaining_cost(self) -> float:
        """USD of the cost basis still in the position."""
        return closed_share(self.entries, self.partials)[1]

    def pnl(self, price: float, costs: Costs) -> Pnl:
        """PnL of closing the rest at ``price``."""
        return closing_pnl(self.position, self.entries, self.partials, self.price_open, price, costs)

    def opened(self, when: int, costs: Costs) -> "Row":
        """This row as a position that opens at ``when``: fresh extremes at its entry price (1.2, 7.2)."""
        row = replace(self, pending_at=when, is_scheduled=False, profit_levels=set(), loss_levels=set())
        row.peak = Extreme.of(row.price_open, when, NO_PNL)
        row.fall = Extreme.of(row.price_open, when, row.pnl(row.price_open, costs))
        return row

    def public(self, price: float, costs: Costs) -> PublicRow:
        """The row as shown with the PnL of ``price``; a resting row shows zeros (1.3)."""
        resting = self.is_scheduled
        return PublicRow(
            id=self.id,
            symbol=self.symbol,
            position=self.position,
            note=self.note,
            cost=self.cost,
            price_open=self.price_open if resting else self.effective_open(),
            price_take_profit=self.take_profit(),
            price_stop_loss=self.stop_loss(),
            original_price_open=self.price_open,
            original_price_take_profit=self.price_take_profit,
            original_price_stop_loss=self.price_stop_loss,
            minute_estimated_time=self.minute_estimated_time,
            scheduled_at=self.scheduled_at,
            pending_at=self.pending_at,
            timestamp=self.timestamp,
            total_entries=len(self.entries),
            total_partials=len(self.partials),
            partial_executed=self.closed_percent(),
            pnl=NO_PNL if resting else self.pnl(price, costs),
            peak_profit=NO_EXTREME if resting else self.peak,
            max_drawdown=NO_EXTREME if resting else self.fall,
            entries=tuple(self.entries),
            partials=tuple(self.partials),
        )


@dataclass(frozen=True, slots=True)
class Deferred:
    """A row taken out by a command that executes on the next candle, with the command's payload (1.5)."""

    row: Row
    id: str | None
    note: str | None
