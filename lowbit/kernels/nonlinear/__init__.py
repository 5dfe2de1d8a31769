"""Integer-only nonlinearities over rows of codes."""
