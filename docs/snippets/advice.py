import torch

import taichisoft as ts

mesh = ts.shapes.mug()
camera = ts.Camera.look_at(eye=(1.0, 1.0, 3.0), fov=40, image_size=(64, 64))
target = ts.SoftRasterizer.hard().silhouette(mesh, camera)
start = mesh.with_vertices(mesh.vertices + torch.tensor([0.9, -0.5, 0.0]))

near = ts.suggest_scale(start, camera)  # a constant one, for a start that is near
far = ts.suggest_scale(start, camera, target)  # annealed, if the target is out of its reach
print(f"{near.in_pixels(64):.2g} px; for this target from {far.in_pixels(64):.2g} px on")

explanation = ts.SoftRasterizer(ts.Gaussian(0.3)).explain(start, camera, target)
print(explanation)
assert explanation.against.unreached_pixels > 500
