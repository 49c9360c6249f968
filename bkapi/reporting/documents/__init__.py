"""Markdown documents of every kind of report: columns, layouts, services that collect and write. See ``service``."""
