"""The fault run: `make faults` kills, damages, fills and misuses, and counts what goes wrong."""
