"""``lowbit check quantize``, ``dequantize`` and ``quantize_linear``: kernels with several results."""
