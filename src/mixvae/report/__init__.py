"""What evaluation found, as tables."""

from .tables import table, write_metrics

__all__ = ["table", "write_metrics"]
