import torch

import taichisoft as ts

views = ts.load_colmap_cameras("dense/sparse")  # as colmap image_undistorter writes it
camera = views.camera()
photos = torch.stack([ts.load_image(f"dense/images/{name}") for name in views.names])
mesh = ts.load_mesh("mesh.obj")  # with UV coordinates, where the cameras see it
render = ts.SoftRasterizer(ts.Gaussian(scale=0.3), culling=ts.Culling.BACK)


def painted(texels):
    return mesh.with_materials([ts.Material(image=texels, mipmaps=True)])


def loss(p):
    image = render(painted(p["texels"]), camera)
    return ts.mse_loss(image.color, photos, mask=image.alpha.detach() > 0.99)


found = ts.fit(loss, {"texels": torch.full((256, 256, 3), 0.5)}, 100, learning_rate=0.05)
ts.save_mesh(painted(found.parameters["texels"].clamp(0, 1)), "painted.glb")
