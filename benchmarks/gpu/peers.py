"""Other renderers on the same scenes, where they are installed: nvdiffrast, PyTorch3D, gsplat."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

import taichisoft as ts
from benchmarks.gpu.cases import Torus, silhouettes
from benchmarks.gpu.plan import Plan
from benchmarks.gpu.report import Say
from benchmarks.gpu.times import times
from benchmarks.renderers import Renderer, pytorch3d, timed
from benchmarks.scenes import Setting

# Depth that nvdiffrast is told to be the farthest.
FAR = 100.0
OPACITY = 0.9


def nvdiffrast(setting: Setting | Torus) -> Renderer:
    """Return nvdiffrast's silhouettes with anti-aliased edges, which carry all gradients. Hard visibility."""
    import nvdiffrast.torch as dr

    scene = setting.scene
    context = dr.RasterizeCudaContext(device=setting.device)
    view, projection = scene.camera.to_opengl(far=FAR)
    to_clip = (projection @ view).mT.contiguous()
    faces = scene.mesh.faces.to(torch.int32).contiguous()

    def render(mesh: ts.Mesh) -> Tensor:
        points = torch.nn.functional.pad(mesh.vertices, (0, 1), value=1.0) @ to_clip
        drawn, _ = dr.rasterize(context, points, faces, resolution=(setting.size, setting.size))
        covered = (drawn[..., 3:] > 0).to(points.dtype)
        return dr.antialias(covered, drawn, points, faces)

    return timed(scene, "nvdiffrast", render)


def gsplat(setting: Setting | Torus) -> Renderer:
    """Return gsplat's picture of a ball at the middle of each face, as wide as the face."""
    from gsplat import rasterization

    scene = setting.scene
    faces, camera = scene.mesh.faces, scene.camera
    corners = scene.mesh.vertices[faces]
    width = (corners - corners.roll(1, 1)).norm(dim=-1).mean(1, keepdim=True) / 2
    count = len(faces)
    turned = corners.new_tensor([1.0, 0.0, 0.0, 0.0]).expand(count, 4).contiguous()
    world_to_view = torch.eye(4, device=setting.device).repeat(setting.views, 1, 1)
    world_to_view[:, :3, :3], world_to_view[:, :3, 3] = camera.rotation, camera.translation

    def render(mesh: ts.Mesh) -> Tensor:
        _, alpha, _ = rasterization(
            means=mesh.vertices[faces].mean(1),
            quats=turned,
            scales=width.expand(count, 3).contiguous(),
            opacities=corners.new_full((count,), OPACITY),
            colors=corners.new_ones(count, 3),
            viewmats=world_to_view,
            Ks=camera.intrinsics,
            width=setting.size,
            height=setting.size,
        )
        return alpha

    return timed(scene, "gsplat", render)


PEERS: dict[str, Callable[[Setting | Torus], Renderer]] = {
    "nvdiffrast": nvdiffrast,
    "pytorch3d": pytorch3d,
    "gsplat": gsplat,
}


def time_peer(name: str, plan: Plan, say: Say) -> None:
    """Say the times of a peer, or that it is not there."""
    try:
        importlib.import_module(name)
    except ImportError as error:
        say({"renderer": name, "missing": str(error)})
        return
    for setting in silhouettes(plan):
        for row in times(plan, setting.label, partial(PEERS[name], setting)):
            say(row)
