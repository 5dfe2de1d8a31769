"""Models that learn: block by block beside their float selves, or trained in low-bit formats from the start."""
