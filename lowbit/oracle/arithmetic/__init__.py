"""Floating-point operations, each exact and then rounded."""
