"""Block formats: scales and codes of binary32 numbers, block after block."""
