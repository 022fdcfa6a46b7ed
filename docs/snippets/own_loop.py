import torch

import taichisoft as ts

mesh = ts.shapes.mug()  # or ts.load_mesh("spot.obj")
camera = ts.Camera.look_at(eye=(1.0, 1.0, 3.0), fov=40, image_size=(64, 64))
target = ts.SoftRasterizer.hard().silhouette(mesh, camera)

render = ts.SoftRasterizer(
    coverage=ts.Gaussian(scale=0.1),  # pixels; or ts.MLPCoverage(), ts.Mixture(...), ...
    aggregation=ts.Probabilistic(),  # or ts.Frank(p=2.0), ts.Max(), ...
    occlusion=ts.FrontToBack(gamma=ts.DepthFraction(0.02)),  # of the extent in depth; the default
)
offset = torch.tensor([0.2, -0.1, 0.0], requires_grad=True)
optimizer = torch.optim.Adam([offset], lr=0.02)
for _ in render.anneal(60):  # an annealed softness follows the steps, a constant one does not
    optimizer.zero_grad()
    moved = mesh.with_vertices(mesh.vertices + offset)
    loss = ts.iou_loss(render.silhouette(moved, camera), target)
    loss.backward()
    optimizer.step()
assert loss < 0.05

image = render(mesh, camera, colors=torch.rand(mesh.num_vertices, 3))
print(image.alpha.shape, image.color.shape, image.depth.shape, ts.backend())

render.softness.save("gaussian.safetensors", trained={"by": "hand"})
again = ts.SoftRasterizer(softness=ts.Softness.load("gaussian.safetensors"))
