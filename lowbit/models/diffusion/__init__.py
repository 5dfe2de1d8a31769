"""Models that make images out of noise, and the steps that they are made in."""
