"""Metrics as tables and files."""

from .tables import table, write_metrics

__all__ = ["table", "write_metrics"]
