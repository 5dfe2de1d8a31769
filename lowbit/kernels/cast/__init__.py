"""Casts: take a code apart, round, put the target together."""
