"""gemmlowp's and TOSA's functions of fixed-point numbers, and table look-ups."""
