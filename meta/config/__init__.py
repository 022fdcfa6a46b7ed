"""Settings of a run, and what they build: families of tasks and the softness to learn."""
