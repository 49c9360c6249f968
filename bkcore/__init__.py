"""Numeric core: candles, market, and the one signal state machine, compiled by Numba."""
