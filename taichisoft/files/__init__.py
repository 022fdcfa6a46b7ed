"""Meshes and images in files."""
