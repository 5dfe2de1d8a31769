"""Integer-only nonlinearities: name the scheme that a kernel follows."""
