"""Block formats: what a tensor's codes and scales are, and what they are worth, in integers and fractions."""
