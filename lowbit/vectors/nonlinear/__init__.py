"""Directed inputs and golden sets of integer-only nonlinearities."""
