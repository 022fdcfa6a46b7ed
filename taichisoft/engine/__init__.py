"""Sums of a tabulated softness over the faces at each pixel, and their derivatives. Private."""
