"""The numeric core: candles, the market, the trading rules in one state machine, sweeps and statistics (Numba)."""
