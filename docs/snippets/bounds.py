import torch

import taichisoft as ts

ball = ts.shapes.icosphere(2)
camera = ts.Camera.look_at(eye=(0.0, 0.0, 5.0), fov=40, image_size=(48, 48))
render = ts.SoftRasterizer(ts.Gaussian(0.3))
hard = ts.SoftRasterizer.hard()


def scene(p):
    radius = 0.5 + torch.sigmoid(p["radius"])  # from 0.5 to 1.5
    color = torch.sigmoid(p["color"])  # from 0 to 1
    return ball.with_vertices(radius * ball.vertices), color.expand(ball.num_vertices, 3)


true = {"radius": torch.tensor(0.3), "color": torch.tensor([2.0, 0.0, -2.0])}
photo = hard(scene(true)[0], camera, scene(true)[1])


def loss(p):
    mesh, colors = scene(p)
    image = render(mesh, camera, colors)
    return ts.iou_loss(image.alpha, photo.alpha) + ts.mse_loss(image.color, photo.color)


start = {"radius": torch.tensor(-1.0), "color": torch.zeros(3)}
found = ts.fit(loss, start, 300, learning_rate=0.1, patience=15, tolerance=1e-4, progress=False)
print(found)
mesh, colors = scene(found.parameters)
print("radius", mesh.vertices.norm(dim=1).mean().item(), "colour", colors[0])
assert (found.parameters["radius"] - true["radius"]).abs() < 0.1
