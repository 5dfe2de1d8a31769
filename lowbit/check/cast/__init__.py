"""Conversions: compare, classify, and name the policy that a kernel follows."""
