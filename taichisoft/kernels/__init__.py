"""Taichi kernels. They know neither torch nor softness, only points, faces and tables."""
