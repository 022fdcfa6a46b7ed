import torch
from torch import Tensor

import taichisoft as ts
from taichisoft.softness.coverage import Support


class Tent(ts.ClosedForm):
    """The triangular distribution on [-scale, scale]."""

    def cdf(self, x: Tensor) -> Tensor:
        """Return (1 + x)^2 / 2 outside, 1 - (1 - x)^2 / 2 inside."""
        y = 1 - x.abs().clamp(max=1)
        return torch.where(x < 0, y * y / 2, 1 - y * y / 2)

    def support(self) -> Support:
        """Return [-1, 1]; the second derivative jumps at 0, and F reaches 1 at 1."""
        return Support(-1.0, 1.0, kinks=(0.0,), graded=((1.0, ts.SHARP),))


# A face with a vertical edge at x = 8 pixels, right of which it goes on beyond the image.
corners = torch.tensor([[0.0, -99.0, 0.0], [99.0, 0.0, 0.0], [0.0, 99.0, 0.0]])
face = ts.Mesh(corners, torch.tensor([[0, 1, 2]]))
camera = ts.Camera.orthographic(eye=(0.0, 0.0, 1.0), height=16.0, image_size=(16, 16))

alpha = ts.SoftRasterizer(Tent(scale=1.0)).silhouette(face, camera)
# Pixel 7 is half a pixel outside, pixel 8 half a pixel inside.
expected = torch.tensor([0.0, 0.125, 0.875, 1.0])
torch.testing.assert_close(alpha[0, 8, 6:10], expected, atol=1e-5, rtol=0)
