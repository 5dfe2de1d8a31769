"""Integer-only nonlinearities, a row at a time."""
