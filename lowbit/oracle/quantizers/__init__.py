"""Quantisers, number by number."""
