"""Learned against fixed softnesses on problems that neither has seen."""
