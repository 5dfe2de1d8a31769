"""Integer matrix products: name the accumulator that a kernel follows."""
