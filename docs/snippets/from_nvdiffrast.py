import torch

import taichisoft as ts

mesh = ts.shapes.mug()  # ts.Mesh(pos, tri), tri as int64
size = (64, 64)
seen = ts.Camera.look_at((1, 1, 3), fov=40, image_size=size)
view, projection = seen.to_opengl(far=10.0)
mvp = projection[0] @ view[0]  # or the one that you have
hidden = torch.tensor([0.2, -0.1, 0.0])
wanted = mesh.with_vertices(mesh.vertices + hidden)
hard = ts.SoftRasterizer.hard()
mask = hard.silhouette(wanted, seen)  # row 0 is the top

camera = ts.Camera.from_clip(mvp, image_size=size)
render = ts.SoftRasterizer(ts.Gaussian(scale=0.3))  # pixels


def silhouette(points):
    moved = mesh.with_vertices(points)
    return render.silhouette(moved, camera)


shift = torch.zeros(3, requires_grad=True)
adam = torch.optim.Adam([shift], lr=0.02)
for _ in range(60):
    adam.zero_grad()
    alpha = silhouette(mesh.vertices + shift)
    loss = (alpha - mask).square().mean()
    loss.backward()
    adam.step()

print(loss.item(), shift.detach())
off = (shift.detach() - hidden).abs()
assert off[:2].max() < 0.05  # a mask says little of the depth
