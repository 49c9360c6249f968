"""What happens once per interval: ``Cache``, ``Interval``, ``Cron``.

Imports base, events and schemas. Begin with ``buckets``, which Cache and Interval share.
"""
