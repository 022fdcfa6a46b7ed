import torch

import taichisoft as ts

corners = torch.tensor([[-1.0, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0]])
sheet = ts.Mesh(corners, torch.tensor([[0, 1, 2], [0, 2, 3]]))  # its outside is at positive z
behind = ts.Camera.look_at(eye=(0.0, 0.0, -4.0), image_size=(32, 32))

lamp = ts.DirectionalLight((0.0, 0.0, -1.0))
render = ts.SoftRasterizer(ts.Gaussian(scale=0.3))
dark = render(sheet, behind, lighting=ts.Lighting([lamp])).color
lit = render(sheet, behind, lighting=ts.Lighting([lamp], two_sided=True)).color
render.culling = ts.Culling.BACK
gone = render(sheet, behind, lighting=ts.Lighting([lamp])).alpha

print(dark.max(), lit.max(), gone.max())
assert dark.max() == 0
assert lit.max() > 0.99
assert gone.max() == 0
