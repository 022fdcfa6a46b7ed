"""Draw the pictures of the documentation: ``make docs-pictures``. Every number on them is computed here.

The numbers that the pages quote are printed.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from seams import print_depths, print_flat_sheets, print_seams
from torch import Tensor

import taichisoft as ts
from meta.report.figures import save_figure

FOLDER = Path(__file__).parent / "images"
INK, ORANGE, BLUE, GREEN = "#333333", "#d55e00", "#0072b2", "#009e73"
SIZE = 48


def flat_camera(size: int = SIZE) -> ts.Camera:
    """Return a camera for which one scene unit is one pixel, and the origin the centre of the image."""
    return ts.Camera.orthographic((0.0, 0.0, 9.0), height=float(size), image_size=(size, size))


def triangle() -> ts.Mesh:
    """Return one face that fills a third of the image."""
    corners = torch.tensor([[-15.0, -12.0, 0.0], [16.0, -7.0, 0.0], [-3.0, 15.0, 0.0]])
    return ts.Mesh(corners, torch.tensor([[0, 1, 2]]))


def square(side: float) -> ts.Mesh:
    """Return a square of pixels about the centre of the image."""
    quad = ts.shapes.quad()
    half = float(quad.vertices.abs().max())
    return quad.with_vertices(quad.vertices * (side / 2 / half))


def draw_image(axes: Axes, alpha: Tensor, title: str) -> None:
    """Show an image, full coverage dark."""
    axes.imshow(1 - alpha.detach(), cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    axes.set_title(title, fontsize=9)
    axes.axis("off")


def row(columns: int, height: float = 2.2) -> tuple[Figure, list[Axes]]:
    """Return a figure with axes side by side."""
    figure, axes = plt.subplots(1, columns, figsize=(2.1 * columns, height), layout="constrained")
    return figure, list(axes)


def plain(axes: Axes, xlabel: str, ylabel: str) -> None:
    """Label a plot and take what is not needed away."""
    axes.set_xlabel(xlabel, fontsize=8)
    axes.set_ylabel(ylabel, fontsize=8)
    axes.tick_params(labelsize=7)
    axes.spines[["top", "right"]].set_visible(False)


def distance() -> Figure:
    """Draw signed distance to the boundary of a face."""
    # The uniform distribution is linear in the distance, so that the image tells it.
    far = 30.0
    alpha = ts.SoftRasterizer(ts.Uniform(far)).silhouette(triangle(), flat_camera(96))[0]
    signed = far * (2 * alpha - 1)
    figure, axes = plt.subplots(figsize=(3.4, 2.8), layout="constrained")
    shown = axes.imshow(signed, cmap="RdBu", vmin=-12, vmax=12)
    lines = axes.contour(signed, levels=[-6, -3, 0, 3], colors=INK, linewidths=0.7)
    axes.clabel(lines, fontsize=7, fmt="%d px")
    axes.set(xlim=(18, 78), ylim=(72, 24))
    axes.axis("off")
    figure.colorbar(shown, label="signed distance, pixels", shrink=0.85)
    return figure


def coverage() -> Figure:
    """Draw curves of equal scale, and the image of one face with each."""
    kinds = {
        "Heaviside": ts.Heaviside(),
        "Uniform": ts.Uniform(2.0),
        "Gaussian": ts.Gaussian(2.0),
        "ExponentialReversed": ts.ExponentialReversed(2.0),
        "Exponential": ts.Exponential(2.0),
    }
    figure, axes = plt.subplots(2, 5, figsize=(10, 3.9), layout="constrained")
    x = torch.linspace(-8, 8, 801, dtype=torch.float64)
    for top, bottom, (name, kind) in zip(axes[0], axes[1], kinds.items(), strict=True):
        scale = kind.scale.in_pixels(SIZE)
        top.plot(x, kind.without_tail(x / scale).detach(), color=BLUE)
        top.set(xlim=(-8, 8), ylim=(-0.03, 1.03))
        plain(top, "signed distance, pixels", "")
        top.set_title(name, fontsize=9)
        draw_image(bottom, ts.SoftRasterizer(kind).silhouette(triangle(), flat_camera())[0], "")
    return figure


def scale() -> Figure:
    """Draw one face with three scales, and its cut-off radius."""
    figure, axes = row(3)
    for place, pixels in zip(axes, (0.3, 1.0, 3.0), strict=True):
        kind = ts.Gaussian(pixels)
        alpha = ts.SoftRasterizer(kind).silhouette(triangle(), flat_camera(60))[0]
        radius = -kind.domain().low * pixels
        draw_image(place, alpha, f"scale {pixels:g} px, seen up to {radius:.1f} px away")
        place.contour(alpha > 0, levels=[0.5], colors=ORANGE, linewidths=1)
    for place in axes:
        place.title.set_fontsize(7)
    return figure


def aggregation() -> Figure:
    """Draw a sphere of many faces, with wider and wider coverage, under three T-conorms."""
    ball = ts.shapes.icosphere(3)
    camera = ts.Camera.look_at((0.0, 0.0, 4.0), fov=40, image_size=(64, 64))
    area = float(ts.SoftRasterizer.hard().silhouette(ball, camera).sum())
    scales = (0.1, 0.5, 1.0, 2.0)
    conorms = {
        "Probabilistic": ts.Probabilistic(),
        "AczelAlsina(2)": ts.AczelAlsina(2.0),
        "Max": ts.Max(),
    }
    figure, axes = plt.subplots(3, 4, figsize=(7.2, 5.8), layout="constrained")
    for line, (name, conorm) in zip(axes, conorms.items(), strict=True):
        for place, pixels in zip(line, scales, strict=True):
            alpha = ts.SoftRasterizer(ts.Gaussian(pixels), conorm).silhouette(ball, camera)[0]
            share = float(alpha.sum()) / area
            draw_image(place, alpha, f"{name}\n{pixels:g} px: area x {share:.2f}")
            print(
                f"aggregation: {ball.num_faces} faces, {name}, Gaussian {pixels:g} px: {share:.3f}"
            )
    return figure


def print_areas() -> None:
    """Print how coverages of different tails inflate the sphere, and how deep its seams are."""
    ball = ts.shapes.icosphere(3)
    camera = ts.Camera.look_at((0.0, 0.0, 4.0), fov=40, image_size=(64, 64))
    exact = ts.SoftRasterizer.hard().silhouette(ball, camera)[0].detach()
    for kind in (ts.Uniform, ts.Gaussian, ts.ExponentialReversed, ts.Cauchy):
        for pixels in (0.1, 0.5, 1.0):
            alpha = ts.SoftRasterizer(kind(pixels)).silhouette(ball, camera)[0].detach()
            share, least = float(alpha.sum() / exact.sum()), float(alpha[exact > 0.5].min())
            print(
                f"areas: {kind.__name__} {pixels:g} px: {share:.2f}, least alpha inside {least:.2f}"
            )


def occlusion() -> Figure:
    """Draw a near and a far square, with gammas below, at, and above the distance between them."""
    near, far = square(26.0), square(26.0)
    vertices = torch.cat([near.vertices + torch.tensor([-6.0, 5.0, 0.1]), far.vertices - 4.0])
    vertices[4:, 2] = -0.1
    mesh = ts.Mesh(vertices, torch.cat([near.faces, far.faces + 4]))
    colors = torch.tensor([[0.84, 0.37, 0.0]] * 4 + [[0.0, 0.45, 0.7]] * 4)
    figure, axes = row(3)
    for place, gamma in zip(axes, (0.1, 0.4, 2.0), strict=True):
        render = ts.SoftRasterizer(
            ts.Gaussian(0.7), occlusion=ts.FrontToBack(gamma=gamma), background=1.0
        )
        place.imshow(render(mesh, flat_camera(), colors).color[0].detach().clamp(0, 1))
        place.set_title(f"gamma {gamma:g}", fontsize=9)
        place.axis("off")
    return figure


# The card: 40 rows high, from here to its moving edge near 8, in pixels from the centre of the image.
CARD_SIZE, CARD_LEFT, CARD_EDGE = 64, -19.75, 8.4


def card_and_wall(edge: Tensor) -> ts.Mesh:
    """Return a card five units in front of a wall that fills the image; colours are the share of each."""
    quad = ts.shapes.quad()
    unit = quad.vertices.double() / quad.vertices.abs().max()
    moving = unit[:, 0] > 0
    x = torch.where(moving, edge, torch.tensor(CARD_LEFT, dtype=torch.float64))
    card = torch.stack([x, 20 * unit[:, 1], torch.zeros_like(x)], 1)
    wall = unit * CARD_SIZE - torch.tensor([0.0, 0.0, 5.0])
    colors = torch.eye(2, dtype=torch.float64).repeat_interleave(4, 0)
    return ts.Mesh(torch.cat([card, wall]), torch.cat([quad.faces, quad.faces + 4]), colors)


def shares_of_card(render: ts.SoftRasterizer, edge: float) -> tuple[Tensor, Tensor]:
    """Return how much of card and wall is seen, (H, W, 2), and what the card gains in each column.

    The gain is the derivative with respect to the place of the edge, (W,), summed over the rows.
    """
    camera = flat_camera(CARD_SIZE).to(dtype=torch.float64)
    shift = torch.tensor(edge, dtype=torch.float64, requires_grad=True)
    seen = render(card_and_wall(shift), camera).color[0]
    slopes = [
        torch.autograd.grad(column, shift, retain_graph=True)[0] for column in seen[..., 0].sum(0)
    ]
    return seen.detach(), torch.stack(slopes)


def print_card(name: str, render: ts.SoftRasterizer) -> None:
    """Print how much of the card is seen, and how that changes with its edge."""
    # A soft edge shows a little more or less by where it falls within a pixel: the mean over one.
    runs = [shares_of_card(render, CARD_EDGE + k / 5) for k in range(-2, 3)]
    area = sum(float(seen[..., 0].sum()) for seen, _ in runs) / len(runs)
    moved = sum(float(slope.sum()) for _, slope in runs) / len(runs)
    exact = 40 * (CARD_EDGE - CARD_LEFT)
    print(f"card: {name}: area {area:.0f} of {exact:.0f}, slope {moved:.2f} of 40")


def card() -> Figure:
    """Draw a card before a wall by a reference depth and front to back, and how its edge counts."""
    kinds = {
        "DepthSoftmax": (ts.Probabilistic(), ts.DepthSoftmax(), ORANGE),
        "FrontToBack": (ts.Probabilistic(), ts.FrontToBack(), BLUE),
        "FrontToBack, BoundedSum": (ts.BoundedSum(), ts.FrontToBack(), GREEN),
    }
    palette = torch.tensor([[0.8, 0.15, 0.1], [0.2, 0.65, 0.35]], dtype=torch.float64)
    figure, axes = plt.subplots(1, 5, figsize=(10.4, 2.3), layout="constrained")
    columns = torch.arange(CARD_SIZE) + 0.5 - CARD_SIZE / 2
    outline = (
        (CARD_LEFT + 31.5, 11.5),
        CARD_EDGE - CARD_LEFT,
        40,
    )  # of pixels, whose centres are whole
    for place, (name, (conorm, kind, color)) in zip(axes, kinds.items(), strict=False):
        render = ts.SoftRasterizer(ts.Gaussian(1.0), conorm, kind)
        seen, slope = shares_of_card(render, CARD_EDGE)
        place.imshow((seen @ palette).clamp(0, 1), interpolation="nearest")
        place.add_patch(plt.Rectangle(*outline, fill=False, color="white", linewidth=0.8))
        place.set_title(name, fontsize=8)
        place.axis("off")
        if isinstance(conorm, ts.Probabilistic):
            across = seen[CARD_SIZE // 2, :, 0]
            axes[3].plot(columns, across, ".-", color=color, markersize=4, label=name)
            axes[4].plot(columns, slope / 40, ".-", color=color, markersize=4)
        print_card(name, render)
    for place, title in ((axes[3], "red across the edge"), (axes[4], "its gradient to the edge")):
        place.axvline(CARD_EDGE, color=INK, linewidth=0.7, linestyle=":")
        place.set_xlim(CARD_EDGE - 8, CARD_EDGE + 8)
        place.set_title(title, fontsize=8)
        plain(place, "pixels from the centre", "")
    axes[3].legend(fontsize=6, frameon=False, loc="lower left", handlelength=1)
    return figure


def slope_along_a_row(kind: ts.Coverage) -> tuple[Tensor, Tensor]:
    """Return alpha along a row that crosses an edge, and how it changes if the face moves by a pixel."""
    render, face, camera = ts.SoftRasterizer(kind), square(24.0), flat_camera()
    shift = torch.zeros((), requires_grad=True)
    right = torch.tensor([1.0, 0.0, 0.0])
    alpha = render.silhouette(face.with_vertices(face.vertices + shift * right), camera)[0, 24]
    slopes = [torch.autograd.grad(a, shift, retain_graph=True)[0] for a in alpha[28:44]]
    return alpha[28:44].detach(), torch.stack(slopes)


def straight_through() -> Figure:
    """Draw image and gradient of a step, a Gaussian, and the step with the Gaussian's slope."""
    kinds = {
        "Heaviside": ts.Heaviside(),
        "Gaussian": ts.Gaussian(1.5),
        "StraightThrough": ts.StraightThrough(ts.Heaviside(), ts.Gaussian(1.5)),
    }
    figure, axes = row(3, 2.4)
    x = torch.arange(28, 44) + 0.5 - 36
    for place, (name, kind) in zip(axes, kinds.items(), strict=True):
        alpha, slope = slope_along_a_row(kind)
        place.plot(x, alpha, "o-", color=BLUE, markersize=3, label="alpha")
        place.plot(x, slope, "s-", color=ORANGE, markersize=3, label="its gradient")
        place.set_title(name, fontsize=9)
        place.set_ylim(-0.05, 1.05)
        plain(place, "pixels beyond the edge", "")
    axes[2].legend(fontsize=7, frameon=False, loc="upper right", handlelength=1)
    return figure


def shift_loss(kind: ts.Coverage, shift: Tensor) -> Tensor:
    """Return the IoU loss of a square moved to the right by some pixels, and where it should be."""
    camera, face = flat_camera(), square(12.0)
    target = ts.SoftRasterizer.hard().silhouette(face, camera)
    right = torch.tensor([1.0, 0.0, 0.0])
    moved = face.with_vertices(face.vertices + shift * right)
    return ts.iou_loss(ts.SoftRasterizer(kind).silhouette(moved, camera), target)


def landscape() -> Figure:
    """Draw the loss against how far a square is from where it should be, for three scales."""
    figure, axes = plt.subplots(figsize=(5, 2.6), layout="constrained")
    shifts = torch.linspace(-18, 18, 145)
    for pixels, color in ((0.2, INK), (1.0, BLUE), (4.0, ORANGE)):
        losses = [float(shift_loss(ts.Gaussian(pixels), s)) for s in shifts]
        axes.plot(shifts, losses, color=color, label=f"Gaussian, {pixels:g} px")
        at = torch.tensor(15.0, requires_grad=True)
        shift_loss(ts.Gaussian(pixels), at).backward()
        print(f"landscape: Gaussian {pixels:g} px, 15 px off: gradient {float(at.grad):.2e}")
    axes.legend(fontsize=7, frameon=False, loc="lower right")
    plain(axes, "pixels off", "1 - IoU")
    return figure


def errors_of(kind: ts.Coverage, steps: int = 40) -> list[float]:
    """Return how far a square is off, in pixels, while Adam moves it from 14 pixels away."""
    shift = torch.tensor(14.0, requires_grad=True)
    adam = torch.optim.Adam([shift], lr=0.7)
    errors = [abs(float(shift.detach()))]
    for step in range(steps):
        kind.scale.set_progress(step / (steps - 1))
        adam.zero_grad()
        shift_loss(kind, shift).backward()
        adam.step()
        errors.append(abs(float(shift.detach())))
    return errors


def annealing() -> Figure:
    """Draw courses of a scale, and what an optimisation under each comes to."""
    courses: dict[str, tuple[Callable[[], ts.Scale], str]] = {
        "0.2 px": (lambda: ts.Pixels(0.2), INK),
        "4 px": (lambda: ts.Pixels(4.0), ORANGE),
        "4 to 0.2 px": (lambda: ts.ExponentialAnnealing(4.0, 0.2), BLUE),
    }
    figure, (left, right) = plt.subplots(1, 2, figsize=(6.6, 2.5), layout="constrained")
    for name, (make, color) in courses.items():
        kind, widths = ts.Gaussian(make()), []
        for step in range(41):
            kind.scale.set_progress(min(step / 39, 1.0))
            widths.append(float(kind.scale.in_pixels(SIZE).detach()))
        errors = errors_of(ts.Gaussian(make()))
        left.semilogy(widths, color=color, label=name)
        right.semilogy([max(e, 1e-3) for e in errors], color=color)
        print(f"annealing: {name}: {errors[-1]:.3f} px off after 40 steps")
    left.legend(fontsize=7, frameon=False)
    left.set_yticks([0.2, 1, 4], ["0.2", "1", "4"])
    left.minorticks_off()
    plain(left, "step", "scale, pixels")
    plain(right, "step", "pixels off")
    return figure


PICTURES: dict[str, Callable[[], Figure]] = {
    made.__name__: made
    for made in (
        distance,
        coverage,
        scale,
        aggregation,
        occlusion,
        card,
        straight_through,
        landscape,
        annealing,
    )
}


def main() -> None:
    """Draw all of them."""
    print_areas()
    print_seams()
    print_depths()
    print_flat_sheets()
    FOLDER.mkdir(exist_ok=True)
    for name, draw in PICTURES.items():
        figure = draw()
        save_figure(figure, FOLDER / f"{name}.png", dpi=110)
        plt.close(figure)


if __name__ == "__main__":
    main()
