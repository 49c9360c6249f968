"""Documented Python API over the numeric core."""
