"""Tensors in block formats: directed blocks, and the sets that hold them."""
