"""Markdown documents of every kind of report: columns, layouts, services that write. Begin with ``service``."""
