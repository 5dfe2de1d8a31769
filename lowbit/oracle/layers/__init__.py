"""Integer-only layers as plain loops over Python integers."""
