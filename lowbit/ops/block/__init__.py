"""Block formats over arrays: quantize, dequantize and the tensors between them."""
