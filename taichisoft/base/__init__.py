"""Checks, precision, memory, files, and the backend with Taichi behind it: what every room may use."""
