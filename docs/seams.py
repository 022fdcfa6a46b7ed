"""Seams between faces, measured: part of ``make docs-pictures``, which prints what the pages quote."""

from __future__ import annotations

import torch

import taichisoft as ts

CONORMS: dict[str, ts.Aggregation] = {
    "Probabilistic": ts.Probabilistic(),
    "Frank(1e1)": ts.Frank(1e1),
    "Frank(1e2)": ts.Frank(1e2),
    "Frank(1e4)": ts.Frank(1e4),
    "Frank(1e6)": ts.Frank(1e6),
    "BoundedSum": ts.BoundedSum(),
}


def ball_in_a_ball() -> tuple[ts.Mesh, ts.Camera]:
    """Return a ball of 1,280 faces with one of half the radius inside; colours are the share of each."""
    ball = ts.shapes.icosphere(3)
    vertices = torch.cat([ball.vertices, 0.5 * ball.vertices]).double()
    faces = torch.cat([ball.faces, ball.faces + ball.num_vertices])
    colors = torch.eye(2, dtype=torch.float64).repeat_interleave(ball.num_vertices, 0)
    camera = ts.Camera.look_at((0.0, 0.0, 4.0), fov=40, image_size=(64, 64))
    return ts.Mesh(vertices, faces, colors), camera.to(dtype=torch.float64)


def print_seams() -> None:
    """Print how much of the inner ball shows, of which nothing should."""
    mesh, camera = ball_in_a_ball()
    # Wholly in front of the inner ball, whose radius is 11 pixels.
    middle = torch.hypot(*torch.meshgrid(*[torch.arange(64) - 31.5] * 2, indexing="ij")) < 10
    for kind, pixels in ((ts.Gaussian, 0.3), (ts.Gaussian, 0.1), (ts.ExponentialReversed, 0.3)):
        for name, conorm in CONORMS.items():
            color = ts.SoftRasterizer(kind(pixels), conorm)(mesh, camera).color[0][middle].detach()
            hidden = 100 * float(color[:, 1].sum() / color.sum())
            print(f"seams: {kind.__name__} {pixels:g} px, {name}: {hidden:.2f} % of the inner ball")


def flat_sheet(rows: int = 12, leg: float = 4.0) -> ts.Mesh:
    """Return a white sheet of triangles whose legs are some pixels long, in one plane."""
    row, column = torch.meshgrid(*[torch.arange(rows + 1.0) - rows / 2] * 2, indexing="ij")
    vertices = leg * torch.stack([column, row, 0 * row], -1).reshape(-1, 3).double()
    corner = (torch.arange(rows)[:, None] * (rows + 1) + torch.arange(rows)).flatten()
    right, above, both = corner + 1, corner + rows + 1, corner + rows + 2
    halves = [torch.stack([corner, right, both], 1), torch.stack([corner, both, above], 1)]
    return ts.Mesh(vertices, torch.cat(halves), torch.ones(len(vertices), 1, dtype=torch.float64))


def print_flat_sheets() -> None:
    """Print what is seen of a flat sheet, of which 1 would be right, before black."""
    camera = ts.Camera.orthographic((0.0, 0.0, 9.0), height=48.0, image_size=(48, 48))
    inside = (0, slice(16, 32), slice(16, 32))
    for pixels in (0.3, 1.0, 2.0):
        for name, conorm in CONORMS.items():
            render = ts.SoftRasterizer(ts.Gaussian(pixels), conorm)
            image = render(flat_sheet(), camera.to(dtype=torch.float64))
            color, alpha = image.color[..., 0][inside].detach(), image.alpha[inside].detach()
            print(
                f"flat sheet: Gaussian {pixels:g} px, {name}: mean {float(color.mean()):.3f}, "
                f"least {float(color.min()):.3f}; least alpha {float(alpha.min()):.3f}"
            )


def print_depths() -> None:
    """Print how much deeper than it is a ball of 1,280 faces is found, since its far side shows through."""
    ball, (_, camera) = ts.shapes.icosphere(3).to(dtype=torch.float64), ball_in_a_ball()
    middle = torch.hypot(*torch.meshgrid(*[torch.arange(64) - 31.5] * 2, indexing="ij")) < 10
    exact = ts.SoftRasterizer.hard()(ball, camera).depth[0][middle].detach()
    kinds = {name: (conorm, ts.FrontToBack(), ts.Culling.NONE) for name, conorm in CONORMS.items()}
    kinds["Probabilistic, BACK culled"] = ts.Probabilistic(), ts.FrontToBack(), ts.Culling.BACK
    kinds["DepthSoftmax"] = ts.Probabilistic(), ts.DepthSoftmax(), ts.Culling.NONE
    for name, (conorm, occlusion, culling) in kinds.items():
        image = ts.SoftRasterizer(ts.Gaussian(0.3), conorm, occlusion, culling=culling)(
            ball, camera
        )
        off = (image.depth[0][middle].detach() - exact).abs()
        least = float(image.alpha[0][middle].min())
        print(
            f"depth: Gaussian 0.3 px, {name}: mean {float(off.mean()):.4f} units off, "
            f"largest {float(off.max()):.4f}; least alpha {least:.3f}"
        )
