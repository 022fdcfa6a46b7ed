"""Optimisation of the parameters of a render."""
