"""Candles, prices, order books and trades: exchanges, candles on disk, ticks of frames.

Imports base, events and schemas. Begin with ``exchange`` (what strategy code may ask for); ``source`` fetches it,
``ranges`` says which range a request means, ``store`` and ``cache`` keep candles on disk.
"""
