"""Tools that know nothing of trading; the configuration and the context in which user code runs.

May be imported by every room; imports ``bkapi.errors`` and bkcore only. Begin with ``context`` (which run is this?) and
``config`` (the constants); the other files are small and stand alone.
"""
