"""Codes narrower than a word, packed."""
