"""Estimates of log p(x): defensive and plain importance sampling, annealed importance sampling."""
