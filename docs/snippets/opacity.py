import torch

import taichisoft as ts

camera = ts.Camera.look_at(eye=(0.0, 0.0, 3.0), image_size=(64, 64))
ball = ts.shapes.icosphere(2)
blue = torch.tensor([0.2, 0.5, 1.0]).expand(ball.num_vertices, 3)
render = ts.SoftRasterizer(ts.Gaussian(scale=0.3), culling=ts.Culling.BACK)

through = torch.tensor(0.25, requires_grad=True)  # or one number a vertex or face
glass = render(ball, camera, blue, opacity=through)
glass.alpha.mean().backward()
glass.save("glass.png")  # colours that are not multiplied by alpha, and alpha

print(glass.rgba()[0, 32, 32], through.grad)
# The middle of the ball is a quarter of a wall, of its whole colour.
assert (glass.rgba()[0, 32, 32] - torch.tensor([0.2, 0.5, 1.0, 0.25])).abs().max() < 0.05
assert through.grad > 0
