"""Evaluations of learned and fixed softnesses on problems that neither has seen."""
