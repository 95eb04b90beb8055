"""How runs lie on disk: files written whole, read within bounds, locked, and marked as finished."""
