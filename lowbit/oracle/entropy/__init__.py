"""Coded streams in Python integers, from their description: header and table, Huffman's codes, rANS."""
