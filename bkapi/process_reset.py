"""``reset``: forgets everything that this process has registered and run, and its listeners."""

from __future__ import annotations

from bkapi.backtests.backtest import Backtest
from bkapi.base.activities import Lookup
from bkapi.base.config import reset_config
from bkapi.events.emitters import emitters
from bkapi.ideas.sweep import SweepConnectionService
from bkapi.market.cache import PersistCandleAdapter
from bkapi.market.exchange import forget_exchanges
from bkapi.market.frames import FrameConnectionService
from bkapi.positions.level_trackers import clear_trackers
from bkapi.reporting.switches import reset_reports
from bkapi.risk.services import forget_risks
from bkapi.risk.sizing import SizingConnectionService
from bkapi.runs.time_and_price import clear_meta
from bkapi.scheduling.cache import Cache
from bkapi.scheduling.cron import Cron
from bkapi.scheduling.interval import Interval
from bkapi.schemas.registry import clear_registries
from bkapi.walkers.walker import Walker


def reset() -> None:
    """Forget schemas, listeners, configuration, markets and finished runs, as at the start of the process.

    For tests and notebooks; runs in progress go on with what they have.
    """
    reset_reports()
    emitters.clear()
    clear_registries()
    reset_config()
    forget_exchanges()
    SizingConnectionService().clear()
    SweepConnectionService().clear()
    FrameConnectionService().clear()
    Lookup.clear()
    Cron.dispose()
    Cache.clear()
    Interval.clear()
    PersistCandleAdapter.clear()
    clear_meta()
    clear_trackers()
    forget_risks()
    Backtest.clear()
    Walker.clear()
