"""encode, decode, convert: which kernel takes a cast, and how arrays get there and back."""
