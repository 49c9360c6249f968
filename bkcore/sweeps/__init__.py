"""Many combinations at once: first-passage tables, paths, and what their trades sum up to.

Imports machine and statistics. Begin with ``tables`` and ``fold`` (static brackets), then ``paths``
(policies).
"""
