"""The searches: bounds, dynamic programming, branch and bound, neighbourhoods, and solvers of others."""
