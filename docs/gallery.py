"""Draw the pictures of the gallery: part of ``make docs-pictures``. The page shows the functions below.

Each returns a picture (H, W) or (H, W, 3), or a list of frames. ``python docs/gallery.py softness order``
draws those alone.
"""

from __future__ import annotations

import contextlib
import io
import os
import runpy
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

import taichisoft as ts
from taichisoft.cli.main import main as command_line

FOLDER = Path(__file__).parent / "images" / "gallery"
SNIPPETS = Path(__file__).parent / "snippets"
FRAME_MS, LAST_FRAME_MS = 90, 1500
# Beyond so many colours nothing more is seen.
COLORS = 64

# --8<-- [start:common]
SIZE = (144, 144)
camera = ts.Camera.look_at((2.0, 1.4, 2.4), fov=36, image_size=SIZE)
light = ts.Lighting(
    [ts.AmbientLight(0.35), ts.DirectionalLight((0.3, 1.0, 0.7), 0.65)],
    ts.Shading.PHONG,
)
fine = ts.SoftRasterizer.hard(background=1.0, ssaa=3)
up = torch.tensor([0.0, 1.0, 0.0])
orange, blue, green = torch.tensor([[0.9, 0.45, 0.1], [0.15, 0.45, 0.8], [0.2, 0.65, 0.4]])


def side_by_side(images):
    return torch.cat([image.detach().clamp(0, 1) for image in images], 1)


# --8<-- [end:common]


# --8<-- [start:softness]
def softness():
    mug = ts.shapes.mug(2)
    kinds = [ts.Heaviside(), ts.Gaussian(0.7), ts.Gaussian(3.0), ts.Gaussian(9.0)]
    return side_by_side(1 - ts.SoftRasterizer(kind).silhouette(mug, camera)[0] for kind in kinds)


# --8<-- [end:softness]


# --8<-- [start:gradient]
def gradient():
    mug = ts.shapes.mug(2)
    right = camera.rotation[0, 0].expand_as(mug.vertices)  # towards the right of the image

    def change(scale):
        render = ts.SoftRasterizer(ts.Gaussian(scale))
        draw = lambda vertices: render.silhouette(mug.with_vertices(vertices), camera)
        return torch.func.jvp(draw, (mug.vertices,), (right,))[1][0]

    def shown(slope):  # what gets brighter is orange, what gets darker blue
        share = slope / slope.abs().max()
        more, less = share.clamp(min=0)[..., None], (-share).clamp(min=0)[..., None]
        return 1 - more * (1 - orange) - less * (1 - blue)

    return side_by_side(shown(change(scale)) for scale in (0.7, 3.0, 9.0))


# --8<-- [end:gradient]


# --8<-- [start:outputs]
def outputs():
    pot = ts.shapes.teapot(2)
    image = fine(pot, camera, blue.expand(pot.num_vertices, 3), lighting=light, normals=True)
    solid, depth = image.alpha[0] > 0.5, image.depth[0]
    near, far = depth[solid].min(), depth[solid].max()
    greys = torch.where(solid, 0.9 * (depth - near) / (far - near), 1.0)[..., None].expand(
        -1, -1, 3
    )
    normals = torch.where(solid[..., None], 0.5 + 0.5 * image.normals[0], 1.0)
    return side_by_side([image.color[0], greys, normals])


# --8<-- [end:outputs]


# --8<-- [start:texture]
def texture():
    ball = ts.shapes.icosphere(4)
    x, y, z = ball.vertices.unbind(1)
    uv = torch.stack([6 * x, 3 * y], 1)
    checks = (torch.arange(2)[:, None] + torch.arange(2)) % 2
    texels = torch.stack([orange, torch.ones(3)])[checks]
    looks = [
        ts.Texture(texels, uv=uv, wrap=ts.Wrap.REPEAT),
        ts.Texture(torch.rand(6, 6, 3), uv=uv / 6, wrap=ts.Wrap.MIRROR),
        torch.stack([x, y, z], 1) / 2 + 0.5,
    ]
    return side_by_side(fine(ball, camera, look, lighting=light).color[0] for look in looks)


# --8<-- [end:texture]


# --8<-- [start:materials]
def materials():
    table = ts.shapes.cube().transformed(torch.diag(torch.tensor([0.9, 0.1, 0.9])), -0.7 * up)
    mug = ts.shapes.mug(2).transformed(0.7 * torch.eye(3), -0.05 * up)
    stripes = torch.stack([orange, 0.6 * orange]).repeat(4, 1)[:, None].expand(8, 8, 3)
    wood, paint = ts.Material(image=stripes), ts.Material(green)
    scene = ts.join(
        [
            table.with_materials([wood], uv=table.vertices[:, [2, 0]] / 2),
            mug.with_materials([paint]),
        ]
    )
    return fine(scene, camera, lighting=light).color[0]


# --8<-- [end:materials]


# --8<-- [start:lights]
def lights():
    ring = ts.shapes.torus(24, 12)
    lamps = [ts.AmbientLight(0.25), ts.PointLight((2.0, 3.0, 1.0), 0.75)]
    return side_by_side(
        fine(
            ring,
            camera,
            blue.expand(ring.num_vertices, 3),
            lighting=ts.Lighting(lamps, shading, specular=0.6, shininess=40.0),
        ).color[0]
        for shading in (ts.Shading.FLAT, ts.Shading.GOURAUD, ts.Shading.PHONG)
    )


# --8<-- [end:lights]


# --8<-- [start:batch]
def batch():
    names = ("chair", "airplane", "car", "boot", "lamp", "key", "hammer", "teapot")
    meshes = [getattr(ts.shapes, name)().normalized() for name in names]
    tints = torch.rand(len(names), 3, generator=torch.Generator().manual_seed(3)) / 2 + 0.4
    painted = [
        mesh.with_vertex_colors(tint.expand(mesh.num_vertices, 3))
        for mesh, tint in zip(meshes, tints, strict=True)
    ]
    around = ts.Camera.orbit(3.2, 35.0, 20.0, fov=40, image_size=(96, 96))
    images = fine(painted, around, lighting=light).color  # (8, 96, 96, 3)
    return torch.cat([side_by_side(images[:4]), side_by_side(images[4:])])


# --8<-- [end:batch]


# --8<-- [start:opacity]
def opacity():
    ball = ts.shapes.icosphere(3)
    inner = ball.transformed(0.5 * torch.eye(3), torch.zeros(3))
    glass = torch.cat([torch.full((ball.num_faces,), 0.3), torch.ones(ball.num_faces)])
    colors = torch.cat([blue.expand(ball.num_faces, 3), orange.expand(ball.num_faces, 3)])
    front = ts.SoftRasterizer.hard(background=1.0, ssaa=2, culling=ts.Culling.BACK)
    front.aggregation = ts.BoundedSum()
    return front(ts.join([ball, inner]), camera, colors, opacity=glass, lighting=light).color[0]


# --8<-- [end:opacity]


# --8<-- [start:order]
def order():
    """Three sheets start in the wrong order; only their colours say which one is in front."""
    quad = ts.shapes.quad()
    places = torch.tensor([[-0.35, 0.3], [0.0, 0.0], [0.35, -0.3]])
    colors = torch.stack([orange, green, blue]).repeat_interleave(4, 0)
    view = ts.Camera.orthographic((0.0, 0.0, 9.0), height=2.6, image_size=(96, 96))

    def sheets(depths):
        corners = [
            0.6 * quad.vertices + torch.cat([place, depth[None]])
            for place, depth in zip(places, depths, strict=True)
        ]
        return ts.Mesh(torch.cat(corners), torch.cat([quad.faces + 4 * k for k in range(3)]))

    target = ts.SoftRasterizer.hard(background=1.0)(
        sheets(torch.tensor([0.5, 0.0, -0.5])), view, colors
    )
    soft = ts.SoftRasterizer(ts.Gaussian(0.3), occlusion=ts.FrontToBack(gamma=2.0), background=1.0)
    found = ts.fit(
        lambda p: ts.mse_loss(soft(sheets(p["depths"]), view, colors).color, target.color),
        {"depths": torch.tensor([-0.5, 0.0, 0.5])},
        60,
        learning_rate=0.05,
        snapshot_every=3,
        progress=False,
    )
    return [
        side_by_side([soft(sheets(p["depths"]), view, colors).color[0], target.color[0]])
        for p in (snapshot.parameters for snapshot in found.history.snapshots)
    ]


# --8<-- [end:order]


# --8<-- [start:shape]
def shape():
    """A ball becomes the boot that is seen from eight sides."""
    ball, boot = ts.shapes.icosphere(3), ts.shapes.boot(2).normalized()
    around = ts.Camera.orbit(3.2, torch.arange(8) * 45.0, 20.0, fov=40, image_size=(64, 64))
    masks = ts.SoftRasterizer.hard().silhouette(boot, around)
    render = ts.SoftRasterizer(ts.Gaussian(ts.ExponentialAnnealing(1.5, 0.3)))
    smooth = ts.LargeSteps(ball.faces, lambda_=15.0)
    found = ts.fit(
        lambda p: ts.iou_loss(
            render.silhouette(ball.with_vertices(smooth.from_differential(p["u"])), around), masks
        ),
        {"u": smooth.to_differential(0.6 * ball.vertices)},
        80,
        optimizer=lambda leaves: ts.AdamUniform(leaves, lr=0.03),
        renderer=render,
        snapshot_every=8,
        progress=False,
    )
    frames = []
    for snapshot in found.history.snapshots:
        mesh = ball.with_vertices(smooth.from_differential(snapshot.parameters["u"]))
        image = fine(mesh, camera, green.expand(mesh.num_vertices, 3), lighting=light)
        frames.append(image.color[0])
    return frames


# --8<-- [end:shape]


# --8<-- [start:turning]
def turning():
    mug = ts.shapes.mug(2)
    ts.turntable(
        mug,
        "mug.gif",
        colors=orange.expand(mug.num_vertices, 3),
        lighting=light,
        frames=16,
        image_size=(96, 96),
    )
    return frames_of("mug.gif")


# --8<-- [end:turning]


def fit() -> list[Image.Image]:
    """Return the frames of the example of the page about fitting."""
    with contextlib.redirect_stdout(io.StringIO()):
        runpy.run_path(str(SNIPPETS / "fitting.py"))
    return frames_of("fit.gif")


def rendered() -> Image.Image:
    """Return what `taichisoft render` of the page about the command line draws."""
    ts.save_mesh(ts.shapes.mug(), "mug.obj")
    view = "--size 320x240 --azimuth 30 --elevation 20"
    command_line(["render", "mug.obj", "-o", "mug.png", *view.split()])
    return Image.open("mug.png").copy()


def overlay() -> Image.Image:
    """Return the overlay of `taichisoft fit-pose` there, enlarged."""
    ts.save_mesh(ts.shapes.mug(), "mug.obj")
    view = "--size 128x96 --azimuth 70 --elevation 30 --silhouette --softness 0"
    command_line(["render", "mug.obj", "-o", "mask.png", *view.split()])
    with contextlib.redirect_stdout(io.StringIO()):
        search = "-o pose.json --fov 40 --starts 8"
        command_line(["fit-pose", "mug.obj", "mask.png", *search.split()])
    return Image.open("pose_overlay.png").resize((384, 288), Image.Resampling.NEAREST)


def frames_of(path: str) -> list[Image.Image]:
    """Return the frames of a GIF."""
    with Image.open(path) as gif:
        return [_frame(gif, index) for index in range(gif.n_frames)]


def _frame(gif: Image.Image, index: int) -> Image.Image:
    gif.seek(index)
    return gif.convert("RGB")


def picture(drawn: Tensor | Image.Image) -> Image.Image:
    """Return what was drawn as an image of 8 bits."""
    if isinstance(drawn, Tensor):
        return Image.fromarray((255 * drawn.detach().clamp(0, 1)).round().byte().numpy())
    return drawn


def frame(drawn: Tensor | Image.Image) -> Image.Image:
    """Return a frame with few colours, which is small in a file."""
    image = picture(drawn)
    return image if image.mode == "L" else image.quantize(COLORS, dither=Image.Dither.NONE)


Drawn = Tensor | Image.Image | list[Tensor] | list[Image.Image]
PICTURES: dict[str, Callable[[], Drawn]] = {
    made.__name__: made
    for made in (
        softness,
        gradient,
        outputs,
        texture,
        materials,
        lights,
        batch,
        opacity,
        order,
        shape,
        turning,
        fit,
        rendered,
        overlay,
    )
}


def save(name: str) -> None:
    """Draw one and write it, a GIF if it moves."""
    drawn = PICTURES[name]()
    if not isinstance(drawn, list):
        picture(drawn).save(FOLDER / f"{name}.png", optimize=True)
        return
    first, *others = [frame(image) for image in drawn]
    times = [FRAME_MS] * len(others) + [LAST_FRAME_MS]
    first.save(
        FOLDER / f"{name}.gif",
        save_all=True,
        append_images=others,
        duration=times,
        loop=0,
        optimize=True,
    )


def main(names: list[str]) -> None:
    """Draw those that are named, or all, in a folder of their own."""
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as end:
        end.callback(os.chdir, Path.cwd())
        os.chdir(folder)
        for name in names or PICTURES:
            torch.manual_seed(0)
            save(name)


if __name__ == "__main__":
    main(sys.argv[1:])
