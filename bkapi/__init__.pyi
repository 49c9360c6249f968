__version__: str

from bkapi.backtests.backtest import (
    BackgroundRun as BackgroundRun,
    Backtest as Backtest,
    BacktestUtils as BacktestUtils,
)
from bkapi.base.activities import Activity as Activity, Lookup as Lookup, LookupUtils as LookupUtils
from bkapi.base.config import (
    ConfigValidationService as ConfigValidationService,
    get_config as get_config,
    get_default_config as get_default_config,
    set_config as set_config,
)
from bkapi.base.context import (
    begin_context as begin_context,
    begin_time as begin_time,
    get_context as get_context,
    get_date as get_date,
    get_mode as get_mode,
    get_symbol as get_symbol,
    get_timestamp as get_timestamp,
    has_trade_context as has_trade_context,
    run_in_mock_context as run_in_mock_context,
)
from bkapi.base.dotted_paths import get as get, set as set
from bkapi.base.indicators import indicator as indicator
from bkapi.base.json_files import FileNameError as FileNameError
from bkapi.base.locks import (
    Candle as Candle,
    CandleUtils as CandleUtils,
    Lock as Lock,
    LockError as LockError,
)
from bkapi.base.price_text import (
    PriceTextError as PriceTextError,
    TickSizeError as TickSizeError,
    get_price_scale as get_price_scale,
    price_scale as price_scale,
    round_ticks as round_ticks,
)
from bkapi.base.timestamps import align_to_interval as align_to_interval, to_datetime as to_datetime
from bkapi.base.turns import WaitCycleError as WaitCycleError
from bkapi.cli.repeating import Repetition as Repetition, repeat_run as repeat_run
from bkapi.errors import (
    AlreadyExistsError as AlreadyExistsError,
    BkError as BkError,
    ConfigError as ConfigError,
    ContextError as ContextError,
    FatalError as FatalError,
    MissingExtraError as MissingExtraError,
    MomentError as MomentError,
    NoPositionError as NoPositionError,
    NoRunError as NoRunError,
    NotRegisteredError as NotRegisteredError,
    RefusedSignalError as RefusedSignalError,
    SchemaError as SchemaError,
    SignalError as SignalError,
    UnknownNameError as UnknownNameError,
)
from bkapi.events.channels import BehaviourChannel as BehaviourChannel, Channel as Channel
from bkapi.events.emitters import (
    emitters as emitters,
    listen_active_ping as listen_active_ping,
    listen_active_ping_once as listen_active_ping_once,
    listen_active_ping_per_signal as listen_active_ping_per_signal,
    listen_after_end as listen_after_end,
    listen_after_end_once as listen_after_end_once,
    listen_backtest_progress as listen_backtest_progress,
    listen_before_start as listen_before_start,
    listen_before_start_once as listen_before_start_once,
    listen_breakeven_available as listen_breakeven_available,
    listen_breakeven_available_once as listen_breakeven_available_once,
    listen_breakeven_available_per_signal as listen_breakeven_available_per_signal,
    listen_check as listen_check,
    listen_done_backtest as listen_done_backtest,
    listen_done_backtest_once as listen_done_backtest_once,
    listen_done_live as listen_done_live,
    listen_done_live_once as listen_done_live_once,
    listen_done_walker as listen_done_walker,
    listen_done_walker_once as listen_done_walker_once,
    listen_error as listen_error,
    listen_exit as listen_exit,
    listen_highest_profit as listen_highest_profit,
    listen_highest_profit_once as listen_highest_profit_once,
    listen_highest_profit_per_signal as listen_highest_profit_per_signal,
    listen_idle_ping as listen_idle_ping,
    listen_idle_ping_once as listen_idle_ping_once,
    listen_max_drawdown as listen_max_drawdown,
    listen_max_drawdown_once as listen_max_drawdown_once,
    listen_max_drawdown_per_signal as listen_max_drawdown_per_signal,
    listen_order_continue as listen_order_continue,
    listen_order_fill as listen_order_fill,
    listen_order_reject as listen_order_reject,
    listen_order_schedule as listen_order_schedule,
    listen_order_schedule_per_signal as listen_order_schedule_per_signal,
    listen_order_stop as listen_order_stop,
    listen_partial_loss_available as listen_partial_loss_available,
    listen_partial_loss_available_once as listen_partial_loss_available_once,
    listen_partial_loss_available_per_signal as listen_partial_loss_available_per_signal,
    listen_partial_profit_available as listen_partial_profit_available,
    listen_partial_profit_available_once as listen_partial_profit_available_once,
    listen_partial_profit_available_per_signal as listen_partial_profit_available_per_signal,
    listen_pause as listen_pause,
    listen_pause_once as listen_pause_once,
    listen_performance as listen_performance,
    listen_risk as listen_risk,
    listen_risk_once as listen_risk_once,
    listen_schedule_ping as listen_schedule_ping,
    listen_schedule_ping_once as listen_schedule_ping_once,
    listen_schedule_ping_per_signal as listen_schedule_ping_per_signal,
    listen_signal as listen_signal,
    listen_signal_backtest as listen_signal_backtest,
    listen_signal_backtest_once as listen_signal_backtest_once,
    listen_signal_backtest_per_signal as listen_signal_backtest_per_signal,
    listen_signal_event as listen_signal_event,
    listen_signal_event_once as listen_signal_event_once,
    listen_signal_event_per_signal as listen_signal_event_per_signal,
    listen_signal_live as listen_signal_live,
    listen_signal_live_once as listen_signal_live_once,
    listen_signal_live_per_signal as listen_signal_live_per_signal,
    listen_signal_notify as listen_signal_notify,
    listen_signal_notify_once as listen_signal_notify_once,
    listen_signal_notify_per_signal as listen_signal_notify_per_signal,
    listen_signal_once as listen_signal_once,
    listen_signal_per_signal as listen_signal_per_signal,
    listen_strategy_commit as listen_strategy_commit,
    listen_strategy_commit_once as listen_strategy_commit_once,
    listen_strategy_commit_per_signal as listen_strategy_commit_per_signal,
    listen_sync as listen_sync,
    listen_validation as listen_validation,
    listen_wake as listen_wake,
    listen_wake_once as listen_wake_once,
    listen_wake_per_signal as listen_wake_per_signal,
    listen_walker as listen_walker,
    listen_walker_complete as listen_walker_complete,
    listen_walker_once as listen_walker_once,
    listen_walker_progress as listen_walker_progress,
)
from bkapi.events.payloads import (
    BacktestProgressEvent as BacktestProgressEvent,
    CandlePingEvent as CandlePingEvent,
    DoneEvent as DoneEvent,
    ExtremeEvent as ExtremeEvent,
    IdlePingEvent as IdlePingEvent,
    LevelEvent as LevelEvent,
    LifecycleEvent as LifecycleEvent,
    OrderCheckEvent as OrderCheckEvent,
    OrderContinueEvent as OrderContinueEvent,
    OrderEvent as OrderEvent,
    OrderFillEvent as OrderFillEvent,
    OrderRejectEvent as OrderRejectEvent,
    OrderStopEvent as OrderStopEvent,
    OrderSyncEvent as OrderSyncEvent,
    PauseEvent as PauseEvent,
    PerformanceEvent as PerformanceEvent,
    PingEvent as PingEvent,
    RiskEvent as RiskEvent,
    ScheduleEvent as ScheduleEvent,
    SignalEvent as SignalEvent,
    SignalInfoEvent as SignalInfoEvent,
    StrategyCommitEvent as StrategyCommitEvent,
    WalkerCompleteEvent as WalkerCompleteEvent,
    WalkerEvent as WalkerEvent,
    WalkerProgressEvent as WalkerProgressEvent,
    WalkerStopEvent as WalkerStopEvent,
)
from bkapi.events.results import (
    ActiveResult as ActiveResult,
    CancelledResult as CancelledResult,
    ClosedResult as ClosedResult,
    EntryRecord as EntryRecord,
    IdleResult as IdleResult,
    OpenedResult as OpenedResult,
    PartialRecord as PartialRecord,
    PeakRecord as PeakRecord,
    PnlRecord as PnlRecord,
    PublicSignal as PublicSignal,
    ScheduledResult as ScheduledResult,
    TickResult as TickResult,
    WaitingResult as WaitingResult,
)
from bkapi.events.snapshot import System as System, SystemUtils as SystemUtils
from bkapi.guards.lookahead import (
    Lookahead as Lookahead,
    LookaheadError as LookaheadError,
    find_lookahead as find_lookahead,
)
from bkapi.guards.overfitting import (
    Overfitting as Overfitting,
    TooFewTrialsError as TooFewTrialsError,
    overfitting_of_runs as overfitting_of_runs,
)
from bkapi.guards.random_entries import (
    RandomEntries as RandomEntries,
    RandomEntriesError as RandomEntriesError,
    random_entry_baseline as random_entry_baseline,
)
from bkapi.ideas.feed import IdeaSweepError as IdeaSweepError
from bkapi.ideas.records import (
    AbsorbedIdea as AbsorbedIdea,
    AuthorTrack as AuthorTrack,
    BestGridPoint as BestGridPoint,
    GridPoint as GridPoint,
    GridPointReport as GridPointReport,
    GridReports as GridReports,
    Idea as Idea,
    IdeaProfile as IdeaProfile,
    IdeaSweepResult as IdeaSweepResult,
    IdeaTrade as IdeaTrade,
)
from bkapi.ideas.sweep import (
    ClientSweep as ClientSweep,
    Sweep as Sweep,
    SweepConnectionService as SweepConnectionService,
    SweepCoreService as SweepCoreService,
    SweepGlobalService as SweepGlobalService,
    SweepSchemaService as SweepSchemaService,
    SweepUtils as SweepUtils,
    SweepValidationService as SweepValidationService,
)
from bkapi.market.answers import (
    CandleRequestError as CandleRequestError,
    validate_candles as validate_candles,
)
from bkapi.market.cache import (
    PersistCandleAdapter as PersistCandleAdapter,
    PersistCandleDummy as PersistCandleDummy,
    PersistCandleError as PersistCandleError,
    PersistCandleInstance as PersistCandleInstance,
    PersistCandleUtils as PersistCandleUtils,
)
from bkapi.market.ccxt_venue import VenueError as VenueError, ccxt_exchange as ccxt_exchange
from bkapi.market.exchange import (
    ClientExchange as ClientExchange,
    Exchange as Exchange,
    ExchangeInstance as ExchangeInstance,
    ExchangeUtils as ExchangeUtils,
    forget_exchanges as forget_exchanges,
    format_price as format_price,
    format_quantity as format_quantity,
    get_aggregated_trades as get_aggregated_trades,
    get_average_price as get_average_price,
    get_candles as get_candles,
    get_close_price as get_close_price,
    get_next_candles as get_next_candles,
    get_order_book as get_order_book,
    get_raw_candles as get_raw_candles,
)
from bkapi.market.frames import (
    ClientFrame as ClientFrame,
    FrameConnectionService as FrameConnectionService,
    FrameCoreService as FrameCoreService,
    FrameModeError as FrameModeError,
    get_backtest_timeframe as get_backtest_timeframe,
)
from bkapi.market.services import (
    ExchangeConnectionService as ExchangeConnectionService,
    ExchangeCoreService as ExchangeCoreService,
)
from bkapi.market.store import (
    CandleStore as CandleStore,
    CandleStoreError as CandleStoreError,
    DamagedMonthError as DamagedMonthError,
    StoreBusyError as StoreBusyError,
    StoredSeries as StoredSeries,
    StoreReport as StoreReport,
)
from bkapi.market.warming import (
    CandleCacheError as CandleCacheError,
    cache_candles as cache_candles,
    check_candles as check_candles,
    warm_candles as warm_candles,
)
from bkapi.positions.bracket import Position as Position
from bkapi.positions.commands import (
    CommandPayload as CommandPayload,
    NotifyPayload as NotifyPayload,
    commit_activate_scheduled as commit_activate_scheduled,
    commit_average_buy as commit_average_buy,
    commit_breakeven as commit_breakeven,
    commit_cancel_scheduled as commit_cancel_scheduled,
    commit_close_pending as commit_close_pending,
    commit_create_signal as commit_create_signal,
    commit_create_stop_loss as commit_create_stop_loss,
    commit_create_take_profit as commit_create_take_profit,
    commit_partial_loss as commit_partial_loss,
    commit_partial_loss_cost as commit_partial_loss_cost,
    commit_partial_profit as commit_partial_profit,
    commit_partial_profit_cost as commit_partial_profit_cost,
    commit_signal_notify as commit_signal_notify,
    commit_trailing_stop as commit_trailing_stop,
    commit_trailing_stop_cost as commit_trailing_stop_cost,
    commit_trailing_take as commit_trailing_take,
    commit_trailing_take_cost as commit_trailing_take_cost,
    set_strategy_paused as set_strategy_paused,
    stop_strategy as stop_strategy,
)
from bkapi.positions.conversions import (
    Constant as Constant,
    ConstantUtils as ConstantUtils,
    breakeven_stop_price as breakeven_stop_price,
    invested_cost_to_percent as invested_cost_to_percent,
    percent_diff as percent_diff,
    percent_to_close_cost as percent_to_close_cost,
    percent_value as percent_value,
    sl_percent_shift_to_price as sl_percent_shift_to_price,
    sl_price_to_percent_shift as sl_price_to_percent_shift,
    tp_percent_shift_to_price as tp_percent_shift_to_price,
    tp_price_to_percent_shift as tp_price_to_percent_shift,
)
from bkapi.positions.getters import (
    DEFAULT_LADDER as DEFAULT_LADDER,
    Ladder as Ladder,
    get_breakeven as get_breakeven,
    get_max_drawdown_distance_pnl_cost as get_max_drawdown_distance_pnl_cost,
    get_max_drawdown_distance_pnl_percentage as get_max_drawdown_distance_pnl_percentage,
    get_pending_signal as get_pending_signal,
    get_position_active_minutes as get_position_active_minutes,
    get_position_countdown_minutes as get_position_countdown_minutes,
    get_position_drawdown_minutes as get_position_drawdown_minutes,
    get_position_effective_price as get_position_effective_price,
    get_position_entries as get_position_entries,
    get_position_entry_overlap as get_position_entry_overlap,
    get_position_estimate_minutes as get_position_estimate_minutes,
    get_position_highest_max_drawdown_pnl_cost as get_position_highest_max_drawdown_pnl_cost,
    get_position_highest_max_drawdown_pnl_percentage as get_position_highest_max_drawdown_pnl_percentage,
    get_position_highest_pnl_cost as get_position_highest_pnl_cost,
    get_position_highest_pnl_percentage as get_position_highest_pnl_percentage,
    get_position_highest_profit_breakeven as get_position_highest_profit_breakeven,
    get_position_highest_profit_distance_pnl_cost as get_position_highest_profit_distance_pnl_cost,
    get_position_highest_profit_distance_pnl_percentage as get_position_highest_profit_distance_pnl_percentage,
    get_position_highest_profit_minutes as get_position_highest_profit_minutes,
    get_position_highest_profit_price as get_position_highest_profit_price,
    get_position_highest_profit_timestamp as get_position_highest_profit_timestamp,
    get_position_invested_cost as get_position_invested_cost,
    get_position_invested_count as get_position_invested_count,
    get_position_levels as get_position_levels,
    get_position_max_drawdown_minutes as get_position_max_drawdown_minutes,
    get_position_max_drawdown_pnl_cost as get_position_max_drawdown_pnl_cost,
    get_position_max_drawdown_pnl_percentage as get_position_max_drawdown_pnl_percentage,
    get_position_max_drawdown_price as get_position_max_drawdown_price,
    get_position_max_drawdown_timestamp as get_position_max_drawdown_timestamp,
    get_position_partial_overlap as get_position_partial_overlap,
    get_position_partials as get_position_partials,
    get_position_pnl_cost as get_position_pnl_cost,
    get_position_pnl_percent as get_position_pnl_percent,
    get_position_waiting_minutes as get_position_waiting_minutes,
    get_remaining_cost_basis as get_remaining_cost_basis,
    get_scheduled_signal as get_scheduled_signal,
    get_strategy_paused as get_strategy_paused,
    get_strategy_status as get_strategy_status,
    get_total_cost_closed as get_total_cost_closed,
    get_total_percent_closed as get_total_percent_closed,
    get_total_percent_held as get_total_percent_held,
    has_no_pending_signal as has_no_pending_signal,
    has_no_scheduled_signal as has_no_scheduled_signal,
)
from bkapi.positions.level_trackers import (
    BreakevenConnectionService as BreakevenConnectionService,
    BreakevenGlobalService as BreakevenGlobalService,
    ClientBreakeven as ClientBreakeven,
    ClientPartial as ClientPartial,
    PartialConnectionService as PartialConnectionService,
    PartialGlobalService as PartialGlobalService,
    TrackerError as TrackerError,
)
from bkapi.positions.profit import (
    ProfitError as ProfitError,
    get_effective_price_open as get_effective_price_open,
    get_total_closed as get_total_closed,
    to_profit_loss_dto as to_profit_loss_dto,
)
from bkapi.positions.wakes import wake_on as wake_on
from bkapi.process_reset import reset as reset
from bkapi.reporting.documents.columns import (
    ColumnModel as ColumnModel,
    ColumnValidationService as ColumnValidationService,
    get_columns as get_columns,
    get_default_columns as get_default_columns,
    set_columns as set_columns,
)
from bkapi.reporting.documents.service import NotSubscribedError as NotSubscribedError
from bkapi.reporting.documents.services import (
    BacktestMarkdownService as BacktestMarkdownService,
    BreakevenMarkdownService as BreakevenMarkdownService,
    HeatMarkdownService as HeatMarkdownService,
    HighestProfitMarkdownService as HighestProfitMarkdownService,
    LiveMarkdownService as LiveMarkdownService,
    MaxDrawdownMarkdownService as MaxDrawdownMarkdownService,
    PartialMarkdownService as PartialMarkdownService,
    PerformanceMarkdownService as PerformanceMarkdownService,
    RiskMarkdownService as RiskMarkdownService,
    ScheduleMarkdownService as ScheduleMarkdownService,
    StrategyMarkdownService as StrategyMarkdownService,
    SyncMarkdownService as SyncMarkdownService,
    WalkerMarkdownService as WalkerMarkdownService,
)
from bkapi.reporting.documents.walker_service import NoWalkerDataError as NoWalkerDataError
from bkapi.reporting.documents.writer import (
    MarkdownDummy as MarkdownDummy,
    MarkdownFileBase as MarkdownFileBase,
    MarkdownFolderBase as MarkdownFolderBase,
    MarkdownWriter as MarkdownWriter,
    MarkdownWriterAdapter as MarkdownWriterAdapter,
)
from bkapi.reporting.facades import (
    Breakeven as Breakeven,
    BreakevenUtils as BreakevenUtils,
    Heat as Heat,
    HeatUtils as HeatUtils,
    HighestProfit as HighestProfit,
    HighestProfitUtils as HighestProfitUtils,
    Live as Live,
    LiveUtils as LiveUtils,
    MaxDrawdown as MaxDrawdown,
    MaxDrawdownUtils as MaxDrawdownUtils,
    Partial as Partial,
    PartialUtils as PartialUtils,
    Performance as Performance,
    PerformanceUtils as PerformanceUtils,
    Risk as Risk,
    RiskUtils as RiskUtils,
    Schedule as Schedule,
    ScheduleUtils as ScheduleUtils,
    Strategy as Strategy,
    StrategyUtils as StrategyUtils,
    Sync as Sync,
    SyncUtils as SyncUtils,
)
from bkapi.reporting.journal.services import (
    BacktestReportService as BacktestReportService,
    BreakevenReportService as BreakevenReportService,
    HeatReportService as HeatReportService,
    HighestProfitReportService as HighestProfitReportService,
    LiveReportService as LiveReportService,
    MaxDrawdownReportService as MaxDrawdownReportService,
    PartialReportService as PartialReportService,
    PerformanceReportService as PerformanceReportService,
    RiskReportService as RiskReportService,
    ScheduleReportService as ScheduleReportService,
    StrategyReportService as StrategyReportService,
    SyncReportService as SyncReportService,
    WalkerReportService as WalkerReportService,
)
from bkapi.reporting.journal.writer import (
    ReportBase as ReportBase,
    ReportDummy as ReportDummy,
    ReportParquet as ReportParquet,
    ReportSqlite as ReportSqlite,
    ReportWriter as ReportWriter,
    ReportWriterAdapter as ReportWriterAdapter,
    read_records as read_records,
)
from bkapi.reporting.rows import (
    BreakevenEvent as BreakevenEvent,
    HighestProfitEvent as HighestProfitEvent,
    MaxDrawdownEvent as MaxDrawdownEvent,
    PartialEvent as PartialEvent,
    ScheduledEvent as ScheduledEvent,
    StrategyEvent as StrategyEvent,
    SyncEvent as SyncEvent,
    TickEvent as TickEvent,
    WalkerStrategyResult as WalkerStrategyResult,
)
from bkapi.reporting.saved.run_frames import (
    ExportError as ExportError,
    daily_returns as daily_returns,
    export_trades as export_trades,
    returns_series as returns_series,
)
from bkapi.reporting.saved.saved_runs import (
    SavedRun as SavedRun,
    SavedRunError as SavedRunError,
    load_run as load_run,
    save_run as save_run,
)
from bkapi.reporting.switches import (
    Markdown as Markdown,
    MarkdownAdapter as MarkdownAdapter,
    MarkdownUtils as MarkdownUtils,
    Report as Report,
    ReportAdapter as ReportAdapter,
    ReportUtils as ReportUtils,
)
from bkapi.risk.client import (
    ClientRisk as ClientRisk,
    MergeRisk as MergeRisk,
    PositionStore as PositionStore,
    use_position_store as use_position_store,
)
from bkapi.risk.records import (
    ActivePosition as ActivePosition,
    RiskCheck as RiskCheck,
    RiskError as RiskError,
    RiskPayload as RiskPayload,
    RiskSignal as RiskSignal,
)
from bkapi.risk.services import (
    RiskConnectionService as RiskConnectionService,
    RiskGlobalService as RiskGlobalService,
)
from bkapi.risk.sizing import (
    ClientSizing as ClientSizing,
    PositionSize as PositionSize,
    PositionSizeUtils as PositionSizeUtils,
    SizingConnectionService as SizingConnectionService,
    SizingError as SizingError,
    SizingGlobalService as SizingGlobalService,
)
from bkapi.runs.finished import FinishedRun as FinishedRun
from bkapi.runs.ledger import ForkError as ForkError
from bkapi.runs.runtime_info import (
    RuntimeInfo as RuntimeInfo,
    RuntimeRange as RuntimeRange,
    get_runtime_info as get_runtime_info,
)
from bkapi.runs.time_and_price import (
    MetaTimeoutError as MetaTimeoutError,
    PriceMetaService as PriceMetaService,
    TimeMetaService as TimeMetaService,
    price_meta as price_meta,
    time_meta as time_meta,
)
from bkapi.runs.validation import validate_signal as validate_signal
from bkapi.scheduling.buckets import (
    BucketIntervalError as BucketIntervalError,
    BucketOptionError as BucketOptionError,
    BucketValueError as BucketValueError,
)
from bkapi.scheduling.cache import Cache as Cache, CacheUtils as CacheUtils
from bkapi.scheduling.cron import (
    Cron as Cron,
    CronError as CronError,
    CronTimeoutError as CronTimeoutError,
    CronUtils as CronUtils,
)
from bkapi.scheduling.interval import Interval as Interval, IntervalUtils as IntervalUtils
from bkapi.schemas.action import (
    ActionSchema as ActionSchema,
    DiscouragedHandlerMethodError as DiscouragedHandlerMethodError,
    InvalidHandlerMethodError as InvalidHandlerMethodError,
)
from bkapi.schemas.doors import (
    add_action as add_action,
    add_action_schema as add_action_schema,
    add_exchange as add_exchange,
    add_exchange_schema as add_exchange_schema,
    add_frame as add_frame,
    add_frame_schema as add_frame_schema,
    add_risk as add_risk,
    add_risk_schema as add_risk_schema,
    add_sizing as add_sizing,
    add_sizing_schema as add_sizing_schema,
    add_strategy as add_strategy,
    add_strategy_schema as add_strategy_schema,
    add_sweep as add_sweep,
    add_sweep_schema as add_sweep_schema,
    add_walker as add_walker,
    add_walker_schema as add_walker_schema,
    get_action_schema as get_action_schema,
    get_exchange_schema as get_exchange_schema,
    get_frame_schema as get_frame_schema,
    get_risk_schema as get_risk_schema,
    get_sizing_schema as get_sizing_schema,
    get_strategy_schema as get_strategy_schema,
    get_sweep_schema as get_sweep_schema,
    get_walker_schema as get_walker_schema,
    list_action_schema as list_action_schema,
    list_exchange_schema as list_exchange_schema,
    list_frame_schema as list_frame_schema,
    list_risk_schema as list_risk_schema,
    list_sizing_schema as list_sizing_schema,
    list_strategy_schema as list_strategy_schema,
    list_sweep_schema as list_sweep_schema,
    list_walker_schema as list_walker_schema,
    override_action_schema as override_action_schema,
    override_exchange_schema as override_exchange_schema,
    override_frame_schema as override_frame_schema,
    override_risk_schema as override_risk_schema,
    override_sizing_schema as override_sizing_schema,
    override_strategy_schema as override_strategy_schema,
    override_sweep_schema as override_sweep_schema,
    override_walker_schema as override_walker_schema,
)
from bkapi.schemas.exchange import (
    Costs as Costs,
    ExchangeCallbacks as ExchangeCallbacks,
    ExchangeSchema as ExchangeSchema,
)
from bkapi.schemas.families import (
    ActionSchemaService as ActionSchemaService,
    ActionValidationService as ActionValidationService,
    ExchangeSchemaService as ExchangeSchemaService,
    ExchangeValidationService as ExchangeValidationService,
    FrameSchemaService as FrameSchemaService,
    FrameValidationService as FrameValidationService,
    RiskSchemaService as RiskSchemaService,
    RiskValidationService as RiskValidationService,
    SizingMethodError as SizingMethodError,
    SizingSchemaService as SizingSchemaService,
    SizingValidationService as SizingValidationService,
    StrategySchemaService as StrategySchemaService,
    StrategyValidationService as StrategyValidationService,
    WalkerSchemaService as WalkerSchemaService,
    WalkerValidationService as WalkerValidationService,
)
from bkapi.schemas.frame import FrameCallbacks as FrameCallbacks, FrameSchema as FrameSchema
from bkapi.schemas.policy import Policy as Policy
from bkapi.schemas.readiness import (
    CommandLineError as CommandLineError,
    parse_args as parse_args,
    wait_for_candle as wait_for_candle,
    wait_for_ready as wait_for_ready,
)
from bkapi.schemas.registry import validate as validate
from bkapi.schemas.risk import RiskCallbacks as RiskCallbacks, RiskSchema as RiskSchema
from bkapi.schemas.sizing import SizingCallbacks as SizingCallbacks, SizingSchema as SizingSchema
from bkapi.schemas.space import Space as Space, SpaceError as SpaceError
from bkapi.schemas.strategy import StrategyCallbacks as StrategyCallbacks, StrategySchema as StrategySchema
from bkapi.schemas.sweep import SweepCallbacks as SweepCallbacks, SweepSchema as SweepSchema
from bkapi.schemas.walker import WalkerCallbacks as WalkerCallbacks, WalkerSchema as WalkerSchema
from bkapi.sinks.writer import SinkError as SinkError
from bkapi.statistics.records import (
    BacktestStatistics as BacktestStatistics,
    BreakevenStatistics as BreakevenStatistics,
    HeatStatistics as HeatStatistics,
    HeatSymbolStatistics as HeatSymbolStatistics,
    HighestProfitStatistics as HighestProfitStatistics,
    LiveStatistics as LiveStatistics,
    MaxDrawdownStatistics as MaxDrawdownStatistics,
    MetricStats as MetricStats,
    PartialStatistics as PartialStatistics,
    PerformanceStatistics as PerformanceStatistics,
    RiskStatistics as RiskStatistics,
    ScheduleStatistics as ScheduleStatistics,
    StrategyStatistics as StrategyStatistics,
    SyncStatistics as SyncStatistics,
    WalkerStatistics as WalkerStatistics,
)
from bkapi.sweeps.parts import SweepFolderError as SweepFolderError
from bkapi.sweeps.plan import SweepError as SweepError
from bkapi.sweeps.result import SweepResult as SweepResult, SweepResultError as SweepResultError
from bkapi.sweeps.search import Search as Search, SearchError as SearchError, SearchResult as SearchResult
from bkapi.sweeps.sweep import (
    ParameterSweep as ParameterSweep,
    SweepExplanation as SweepExplanation,
    sweep_brackets as sweep_brackets,
)
from bkapi.sweeps.walk_forward import (
    WalkForward as WalkForward,
    WalkForwardError as WalkForwardError,
    WalkForwardResult as WalkForwardResult,
)
from bkapi.walkers.logic import (
    WalkerLogicPrivateService as WalkerLogicPrivateService,
    WalkerLogicPublicService as WalkerLogicPublicService,
)
from bkapi.walkers.walker import (
    BackgroundWalker as BackgroundWalker,
    Walker as Walker,
    WalkerCommandService as WalkerCommandService,
    WalkerUtils as WalkerUtils,
)
from bkcore.candles.frame import CandleFrame as CandleFrame
from bkcore.intervals import (
    UnknownIntervalError as UnknownIntervalError,
    interval_start as interval_start,
    interval_step_ms as interval_step_ms,
)
from bkcore.machine.codes import Command as Command
from bkcore.machine.hooks import KernelError as KernelError
from bkcore.synthetic import (
    generate as generate,
    sample as sample,
)
