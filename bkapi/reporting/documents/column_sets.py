"""The default columns of every table, a line each: ``key | label | path | code`` (spec reports.md 5).

Without a path it is the key; a path that begins with ``-`` shows the negated value. Codes: ``cells.CODES``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

_SNAPSHOT_END: Final = """
price_take_profit | Take Profit | {prices}
price_stop_loss | Stop Loss | {prices}
original_price_take_profit | Original TP | {prices}
original_price_stop_loss | Original SL | {prices}
original_price_open | Original Entry | {prices}
total_entries | DCA Entries | I?
total_partials | Partial Closes | I?
pnl_percentage | PNL (net) | pnl.pnl_percentage | S2?
partial_executed | Partial Executed % | P2?
note | Note | N
pending_at | Pending At | ISO0
scheduled_at | Scheduled At | ISO0
timestamp | Timestamp | ISO
mode | Mode | backtest | MODE
""".format(prices="PX0").strip()

_EXTREME: Final = """
symbol | Symbol | T
strategy_name | Strategy | T
signal_id | Signal ID | T
position | Position | U
pnl | PNL (net) | pnl.pnl_percentage | S2
pnl_cost | PNL (USD) | pnl.pnl_cost | SU
current_price | {label} | PX
price_open | Entry Price | PX
price_take_profit | Take Profit | PX
price_stop_loss | Stop Loss | PX
timestamp | Timestamp | ISO
mode | Mode | backtest | MODE
"""

COLUMN_LINES: Final[Mapping[str, str]] = {
    "backtest_columns": """
signal_id | Signal ID | signal.id | T
symbol | Symbol | signal.symbol | T
position | Position | signal.position | U
note | Note | signal.note | N
open_price | Open Price | signal.price_open | PX
close_price | Close Price | current_price | PX
take_profit | Take Profit | signal.price_take_profit | PX
stop_loss | Stop Loss | signal.price_stop_loss | PX
original_price_take_profit | Original TP | signal.original_price_take_profit | PX
original_price_stop_loss | Original SL | signal.original_price_stop_loss | PX
original_price_open | Original Entry | signal.original_price_open | PX
total_entries | DCA Entries | signal.total_entries | I
total_partials | Partial Closes | signal.total_partials | I
pnl | PNL (net) | pnl.pnl_percentage | S2
pnl_cost | PNL (USD) | pnl.pnl_cost | SU
partial_executed | Partial Executed % | signal.partial_executed | P1
partial_closes | Partial Closes | (partial closes)
close_reason | Close Reason | T
duration | Duration (min) | (duration)
open_timestamp | Open Time | signal.pending_at | ISO0
close_timestamp | Close Time | ISO
peak_pnl | Peak PNL | signal.peak_profit.pnl_percentage | S2?
fall_pnl | Max DD PNL | signal.max_drawdown.pnl_percentage | P2?
""",
    "live_columns": """
timestamp | Timestamp | ISO
action | Action | U
symbol | Symbol | T?
signal_id | Signal ID | T?
position | Position | U?
note | Note | N
current_price | Current Price | PX
open_price | Open Price | price_open | PX?
take_profit | Take Profit | price_take_profit | PX?
stop_loss | Stop Loss | price_stop_loss | PX?
original_price_take_profit | Original TP | PX?
original_price_stop_loss | Original SL | PX?
original_price_open | Original Entry | PX?
total_entries | DCA Entries | I?
total_partials | Partial Closes | I?
partial_executed | Partial Executed % | P1?
percent_tp | % to TP | P2?
percent_sl | % to SL | P2?
pnl | PNL (net) | S2?
pnl_cost | PNL (USD) | SU?
close_reason | Close Reason | T?
duration | Duration (min) | NUM?
pending_at | Pending At | ISO?
scheduled_at | Scheduled At | ISO?
peak_pnl | Peak PNL | S2?
fall_pnl | Max DD PNL | P2?
""",
    "schedule_columns": """
timestamp | Timestamp | ISO
action | Action | U
symbol | Symbol | T
signal_id | Signal ID | T
position | Position | U
note | Note | N
current_price | Current Price | PX0
price_open | Entry Price | PX
take_profit | Take Profit | price_take_profit | PX
stop_loss | Stop Loss | price_stop_loss | PX
original_price_take_profit | Original TP | PX?
original_price_stop_loss | Original SL | PX?
original_price_open | Original Entry | PX?
total_entries | DCA Entries | I?
total_partials | Partial Closes | I?
pnl_percentage | PNL (net) | pnl.pnl_percentage | S2?
partial_executed | Partial Executed % | P1?
duration | Wait Time (min) | NUM?
cancel_reason | Cancel Reason | U0
cancel_id | Cancel ID | T?
pending_at | Pending At | ISO?
scheduled_at | Scheduled At | ISO?
""",
    "partial_columns": f"""
action | Action | U
symbol | Symbol | T
strategy_name | Strategy | T
signal_id | Signal ID | T
position | Position | U
level | Level % | (level)
current_price | Current Price | PX
price_open | Entry Price | PX0
{_SNAPSHOT_END}
""",
    "breakeven_columns": f"""
symbol | Symbol | T
strategy_name | Strategy | T
signal_id | Signal ID | T
position | Position | U
price_open | Entry Price | PX
current_price | Breakeven Price | PX
{_SNAPSHOT_END}
""",
    "risk_columns": """
symbol | Symbol | T
strategy_name | Strategy | T
signal_id | Signal ID | current_signal.id | T0
note | Note | current_signal.note | N
position | Position | current_signal.position | U
exchange_name | Exchange | T
open_price | Open Price | current_signal.price_open | PX?
take_profit | Take Profit | current_signal.price_take_profit | PX?
stop_loss | Stop Loss | current_signal.price_stop_loss | PX?
original_price_take_profit | Original TP | current_signal.original_price_take_profit | PX?
original_price_stop_loss | Original SL | current_signal.original_price_stop_loss | PX?
original_price_open | Original Entry | current_signal.original_price_open | PX?
total_entries | DCA Entries | current_signal.total_entries | I?
total_partials | Partial Closes | current_signal.total_partials | I?
partial_executed | Partial Executed % | current_signal.partial_executed | P1?
current_price | Current Price | PX
active_position_count | Active Positions | I
rejection_id | ID | T?
rejection_note | Rejection Reason | T
pending_at | Pending At | current_signal.pending_at | ISO?
scheduled_at | Scheduled At | current_signal.scheduled_at | ISO?
timestamp | Timestamp | ISO
""",
    "strategy_columns": """
symbol | Symbol | T
strategy_name | Strategy | T
signal_id | Signal ID | T
action | Action | T
current_price | Price | PX?
percent_to_close | % To Close | P2?
percent_shift | % Shift | P2?
cancel_id | Cancel ID | T0
close_id | Close ID | T0
created_at | Created At | T0
total_partials | Partial Closes | I?
pnl_percentage | PNL (net) | pnl.pnl_percentage | S2?
cost | Cost (USD) | PX?
timestamp | Timestamp | ISO
mode | Mode | backtest | MODE
""",
    "sync_columns": """
symbol | Symbol | T
strategy_name | Strategy | T
signal_id | Signal ID | T
action | Action | T
position | Position | T
current_price | Current Price | PX
price_open | Entry Price | PX
price_take_profit | Take Profit | PX
price_stop_loss | Stop Loss | PX
total_entries | DCA Entries | I
total_partials | Partial Closes | I
pnl_percentage | PNL (net) | pnl.pnl_percentage | S2
close_reason | Close Reason | T0
created_at | Created At | T
mode | Mode | backtest | MODE
""",
    "highest_profit_columns": _EXTREME.format(label="Peak Price"),
    "max_drawdown_columns": _EXTREME.format(label="DD Price"),
    "performance_columns": """
metric_type | Metric Type | T
count | Count | I
total_duration | Total (ms) | F2
avg_duration | Avg (ms) | F2
min_duration | Min (ms) | F2
max_duration | Max (ms) | F2
std_dev | Std Dev (ms) | F2
median | Median (ms) | F2
p95 | P95 (ms) | F2
p99 | P99 (ms) | F2
avg_wait_time | Avg Wait (ms) | F2
min_wait_time | Min Wait (ms) | F2
max_wait_time | Max Wait (ms) | F2
""",
    "heat_columns": """
symbol | Symbol | T
total_pnl | Total PNL | P2?
sharpe_ratio | Sharpe | F3?
annualized_sharpe_ratio | Ann Sharpe | F3?
certainty_ratio | Certainty | F3?
expected_yearly_returns | Exp Yearly | P2?
trades_per_year | Trades/Yr | F1?
profit_factor | PF | F3?
expectancy | Expect | P2?
win_rate | WR | P2?
avg_win | Avg Win | P2?
avg_loss | Avg Loss | P2?
max_drawdown | Max DD | -max_drawdown | P2?
max_win_streak | W Streak | I
max_loss_streak | L Streak | I
total_trades | Trades | I
avg_peak_pnl | Avg Peak PNL | P2?
avg_fall_pnl | Avg DD PNL | P2?
peak_profit_pnl | Peak Profit PNL | P2?
max_drawdown_pnl | Max DD PNL | P2?
median_pnl | Median PNL | P2?
avg_duration | Avg Dur (min) | F1?
avg_win_duration | Avg Win Dur | F1?
avg_loss_duration | Avg Loss Dur | F1?
avg_consecutive_win_pnl | Avg Win Streak PNL | P2?
avg_consecutive_loss_pnl | Avg Loss Streak PNL | P2?
trend | Trend | T?
trend_strength | Trend %/d | P2?
trend_confidence | Trend R² | F3?
buyer_pressure | Buyer Pres | R1?
seller_pressure | Seller Pres | R1?
buyer_strength | Buyer Str | R1?
seller_strength | Seller Str | R1?
pressure_imbalance | Pres Imb | S3?
median_step_size | Median Step | P2?
sortino_ratio | Sortino | F3?
calmar_ratio | Calmar | F3?
recovery_factor | Recovery | F3?
""",
    "walker_strategy_columns": """
rank | Rank | (rank)
strategy | Strategy | strategy_name | T
metric | Metric | metric_value | F2?
total_signals | Total Signals | stats.total_signals | I
win_rate | Win Rate | stats.win_rate | P2?
avg_pnl | Avg PNL | stats.avg_pnl | S2?
total_pnl | Total PNL | stats.total_pnl | S2?
sharpe_ratio | Sharpe Ratio | stats.sharpe_ratio | F3?
std_dev | Std Dev | stats.std_dev | P3?
sortino_ratio | Sortino | stats.sortino_ratio | F3?
calmar_ratio | Calmar | stats.calmar_ratio | F3?
recovery_factor | Recovery | stats.recovery_factor | F3?
first_event_time | First Event | ISO?
last_event_time | Last Event | ISO?
""",
    "walker_pnl_columns": """
strategy | Strategy | strategy_name | T
signal_id | Signal ID | T
symbol | Symbol | T
position | Position | U
pnl | PNL (net) | S2
close_reason | Close Reason | T
open_time | Open Time | ISO
close_time | Close Time | ISO
""",
}
