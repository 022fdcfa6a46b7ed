import torch

import taichisoft as ts

# Half a pixel for edges of 4 px, in proportion for others; narrower where many faces overlap.
width = ts.ConditionedPositive(
    0.5, {"edge_length": 1.0, "faces_per_pixel": -0.5}, low=0.1, high=2.0
)
wide = ts.ConditionedPositive(2.0, {"edge_length": 1.0}, low=0.4, high=8.0)
scale = ts.ExponentialAnnealing(ts.Pixels(wide), ts.Pixels(width))
softness = ts.Softness(ts.Gaussian(scale))

mesh, camera = ts.shapes.mug(), ts.Camera.look_at((1.0, 1.0, 3.0), image_size=(32, 32))
hard = ts.SoftRasterizer.hard()
target = hard.silhouette(mesh, camera)
offset = torch.tensor([0.2, -0.1, 0.0], requires_grad=True)
optimizer = torch.optim.Adam([offset], lr=0.02)


def loss(renderer: ts.SoftRasterizer) -> torch.Tensor:
    moved = mesh.with_vertices(mesh.vertices + offset)
    return ts.iou_loss(renderer.silhouette(moved, camera), target)


start, before = mesh.with_vertices(mesh.vertices + offset.detach()), loss(hard)
situation = ts.situation_of(start, camera, colors=False)  # before the first step
print(softness.describe(situation))
renderer = ts.SoftRasterizer(softness=softness)
renderer.set_situation(situation)
for _ in renderer.anneal(40):
    optimizer.zero_grad()
    loss(renderer).backward()
    optimizer.step()

print(f"1 - IoU from {before.item():.2f} to {loss(hard).item():.2f}")
assert loss(hard) < before / 4
assert 0.1 < width() < 0.5 < wide()
