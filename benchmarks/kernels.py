"""Times of the kernels of silhouettes alone, per fragment: `python -m benchmarks.kernels`.

On the CPU those that work in whole vectors next to those that every backend can run. What projection,
autograd and the inverse of the sums add to a step is left out. A fragment is a pair of a face and a pixel
within its reach. With ``TI_CPU_MAX_NUM_THREADS=1`` the times are those of one core.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from benchmarks.about import about, headline, write_results
from benchmarks.scenes import Setting
from benchmarks.timing import Work, measure
from meta.report.markdown import markdown_table
from taichisoft.engine.block_job import works_in_blocks
from taichisoft.engine.coverage import CoveragePass
from taichisoft.engine.fragments import count_fragments
from taichisoft.engine.inputs import CoverageInputs
from taichisoft.engine.job import RasterJob
from taichisoft.engine.projection import build_scene
from taichisoft.engine.vector_coverage import VectorCoveragePass
from taichisoft.softness.curves import SoftnessCurves

SETTINGS = tuple(
    Setting(subdivisions, size, sigma=sigma)
    for subdivisions, size in ((3, 64), (3, 256), (4, 256))
    for sigma in (1e-5, 1e-4, 1e-3)
)
QUICK = (Setting(0, 16),)


@dataclass(frozen=True)
class Times:
    """The kernels of a scene.

    Parameters
    ----------
    scene : str
        What was rendered.
    kernels : str
        Which of them: those in whole vectors, or those of every backend.
    fragments : int
        Of all images.
    forward_ms, adjoint_ms : float
        Fastest of many launches, which is what other programs disturb least. The first sets the faces up.
    """

    scene: str
    kernels: str
    fragments: int
    forward_ms: float
    adjoint_ms: float

    def per_fragment(self) -> tuple[float, float]:
        """Return the nanoseconds per fragment, forward and adjoint."""
        count = max(self.fragments, 1)
        return 1e6 * self.forward_ms / count, 1e6 * self.adjoint_ms / count


def times(settings: tuple[Setting, ...], seconds: float) -> Iterator[Times]:
    """Time the kernels of each scene for about so many seconds, in turn."""
    for setting in settings:
        seen = setting.scene
        scene = build_scene(seen.mesh, seen.camera, None)
        curve = SoftnessCurves(setting.renderer.softness).generator(setting.size)
        job = RasterJob(scene)
        kinds = {"every backend": CoveragePass}
        if works_in_blocks(job):
            kinds = {"whole vectors": VectorCoveragePass, **kinds}
        works = [work for kind in kinds.values() for work in _works(kind(job, curve, False))]
        fastest = 1e3 * measure(*works, rounds=1000, seconds=seconds).min(0)
        fragments = count_fragments(job, curve.numbers(scene.points))
        for name, found in zip(kinds, fastest.reshape(-1, 2), strict=True):
            yield Times(setting.label, name, fragments, *found)


def _works(operation: CoveragePass | VectorCoveragePass) -> tuple[Work, Work]:
    """Return the forward pass and the adjoint."""
    inputs = CoverageInputs.of(operation.job, operation.curve)
    total, kept = operation.values(*inputs)
    upstream = torch.exp(-total)
    needed = (True, False, False, True)
    return (
        lambda: operation.values(*inputs),
        lambda: operation.adjoint(upstream, kept, inputs, needed),
    )


def to_markdown(found: list[Times], head: dict[str, object]) -> str:
    """Return the table."""
    columns = (
        "scene",
        "fragments",
        "kernels",
        "forward ms",
        "ns per fragment",
        "adjoint ms",
        "ns per fragment",
    )
    rows = []
    for one in found:
        forward, adjoint = (f"{ns:.1f}" for ns in one.per_fragment())
        times_ms = (f"{one.forward_ms:.2f}", forward, f"{one.adjoint_ms:.2f}", adjoint)
        rows.append((one.scene, f"{one.fragments:,}", one.kernels, *times_ms))
    return (
        f"# Kernels\n\n{headline(head)}; backend {head['backend']}; fastest of many launches.\n\n"
        f"{markdown_table(columns, rows)}\n"
    )


def main(arguments: list[str] | None = None) -> None:
    """Measure, and write JSON and Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("results/kernels"), help="file stem")
    parser.add_argument("--seconds", type=float, default=2.0, help="for each scene")
    parser.add_argument("--quick", action="store_true", help="a small scene only")
    options = parser.parse_args(arguments)
    head = about("benchmarks.kernels", arguments)
    found = list(times(QUICK if options.quick else SETTINGS, options.seconds))
    result = {"about": head, "scenes": [asdict(one) for one in found]}
    write_results(options.out, result, to_markdown(found, head))


if __name__ == "__main__":
    main()
