"""Entropy coders of codes: symbols in, 16-bit words out, and back."""
