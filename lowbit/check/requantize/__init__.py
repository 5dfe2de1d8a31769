"""Requantisations: name the scheme that a kernel follows."""
