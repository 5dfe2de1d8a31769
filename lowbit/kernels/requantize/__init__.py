"""From accumulators to codes of few bits."""
