import torch

import taichisoft as ts

mesh = ts.shapes.mug()
camera = ts.Camera.look_at(eye=(1.0, 1.0, 3.0), fov=40, image_size=(64, 64))
target = ts.SoftRasterizer.hard().silhouette(mesh, camera)


def moved(p):
    return mesh.with_vertices(mesh.vertices + p["offset"])


start = {"offset": torch.tensor([0.9, -0.5, 0.0])}
render = ts.SoftRasterizer(ts.Gaussian(ts.suggest_scale(moved(start), camera, target)))
found = ts.fit(
    lambda p: ts.iou_loss(render.silhouette(moved(p), camera), target),
    start,
    steps=60,
    learning_rate=0.05,
    renderer=render,  # its annealed scale follows
    snapshot_every=2,
)
found.history.animate("fit.gif", lambda p: render.silhouette(moved(p), camera)[0])
print(found)
assert found.loss < 0.05
