"""Taichi kernels: flat arrays in, flat arrays out. They know tables and triangles, and nothing of torch."""
