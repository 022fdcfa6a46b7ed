"""Taichi kernels: bundles of flat arrays in, flat arrays out. They know tables and triangles, not torch."""
