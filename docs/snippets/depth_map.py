import torch

import taichisoft as ts

part, camera = ts.shapes.bracket(), ts.Camera.look_at((1.0, 1.0, 3.0), image_size=(40, 40))
truth = torch.tensor([0.1, -0.1, 0.2])
seen = ts.SoftRasterizer.hard()(part.with_vertices(part.vertices + truth), camera)
depth = torch.where(seen.alpha > 0, seen.depth, torch.nan)  # as a sensor gives it
unknown = torch.zeros(40, 40, dtype=torch.bool)
unknown[16:22] = True  # what is hidden by something else, say
render = ts.SoftRasterizer(ts.Gaussian(0.4), culling=ts.Culling.BACK)


def loss(p):
    image = render(part.with_vertices(part.vertices + p["shift"]), camera)
    outline = ts.iou_loss(image.alpha, depth.isfinite(), mask=~unknown)
    # Soft outlines are a little wide: how far away it is, is for the depth to say.
    return 0.1 * outline + ts.depth_loss(image.depth, image.alpha, depth, mask=~unknown)


found = ts.fit(loss, {"shift": torch.zeros(3)}, 40, learning_rate=0.02, progress=False)
print(found)
ts.turntable(part, "bracket.gif", frames=4)
assert (found.parameters["shift"] - truth).norm() < 0.03
