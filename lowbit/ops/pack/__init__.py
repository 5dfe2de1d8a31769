"""Codes narrower than a byte, packed."""
