"""A conversion: from a code to its exact value, and from a value to the code that a policy gives."""
