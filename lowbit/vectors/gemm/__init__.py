"""Directed inputs and golden sets of integer matrix products."""
