"""Meshes and what is computed from them alone: knows neither cameras nor softness."""
