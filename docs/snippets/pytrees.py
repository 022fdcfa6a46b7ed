import torch
from torch.func import vmap
from torch.utils._pytree import tree_map, tree_map_with_path

import taichisoft as ts

renderer = ts.SoftRasterizer(ts.Gaussian(0.5))
mesh = ts.shapes.icosphere(1)
cameras = [ts.Camera.orbit(3.0, azimuth, image_size=(32, 32)) for azimuth in (0.0, 90.0)]

# A function of tensors, over one record and over several
double = tree_map(lambda x: x.double(), cameras[0])
several = tree_map(lambda *x: torch.stack(x), *cameras)
views = vmap(lambda camera: renderer(mesh, camera).alpha[0])(several)

# Vertices are mapped over, all else is shared: a tree of axes, 0 and None
shapes = mesh.with_vertices(torch.stack([mesh.vertices, 0.5 * mesh.vertices]))
axes = tree_map_with_path(lambda path, _: 0 if path[0].name == "vertices" else None, shapes)
sizes = vmap(lambda mesh: renderer(mesh, cameras[0]).alpha.sum(), in_dims=(axes,))(shapes)

assert double.dtype == torch.float64
assert torch.allclose(views[1], renderer(mesh, cameras[1]).alpha[0])
assert sizes[1] < 0.3 * sizes[0]
