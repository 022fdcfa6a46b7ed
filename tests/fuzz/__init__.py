"""Fuzzing with seeds: what no one would write by hand."""
