"""Integer matrix products, and sums in any accumulator."""
