import torch

import taichisoft as ts

camera = ts.Camera.look_at(eye=(1.0, 1.0, 3.0), fov=40, image_size=(64, 64))
ball = ts.shapes.icosphere(2)
wood = ts.Material(image=torch.rand(16, 8, 3), wrap_u=ts.Wrap.REPEAT, wrap_v=ts.Wrap.CLAMP)
red = ts.Material(torch.tensor([0.8, 0.1, 0.1]))
half = torch.arange(ball.num_faces) % 2
painted = ball.with_materials([wood, red], face_materials=half, uv=ball.vertices[:, :2])
image = ts.SoftRasterizer(ts.Gaussian(0.3))(
    painted, camera, lighting=ts.Lighting([ts.AmbientLight(1.0)])
)
assert image.color.shape == (1, 64, 64, 3)
