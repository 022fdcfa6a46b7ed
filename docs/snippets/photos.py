import json

import torch

import taichisoft as ts

# What a scan gives: photos of a ball (drawn here), where each was taken from, and the lens.
ball, render = ts.shapes.icosphere(1), ts.SoftRasterizer(ts.Gaussian(scale=0.3))
truth = (ball.vertices + 1) / 2
taken = ts.Camera.orbit(3.0, [0.0, 90.0, 180.0, 270.0], image_size=(32, 48))
photos = render(ball, taken, truth).color
frames = [
    {"file_path": f"{index}.png", "transform_matrix": pose.tolist()}
    for index, pose in enumerate(taken.to_blender().matrix_world)
]
lens = {"fl_x": float(taken.intrinsics[0, 0, 0]), "w": 48, "h": 32}
with open("transforms.json", "w", encoding="utf-8") as file:
    json.dump({**lens, "frames": frames}, file)

# The colours of the ball, from the photos.
camera = ts.load_nerf_cameras("transforms.json").camera()
colors = torch.full_like(truth, 0.5).requires_grad_()
optimizer = torch.optim.Adam([colors], lr=0.1)
for _ in range(30):
    optimizer.zero_grad()
    loss = ts.mse_loss(render(ball, camera, colors).color, photos)
    loss.backward()
    optimizer.step()

# The two poles are hardly seen.
seen = ball.vertices[:, 1].abs() < 0.8
assert (colors - truth)[seen].abs().max() < 0.1
# Depth leads from the pixels back to the ball.
first = ts.SoftRasterizer.hard()(ball, camera[0])
points = camera[0].unproject(first.depth)[first.alpha > 0]
assert ((points.norm(dim=-1) - 1).abs() < 0.15).all()
