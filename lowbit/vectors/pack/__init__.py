"""Packed codes: the sets that hold them."""
