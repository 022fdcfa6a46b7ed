"""Growth of time with faces, pixels, images and softness: `python -m benchmarks.scaling`.

One thing is varied at a time about a common scene, silhouettes, forward + backward. What should be flat is
the time per fragment, a pair of a face and a pixel within its reach.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from matplotlib.figure import Figure

from benchmarks.about import about, write_results
from benchmarks.renderers import fused
from benchmarks.scenes import Setting
from benchmarks.timing import measure
from meta.report.figures import new_figure, save_figure
from taichisoft.engine.fragments import count_fragments
from taichisoft.engine.job import RasterJob
from taichisoft.engine.projection import build_scene
from taichisoft.softness.curves import SoftnessCurves

COMMON = Setting()
VARIED = {
    "faces": [replace(COMMON, subdivisions=n) for n in (2, 3, 4, 5, 6)],
    "pixels": [replace(COMMON, size=n) for n in (64, 128, 256, 512, 1024)],
    "batch": [replace(COMMON, views=n) for n in (1, 4, 16, 64)],
    "sigma": [replace(COMMON, sigma=s) for s in (1e-5, 1e-4, 1e-3, 1e-2)],
}
AXES = {
    "faces": lambda setting: setting.faces,
    "pixels": lambda setting: setting.size**2,
    "batch": lambda setting: setting.views,
    "sigma": lambda setting: setting.sigma,
}


@dataclass(frozen=True)
class Point:
    """A measurement.

    Parameters
    ----------
    axis : str
        What is varied.
    value : float
        Its value.
    fragments : int
        Fragments of all images.
    milliseconds : float
        Median time of a forward + backward.
    """

    axis: str
    value: float
    fragments: int
    milliseconds: float

    @property
    def nanoseconds(self) -> float:
        """Time per fragment."""
        return 1e6 * self.milliseconds / max(self.fragments, 1)


def points(varied: dict[str, list[Setting]], seconds: float) -> Iterator[Point]:
    """Measure every setting for about so many seconds."""
    for axis, settings in varied.items():
        for setting in settings:
            scene = setting.scene
            work = fused(setting).both
            median = torch.tensor(measure(work, rounds=50, warm_up=1, seconds=seconds)).median()
            job = RasterJob(build_scene(scene.mesh, scene.camera, None))
            curve = SoftnessCurves(setting.renderer.softness).generator(setting.size)
            fragments = count_fragments(job, curve.numbers(job.points))
            point = Point(axis, AXES[axis](setting), fragments, 1e3 * float(median))
            print(
                f"{axis} {point.value:g}: {point.milliseconds:.2f} ms, {point.nanoseconds:.1f} ns a fragment",
                flush=True,
            )
            yield point


def draw(found: list[Point]) -> Figure:
    """Return a figure of time against each axis, and of time per fragment against fragments."""
    axes = list(dict.fromkeys(point.axis for point in found))
    figure = new_figure(3.2 * (len(axes) + 1), 3, dpi=80)
    panels = figure.subplots(1, len(axes) + 1, squeeze=False)[0]
    for panel, axis in zip(panels, axes, strict=False):
        own = [point for point in found if point.axis == axis]
        panel.loglog([p.value for p in own], [p.milliseconds for p in own], "o-")
        panel.set(xlabel=axis, title=f"time against {axis}")
    panels[0].set_ylabel("forward + backward, ms")
    for axis in axes:
        own = sorted((p for p in found if p.axis == axis), key=lambda p: p.fragments)
        panels[-1].loglog([p.fragments for p in own], [p.nanoseconds for p in own], "o", label=axis)
    panels[-1].set(xlabel="fragments", ylabel="ns per fragment", title="time per fragment")
    panels[-1].legend()
    return figure


def main(arguments: list[str] | None = None) -> None:
    """Measure, and write JSON and PNG."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("results/scaling"), help="file stem")
    parser.add_argument("--seconds", type=float, default=3.0, help="for each point")
    parser.add_argument("--quick", action="store_true", help="small scenes only")
    options = parser.parse_args(arguments)
    varied = VARIED
    if options.quick:
        small = Setting(0, 16, 1)
        varied = {"faces": [small, replace(small, subdivisions=1)], "batch": [small]}
    found = list(points(varied, options.seconds))
    result = {
        "about": about("benchmarks.scaling", arguments),
        "common": asdict(COMMON),
        "points": [{**asdict(p), "nanoseconds": p.nanoseconds} for p in found],
    }
    write_results(options.out, result)
    save_figure(draw(found), options.out.with_suffix(".png"))


if __name__ == "__main__":
    main()
