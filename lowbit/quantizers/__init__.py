"""Quantisers: from weights and activations to codes."""
