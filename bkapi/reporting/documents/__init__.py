"""Markdown documents of every kind of report: columns, layouts, the services that collect and write. See ``service``."""
