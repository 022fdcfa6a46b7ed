"""The three functions that make a renderer soft, as tables and files: knows no meshes, no kernels."""
