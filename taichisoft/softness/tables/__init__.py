"""Functions of one number as piecewise cubic tables."""
