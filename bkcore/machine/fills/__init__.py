"""Fills on real candles (spec fills.md): what is decided at a close fills at the next open or at that close, and what
rests at the exchange fills inside the candle that reaches it.

``decisions`` says which row of a signal frame speaks at which candle, ``advance`` in which order a candle goes:
``at_open`` (steps 1 to 3 of section 3), ``inside`` (4 and 5), ``at_end`` (6). ``levels`` knows where a position's
levels lie, ``changes`` how an order or a position begins, changes and ends.
"""
