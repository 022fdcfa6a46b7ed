import torch

import taichisoft as ts

ball = ts.shapes.icosphere(2)
camera = ts.Camera.look_at(eye=(0.0, 0.0, 6.0), fov=40, image_size=(64, 64))
aside = torch.tensor([1.9, 0.0, 0.0])
target = ts.SoftRasterizer.hard().silhouette(ball.with_vertices(ball.vertices - aside), camera)
start = {"offset": aside / 2}


def moved(p):
    return ball.with_vertices(ball.vertices + p["offset"])


def fitted(scale):
    render = ts.SoftRasterizer(ts.Gaussian(scale))

    def loss(p):
        return ts.iou_loss(render.silhouette(moved(p), camera), target)

    return ts.fit(loss, start, 40, learning_rate=0.1, renderer=render, progress=False)


narrow = fitted(0.3)
print(narrow)
print("gradient at the start:", narrow.history.gradient_norms["offset"][0].item())

wide = fitted(ts.suggest_scale(moved(start), camera, target))
print(wide)
assert narrow.loss > 0.99
assert wide.loss < 0.1
