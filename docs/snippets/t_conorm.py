import math

import torch
from torch import Tensor

import taichisoft as ts


class SugenoWeber(ts.Aggregation):
    """The sums min(1, a + b + p a b), p > 0."""

    def __init__(self, p: float):
        super().__init__()
        self.p = p

    def generator(self, coverage: Tensor) -> Tensor:
        """Return log(1 + p D), which is 0 at 0 and log(1 + p) at full coverage."""
        return torch.log1p(self.p * coverage)

    def inverse(self, total: Tensor) -> Tensor:
        """Return (exp(total) - 1) / p, at most 1."""
        return torch.expm1(total.clamp(max=math.log1p(self.p))) / self.p


# The same face twice, with its edge at x = 8 pixels.
corners = torch.tensor([[0.0, -99.0, 0.0], [99.0, 0.0, 0.0], [0.0, 99.0, 0.0]])
one = ts.Mesh(corners, torch.tensor([[0, 1, 2]]))
two = ts.Mesh(corners, torch.tensor([[0, 1, 2], [0, 1, 2]]))
camera = ts.Camera.orthographic(eye=(0.0, 0.0, 1.0), height=16.0, image_size=(16, 16))

render = ts.SoftRasterizer(ts.Uniform(scale=3.0), SugenoWeber(p=0.5))
a = render.silhouette(one, camera)
expected = (a + a + 0.5 * a * a).clamp(max=1)
torch.testing.assert_close(render.silhouette(two, camera), expected, atol=1e-5, rtol=0)
