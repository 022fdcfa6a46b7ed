import torch

import taichisoft as ts

mesh = ts.shapes.mug()  # or ts.load_mesh("mug.obj")
size = (64, 64)
camera = ts.Camera.orbit(3, 30, 20, fov=40, image_size=size)
hard = ts.SoftRasterizer.hard()
hidden = torch.tensor([0.2, 0.4, -0.1])
hidden_R = ts.rotations.from_axis_angle(hidden)
hidden_t = torch.tensor([0.1, -0.1, 0.0])
wanted = mesh.transformed(hidden_R, hidden_t)
mask = hard.silhouette(wanted, camera)  # (1, 64, 64)

render = ts.SoftRasterizer(ts.Logistic.softras(sigma=1e-4))

turn = torch.zeros(3, requires_grad=True)
shift = torch.zeros(3, requires_grad=True)
adam = torch.optim.Adam([turn, shift], lr=0.02)
for _ in range(100):
    adam.zero_grad()
    R = ts.rotations.from_axis_angle(turn)
    moved = mesh.transformed(R, shift)
    alpha = render.silhouette(moved, camera)
    loss = (alpha - mask).square().mean()
    loss.backward()
    adam.step()

print(loss.item(), turn.detach(), shift.detach())
found = R.detach()
assert ts.rotations.angle_between(found, hidden_R) < 0.1
