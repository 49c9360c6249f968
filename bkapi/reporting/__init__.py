"""Turns what happened into statistics, documents and records: thirteen kinds of report from one table.

Imports events, runs, schemas, sinks and statistics. Begin with ``kinds``, the table. ``documents/`` writes Markdown,
``journal/`` writes a record per event, ``saved/`` saves whole runs; ``facades`` is what users ask.
"""
