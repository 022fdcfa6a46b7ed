import torch

import taichisoft as ts

mesh = ts.shapes.mug()
camera = ts.Camera.look_at(eye=(1.0, 1.0, 3.0), fov=40, image_size=(64, 64))
target = ts.SoftRasterizer.hard().silhouette(mesh, camera)

offset = torch.tensor([0.2, -0.1, 0.0], requires_grad=True)
moved = mesh.with_vertices(mesh.vertices + offset)
render = ts.SoftRasterizer(ts.Gaussian(ts.suggest_scale(moved, camera, target)))
loss = ts.iou_loss(render.silhouette(moved, camera), target)
loss.backward()

print(ts.backend(), round(loss.item(), 3), offset.grad)
# The loss falls when the mug goes back: to the left and up.
assert offset.grad[0] > 0
assert offset.grad[1] < 0
