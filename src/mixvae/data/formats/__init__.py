"""Readers of file formats: arrays, images, archives, and what data sets are published in."""
