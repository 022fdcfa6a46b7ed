import numpy as np
import torch

import taichisoft as ts

depth = torch.from_numpy(np.load("depth.npy"))  # (H, W), scene units; NaN beside the part
seen = torch.from_numpy(np.load("seen.npy"))  # (H, W), False where something else is in front
part = ts.load_mesh("part.stl")
camera = ts.Camera.look_at((1.0, 1.0, 3.0), fov=40, image_size=depth.shape)
render = ts.SoftRasterizer(ts.Gaussian(scale=0.4), culling=ts.Culling.BACK)


def loss(p):
    image = render(part.with_vertices(part.vertices + p["shift"]), camera)
    outline = ts.iou_loss(image.alpha, depth.isfinite(), mask=seen)
    # Soft outlines are a little wide: how far away it is, is for the depth to say.
    return 0.1 * outline + ts.depth_loss(image.depth, image.alpha, depth, mask=seen)


found = ts.fit(loss, {"shift": torch.zeros(3)}, 40, learning_rate=0.02)
print(found)
ts.turntable(part.with_vertices(part.vertices + found.parameters["shift"]), "part.gif")
