"""The kernels with several operands that can be checked: their operands, directed inputs, rules and words."""
