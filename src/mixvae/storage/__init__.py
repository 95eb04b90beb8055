"""Storage of runs: files written whole, reading within bounds, locks, run folders."""
