"""Loops of quantisers."""
