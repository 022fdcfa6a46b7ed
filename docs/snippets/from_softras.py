import torch

import taichisoft as ts

ball = ts.shapes.icosphere(2)
azimuths = torch.arange(8) * 45.0
around = {"fov": 30, "image_size": (64, 64)}
camera = ts.Camera.orbit(4, azimuths, 30, **around)
hard = ts.SoftRasterizer.hard()
sides = torch.tensor([0.6, 0.9, 0.7])
egg = ball.with_vertices(ball.vertices * sides)
masks = hard.silhouette(egg, camera)  # (8, 64, 64)

render = ts.SoftRasterizer(ts.Logistic.softras(sigma=1e-4))
smooth = ts.Laplacian(ball.faces)

offset = torch.zeros_like(ball.vertices, requires_grad=True)
adam = torch.optim.Adam([offset], lr=0.01)
for _ in range(100):
    adam.zero_grad()
    shape = ball.vertices + offset
    mesh = ball.with_vertices(shape)
    alpha = render.silhouette(mesh, camera)
    loss = ts.iou_loss(alpha, masks) + smooth(shape)
    loss.backward()
    adam.step()

found = ball.with_vertices(shape.detach())
left = ts.iou_loss(hard.silhouette(found, camera), masks)
print(left)
assert left < 0.05
