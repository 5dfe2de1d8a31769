"""From accumulators to codes of few bits, and sums of quantised tensors."""
