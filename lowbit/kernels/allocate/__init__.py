"""The inner loops of the bit allocator."""
