"""What an installed package must be able to do, wherever it is installed: `python smoke.py`."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import torch

import taichisoft as ts


def main() -> None:
    """Render, differentiate, use every shipped softness, write and read a mesh, run the command line."""
    mesh = ts.shapes.mug()
    camera = ts.Camera.look_at((1.0, 1.0, 3.0), image_size=(32, 40))
    vertices = mesh.vertices.clone().requires_grad_()
    alpha = ts.SoftRasterizer(ts.Gaussian(0.5)).silhouette(mesh.with_vertices(vertices), camera)
    (gradient,) = torch.autograd.grad(alpha.sum(), vertices)
    assert 0 < alpha.mean() < 1
    assert gradient.isfinite().all()
    assert gradient.abs().max() > 0
    names = ts.pretrained_names()
    assert "general" in names
    for name in names:
        image = ts.SoftRasterizer.pretrained(name)(mesh, camera, torch.rand(mesh.num_vertices, 3))
        assert image.color.shape == (1, 32, 40, 3)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "mug.obj"
        ts.save_mesh(mesh, path)
        assert ts.load_mesh(path).num_faces == mesh.num_faces
    told = subprocess.run(
        [sys.executable, "-m", "taichisoft", "info"], capture_output=True, text=True, check=True
    ).stdout
    assert ", ".join(names) in told
    python = ".".join(str(n) for n in sys.version_info[:3])
    print(
        f"taichisoft {ts.__version__} on {ts.backend()}, Python {python}: {Path(ts.__file__).parent}"
    )


if __name__ == "__main__":
    main()
