"""Metrics as tables and files, and a page about runs."""

from .tables import table, write_metrics

__all__ = ["table", "write_metrics"]
