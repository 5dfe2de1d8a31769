"""Directed inputs of conversions."""
