"""Renderers: a mesh, a camera and a softness to an image."""
