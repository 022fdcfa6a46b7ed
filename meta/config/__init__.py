"""Settings that nest, their command line, and what can be chosen: families and parts of a softness."""
