import torch

import taichisoft as ts

camera = ts.Camera.look_at(eye=(1.0, 1.0, 3.0), fov=40, image_size=(64, 64))
checks = ((torch.arange(8)[:, None] + torch.arange(8)) % 2.0)[..., None].expand(8, 8, 3)
# or ball, texture = ts.load_textured_mesh("spot.obj"): OBJ with MTL and image, GLB, glTF
ball = ts.shapes.icosphere(2)
texture = ts.Texture(checks, uv=ball.vertices[:, :2], wrap=ts.Wrap.REPEAT)
lighting = ts.Lighting(
    [ts.AmbientLight(0.3), ts.PointLight((2.0, 3.0, 4.0), (0.7, 0.6, 0.5))],
    ts.Shading.PHONG,  # or FLAT, GOURAUD
    specular=0.2,
    shininess=32.0,
)
photo = torch.rand(64, 64, 3)
render = ts.SoftRasterizer(ts.Gaussian(0.3), background=photo, ssaa=2)
image = render(ball, camera, texture, lighting=lighting, normals=True, face_ids=True)
print(image.color.shape, image.normals.shape, image.face_ids.unique().numel())
