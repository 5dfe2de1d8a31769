"""Integer-only nonlinearities: the public functions, and a runner for every scheme."""
