"""Directed inputs and golden sets of requantisations."""
