"""What kernels are written with: bits, selection, division, memory, LLVM instructions."""
