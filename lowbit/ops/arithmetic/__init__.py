"""Steps that keep what a later rounding needs."""
