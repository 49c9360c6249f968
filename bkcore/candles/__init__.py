"""Candles as they come in: formats, checks, gaps, frames.

Imports errors, intervals and jit. Begin with ``frame`` (:class:`CandleFrame`) and ``door`` (what may come
in); the other files answer one question each about a file, a column or a row.
"""
