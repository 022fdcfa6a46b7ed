"""Benchmarks: run by hand with `make bench`, smoke-run by a test."""
