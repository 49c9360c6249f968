"""Tools that know nothing of trading; the configuration; the context in which user code runs.

Every room may import it. Imports only ``bkapi.errors`` and bkcore. Begin with ``context`` (which run is this?) and
``config`` (the constants); the other files are small and stand alone.
"""
