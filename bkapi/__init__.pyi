__version__: str

from bkapi.backtest import (
    BackgroundRun as BackgroundRun,
)
from bkapi.backtest import (
    Backtest as Backtest,
)
from bkapi.backtest import (
    BacktestUtils as BacktestUtils,
)
from bkapi.backtest import (
    FinishedRun as FinishedRun,
)
from bkapi.config import (
    get_config as get_config,
)
from bkapi.config import (
    get_default_config as get_default_config,
)
from bkapi.config import (
    set_config as set_config,
)
from bkapi.context import (
    begin_context as begin_context,
)
from bkapi.context import (
    begin_time as begin_time,
)
from bkapi.context import (
    get_context as get_context,
)
from bkapi.context import (
    get_date as get_date,
)
from bkapi.context import (
    get_mode as get_mode,
)
from bkapi.context import (
    get_symbol as get_symbol,
)
from bkapi.context import (
    get_timestamp as get_timestamp,
)
from bkapi.context import (
    has_trade_context as has_trade_context,
)
from bkapi.context import (
    run_in_mock_context as run_in_mock_context,
)
from bkapi.errors import (
    AlreadyExistsError as AlreadyExistsError,
)
from bkapi.errors import (
    BkError as BkError,
)
from bkapi.errors import (
    ConfigError as ConfigError,
)
from bkapi.errors import (
    ContextError as ContextError,
)
from bkapi.errors import (
    FatalError as FatalError,
)
from bkapi.errors import (
    MomentError as MomentError,
)
from bkapi.errors import (
    NotRegisteredError as NotRegisteredError,
)
from bkapi.errors import (
    SchemaError as SchemaError,
)
from bkapi.errors import (
    SignalError as SignalError,
)
from bkapi.errors import (
    UnknownNameError as UnknownNameError,
)
from bkapi.events import (
    emitters as emitters,
)
from bkapi.events import (
    listen_active_ping as listen_active_ping,
)
from bkapi.events import (
    listen_active_ping_once as listen_active_ping_once,
)
from bkapi.events import (
    listen_active_ping_per_signal as listen_active_ping_per_signal,
)
from bkapi.events import (
    listen_after_end as listen_after_end,
)
from bkapi.events import (
    listen_after_end_once as listen_after_end_once,
)
from bkapi.events import (
    listen_backtest_progress as listen_backtest_progress,
)
from bkapi.events import (
    listen_before_start as listen_before_start,
)
from bkapi.events import (
    listen_before_start_once as listen_before_start_once,
)
from bkapi.events import (
    listen_breakeven_available as listen_breakeven_available,
)
from bkapi.events import (
    listen_breakeven_available_once as listen_breakeven_available_once,
)
from bkapi.events import (
    listen_breakeven_available_per_signal as listen_breakeven_available_per_signal,
)
from bkapi.events import (
    listen_check as listen_check,
)
from bkapi.events import (
    listen_done_backtest as listen_done_backtest,
)
from bkapi.events import (
    listen_done_backtest_once as listen_done_backtest_once,
)
from bkapi.events import (
    listen_done_live as listen_done_live,
)
from bkapi.events import (
    listen_done_live_once as listen_done_live_once,
)
from bkapi.events import (
    listen_done_walker as listen_done_walker,
)
from bkapi.events import (
    listen_done_walker_once as listen_done_walker_once,
)
from bkapi.events import (
    listen_error as listen_error,
)
from bkapi.events import (
    listen_exit as listen_exit,
)
from bkapi.events import (
    listen_highest_profit as listen_highest_profit,
)
from bkapi.events import (
    listen_highest_profit_once as listen_highest_profit_once,
)
from bkapi.events import (
    listen_highest_profit_per_signal as listen_highest_profit_per_signal,
)
from bkapi.events import (
    listen_idle_ping as listen_idle_ping,
)
from bkapi.events import (
    listen_idle_ping_once as listen_idle_ping_once,
)
from bkapi.events import (
    listen_max_drawdown as listen_max_drawdown,
)
from bkapi.events import (
    listen_max_drawdown_once as listen_max_drawdown_once,
)
from bkapi.events import (
    listen_max_drawdown_per_signal as listen_max_drawdown_per_signal,
)
from bkapi.events import (
    listen_order_continue as listen_order_continue,
)
from bkapi.events import (
    listen_order_fill as listen_order_fill,
)
from bkapi.events import (
    listen_order_reject as listen_order_reject,
)
from bkapi.events import (
    listen_order_schedule as listen_order_schedule,
)
from bkapi.events import (
    listen_order_schedule_per_signal as listen_order_schedule_per_signal,
)
from bkapi.events import (
    listen_order_stop as listen_order_stop,
)
from bkapi.events import (
    listen_partial_loss_available as listen_partial_loss_available,
)
from bkapi.events import (
    listen_partial_loss_available_once as listen_partial_loss_available_once,
)
from bkapi.events import (
    listen_partial_loss_available_per_signal as listen_partial_loss_available_per_signal,
)
from bkapi.events import (
    listen_partial_profit_available as listen_partial_profit_available,
)
from bkapi.events import (
    listen_partial_profit_available_once as listen_partial_profit_available_once,
)
from bkapi.events import (
    listen_partial_profit_available_per_signal as listen_partial_profit_available_per_signal,
)
from bkapi.events import (
    listen_pause as listen_pause,
)
from bkapi.events import (
    listen_pause_once as listen_pause_once,
)
from bkapi.events import (
    listen_performance as listen_performance,
)
from bkapi.events import (
    listen_risk as listen_risk,
)
from bkapi.events import (
    listen_risk_once as listen_risk_once,
)
from bkapi.events import (
    listen_schedule_ping as listen_schedule_ping,
)
from bkapi.events import (
    listen_schedule_ping_once as listen_schedule_ping_once,
)
from bkapi.events import (
    listen_schedule_ping_per_signal as listen_schedule_ping_per_signal,
)
from bkapi.events import (
    listen_signal as listen_signal,
)
from bkapi.events import (
    listen_signal_backtest as listen_signal_backtest,
)
from bkapi.events import (
    listen_signal_backtest_once as listen_signal_backtest_once,
)
from bkapi.events import (
    listen_signal_backtest_per_signal as listen_signal_backtest_per_signal,
)
from bkapi.events import (
    listen_signal_event as listen_signal_event,
)
from bkapi.events import (
    listen_signal_event_once as listen_signal_event_once,
)
from bkapi.events import (
    listen_signal_event_per_signal as listen_signal_event_per_signal,
)
from bkapi.events import (
    listen_signal_live as listen_signal_live,
)
from bkapi.events import (
    listen_signal_live_once as listen_signal_live_once,
)
from bkapi.events import (
    listen_signal_live_per_signal as listen_signal_live_per_signal,
)
from bkapi.events import (
    listen_signal_notify as listen_signal_notify,
)
from bkapi.events import (
    listen_signal_notify_once as listen_signal_notify_once,
)
from bkapi.events import (
    listen_signal_notify_per_signal as listen_signal_notify_per_signal,
)
from bkapi.events import (
    listen_signal_once as listen_signal_once,
)
from bkapi.events import (
    listen_signal_per_signal as listen_signal_per_signal,
)
from bkapi.events import (
    listen_strategy_commit as listen_strategy_commit,
)
from bkapi.events import (
    listen_strategy_commit_once as listen_strategy_commit_once,
)
from bkapi.events import (
    listen_strategy_commit_per_signal as listen_strategy_commit_per_signal,
)
from bkapi.events import (
    listen_sync as listen_sync,
)
from bkapi.events import (
    listen_validation as listen_validation,
)
from bkapi.events import (
    listen_walker as listen_walker,
)
from bkapi.events import (
    listen_walker_complete as listen_walker_complete,
)
from bkapi.events import (
    listen_walker_once as listen_walker_once,
)
from bkapi.events import (
    listen_walker_progress as listen_walker_progress,
)
from bkapi.exchange import (
    CandleRequestError as CandleRequestError,
)
from bkapi.exchange import (
    get_average_price as get_average_price,
)
from bkapi.exchange import (
    get_candles as get_candles,
)
from bkapi.exchange import (
    get_close_price as get_close_price,
)
from bkapi.moments import (
    to_datetime as to_datetime,
)
from bkapi.payloads import (
    BacktestProgressEvent as BacktestProgressEvent,
)
from bkapi.payloads import (
    DoneEvent as DoneEvent,
)
from bkapi.payloads import (
    ExtremeEvent as ExtremeEvent,
)
from bkapi.payloads import (
    IdlePingEvent as IdlePingEvent,
)
from bkapi.payloads import (
    LevelEvent as LevelEvent,
)
from bkapi.payloads import (
    LifecycleEvent as LifecycleEvent,
)
from bkapi.payloads import (
    OrderCheckEvent as OrderCheckEvent,
)
from bkapi.payloads import (
    OrderContinueEvent as OrderContinueEvent,
)
from bkapi.payloads import (
    OrderEvent as OrderEvent,
)
from bkapi.payloads import (
    OrderFillEvent as OrderFillEvent,
)
from bkapi.payloads import (
    OrderRejectEvent as OrderRejectEvent,
)
from bkapi.payloads import (
    OrderStopEvent as OrderStopEvent,
)
from bkapi.payloads import (
    OrderSyncEvent as OrderSyncEvent,
)
from bkapi.payloads import (
    PauseEvent as PauseEvent,
)
from bkapi.payloads import (
    PerformanceEvent as PerformanceEvent,
)
from bkapi.payloads import (
    PingEvent as PingEvent,
)
from bkapi.payloads import (
    RiskEvent as RiskEvent,
)
from bkapi.payloads import (
    ScheduleEvent as ScheduleEvent,
)
from bkapi.payloads import (
    SignalEvent as SignalEvent,
)
from bkapi.payloads import (
    SignalInfoEvent as SignalInfoEvent,
)
from bkapi.payloads import (
    StrategyCommitEvent as StrategyCommitEvent,
)
from bkapi.payloads import (
    WalkerCompleteEvent as WalkerCompleteEvent,
)
from bkapi.payloads import (
    WalkerEvent as WalkerEvent,
)
from bkapi.payloads import (
    WalkerProgressEvent as WalkerProgressEvent,
)
from bkapi.payloads import (
    WalkerStopEvent as WalkerStopEvent,
)
from bkapi.position import (
    Position as Position,
)
from bkapi.registry import (
    add_exchange as add_exchange,
)
from bkapi.registry import (
    add_exchange_schema as add_exchange_schema,
)
from bkapi.registry import (
    add_frame as add_frame,
)
from bkapi.registry import (
    add_frame_schema as add_frame_schema,
)
from bkapi.registry import (
    add_strategy as add_strategy,
)
from bkapi.registry import (
    add_strategy_schema as add_strategy_schema,
)
from bkapi.registry import (
    get_exchange_schema as get_exchange_schema,
)
from bkapi.registry import (
    get_frame_schema as get_frame_schema,
)
from bkapi.registry import (
    get_strategy_schema as get_strategy_schema,
)
from bkapi.registry import (
    list_exchange_schema as list_exchange_schema,
)
from bkapi.registry import (
    list_frame_schema as list_frame_schema,
)
from bkapi.registry import (
    list_strategy_schema as list_strategy_schema,
)
from bkapi.registry import (
    override_exchange_schema as override_exchange_schema,
)
from bkapi.registry import (
    override_frame_schema as override_frame_schema,
)
from bkapi.registry import (
    override_strategy_schema as override_strategy_schema,
)
from bkapi.registry import (
    validate as validate,
)
from bkapi.reports import (
    Breakeven as Breakeven,
)
from bkapi.reports import (
    Heat as Heat,
)
from bkapi.reports import (
    HighestProfit as HighestProfit,
)
from bkapi.reports import (
    MaxDrawdown as MaxDrawdown,
)
from bkapi.reports import (
    Partial as Partial,
)
from bkapi.reports import (
    Schedule as Schedule,
)
from bkapi.reports import (
    Strategy as Strategy,
)
from bkapi.schemas import (
    ExchangeCallbacks as ExchangeCallbacks,
)
from bkapi.schemas import (
    ExchangeSchema as ExchangeSchema,
)
from bkapi.schemas import (
    FrameCallbacks as FrameCallbacks,
)
from bkapi.schemas import (
    FrameSchema as FrameSchema,
)
from bkapi.schemas import (
    StrategyCallbacks as StrategyCallbacks,
)
from bkapi.schemas import (
    StrategySchema as StrategySchema,
)
from bkapi.signals import (
    ActiveResult as ActiveResult,
)
from bkapi.signals import (
    CancelledResult as CancelledResult,
)
from bkapi.signals import (
    ClosedResult as ClosedResult,
)
from bkapi.signals import (
    EntryRecord as EntryRecord,
)
from bkapi.signals import (
    IdleResult as IdleResult,
)
from bkapi.signals import (
    OpenedResult as OpenedResult,
)
from bkapi.signals import (
    PartialRecord as PartialRecord,
)
from bkapi.signals import (
    PeakRecord as PeakRecord,
)
from bkapi.signals import (
    PnlRecord as PnlRecord,
)
from bkapi.signals import (
    PublicSignal as PublicSignal,
)
from bkapi.signals import (
    ScheduledResult as ScheduledResult,
)
from bkapi.signals import (
    TickResult as TickResult,
)
from bkapi.signals import (
    WaitingResult as WaitingResult,
)
from bkapi.start import (
    reset as reset,
)
from bkapi.sweep import (
    SweepResult as SweepResult,
)
from bkapi.sweep import (
    sweep_brackets as sweep_brackets,
)
from bkcore.candles import (
    CandleFrame as CandleFrame,
)
from bkcore.synthetic import (
    generate as generate,
)
