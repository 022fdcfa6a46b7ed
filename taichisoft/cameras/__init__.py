"""Cameras, and the ways to and from those of other programs: from world to pixel coordinates."""
