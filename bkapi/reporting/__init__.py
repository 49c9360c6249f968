"""How what happened becomes statistics, documents and records: thirteen kinds of report from one table.

Imports runs and statistics. Begin with ``kinds``, the table. ``documents/`` writes Markdown, ``journal/``
writes a record per event, ``saved/`` writes a whole run down; ``facades`` is what users ask.
"""
