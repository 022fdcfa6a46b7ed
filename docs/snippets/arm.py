import torch

import taichisoft as ts

_, up, axis = torch.eye(3)
link = ts.shapes.cube().transformed(torch.diag(torch.tensor([0.2, 0.9, 0.2])), up / 2)
camera, truth = ts.Camera.orbit(6.0, [0.0, 50.0], image_size=(48, 48)), torch.tensor([0.4, 0.9])
render = ts.SoftRasterizer(ts.Gaussian(ts.ExponentialAnnealing(3.0, 0.3)))


def masks_of_arm(angles, renderer):  # a joint at 0, and one at the end of the first link
    first, second = ts.rotations.from_axis_angle(angles.cumsum(0)[:, None] * axis)
    arm = ts.join([link.transformed(first, 0 * up), link.transformed(second, first @ up)])
    return renderer(arm, camera, objects=True).objects


masks = masks_of_arm(truth, ts.SoftRasterizer.hard())


def loss(p):
    return ts.mse_loss(masks_of_arm(p["angles"], render), masks)


found = ts.fit(loss, {"angles": torch.zeros(2)}, 40, learning_rate=0.1, renderer=render)
assert (found.parameters["angles"] - truth).abs().max() < 0.02
