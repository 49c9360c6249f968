"""Work that is done once per interval: ``Cache``, ``Interval``, ``Cron``.

Imports base, events and runs. Begin with ``buckets``, which Cache and Interval share.
"""
