"""Learning a softness over inverse-rendering problems."""
