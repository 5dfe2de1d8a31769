"""gemmlowp's and TOSA's fixed-point arithmetic, and table look-ups."""
