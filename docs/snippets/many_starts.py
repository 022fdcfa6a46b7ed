import torch

import taichisoft as ts

mesh = ts.shapes.mug()
camera = ts.Camera.look_at(eye=(1.0, 1.0, 4.0), fov=40, image_size=(48, 48))
true = ts.rotations.from_axis_angle(torch.tensor([2.0, 0.5, -1.0]))
still = torch.zeros(3)
target = ts.SoftRasterizer.hard().silhouette(mesh.transformed(true, still), camera)
render = ts.SoftRasterizer(ts.Gaussian(ts.ExponentialAnnealing(1.0, 0.2)))


def losses(p):  # one for each start
    turned = mesh.transformed(ts.rotations.from_axis_angle(p["turn"]), still)
    return 1 - ts.iou(render.silhouette(turned, camera), target)


starts = {"turn": 2 * torch.randn(200, 3, generator=torch.Generator().manual_seed(0))}
found = ts.multi_start(
    losses, starts, 60, keep=8, learning_rate=0.03, renderer=render, progress=False
)
print(found)
assert found.loss < 0.1
