"""The one state machine of a signal, the kernels that move it, and the records that it writes.

Imports candles and jit. Begin with ``rules`` (what happens to a position at a candle), then ``phases`` and
``advance`` (in which order), ``fills`` (the order at real prices) and ``run`` (one run, from Python).
"""
