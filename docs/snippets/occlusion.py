import torch
from torch import Tensor

import taichisoft as ts


class Fade(ts.ReferenceDepth):
    """A weight that falls linearly, to 0 at gamma behind the nearest face."""

    def forward(self, u: Tensor) -> Tensor:
        """Return 1 + u, for u <= 0."""
        return (1 + u).clamp(min=0)

    def domain(self) -> ts.Domain:
        """Return [-1, 0]; farther behind a face is hidden."""
        return ts.Domain(-1.0, 0.0)


# Two layers over the whole image, the red one in front, a quarter of a unit before the green one.
corners = torch.tensor([[-99.0, -99.0, 0.0], [99.0, -99.0, 0.0], [0.0, 99.0, 0.0]])
behind = corners - torch.tensor([0.0, 0.0, 0.25])
layers = ts.Mesh(
    torch.cat([corners, behind]),
    torch.tensor([[0, 1, 2], [3, 4, 5]]),
    face_colors=torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]),
)
camera = ts.Camera.orthographic(eye=(0.0, 0.0, 1.0), height=16.0, image_size=(16, 16))

color = ts.SoftRasterizer(ts.Gaussian(0.5), occlusion=Fade(0.5))(layers, camera).color
# Weights of 1 and 1 - 0.25 / 0.5.
torch.testing.assert_close(color[0, 8, 8], torch.tensor([2 / 3, 1 / 3, 0.0]), atol=1e-5, rtol=0)

# Front to back the order is a coverage. One gamma apart, the red layer hides the green one.
occlusion = ts.FrontToBack(order=ts.Uniform(), gamma=0.25)
color = ts.SoftRasterizer(ts.Gaussian(0.5), occlusion=occlusion)(layers, camera).color
torch.testing.assert_close(color[0, 8, 8], torch.tensor([1.0, 0.0, 0.0]), atol=1e-5, rtol=0)
