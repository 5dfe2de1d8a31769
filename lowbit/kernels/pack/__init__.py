"""Codes into the bytes of a product's structs, and out of them."""
