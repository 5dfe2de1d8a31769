"""Real models as plain arrays: a forward pass over a dictionary of parameters, and hooks at every linear layer."""
