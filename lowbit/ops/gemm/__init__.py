"""Integer matrix products: operands, paths, accumulators, prepacked operands."""
