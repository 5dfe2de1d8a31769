"""Integer matrix products, exact and in any accumulator."""
