"""gemmlowp's and TOSA's fixed-point arithmetic, table look-ups and named divisions."""
