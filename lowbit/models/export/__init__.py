"""Integer models as other tools read them."""
