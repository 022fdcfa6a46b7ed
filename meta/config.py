"""All settings of a meta-training run, in one frozen dataclass that is saved with the run."""

from __future__ import annotations

from dataclasses import dataclass

from meta.options import build_parser, check_options, from_json, option, settings_from_args, to_json
from taichisoft.runtime import BACKENDS

__all__ = ["TrainSettings", "build_parser", "from_json", "settings_from_args", "to_json"]


@dataclass(frozen=True)
class TrainSettings:
    """Settings of `meta.train`; every field is a command-line option with the same name.

    The defaults take about three minutes on two CPU cores (the seconds in `history.jsonl`, added up).
    """

    out: str = option("runs/train", "run folder to create")
    seed: int = option(0, "seed of the problems and perturbations", minimum=0)
    backend: str = option("auto", "backend of the kernels", choices=("auto", *BACKENDS))
    threads: int = option(1, "threads of torch; its tensors are too small for more", minimum=1)

    families: tuple[str, ...] = option(
        ("pose", "shape3d"), "task families to learn from", choices=("pose", "shape3d")
    )
    meshes: tuple[str, ...] = option((), "mesh files to use instead of the built-in shapes")
    image_size: int = option(64, "image height and width in pixels", minimum=4)
    problems: int = option(16, "pose problems per outer step", minimum=1)
    pose_start: tuple[float, float] = option(
        (15.0, 35.0), "smallest and largest start angle of pose problems in degrees", above=0.0
    )
    shape_problems: int = option(4, "shape3d problems per outer step", minimum=1)
    shape_views: int = option(6, "views of a shape3d problem", minimum=1)
    shape_subdivisions: int = option(
        2, "subdivisions of the sphere of shape3d: 2 has 162 vertices, 3 has 642", minimum=0
    )

    coverage: str = option("spline", "kind of learned coverage", choices=("mlp", "spline"))
    aggregation: str = option(
        "probabilistic", "how coverages combine", choices=("probabilistic", "max")
    )
    scale: float = option(0.2, "initial scale in pixels", above=0.0)

    gradient: str = option(
        "es", "meta-gradient: evolution strategies or first order", choices=("es", "first-order")
    )
    es_sigma: float = option(0.3, "size of the perturbations of evolution strategies", above=0.0)
    es_pairs: int = option(4, "antithetic pairs of perturbations", minimum=1)
    objective: str = option(
        "late",
        "error to lower: at the final inner step, or the mean over the late half of the steps",
        choices=("final", "late"),
    )
    inner_steps: int = option(30, "Adam steps for solving a problem", minimum=1)
    inner_rate: float = option(
        1.0, "inner learning rate as a multiple of each family's own", above=0.0
    )
    outer_steps: int = option(24, "steps of meta-training", minimum=1)
    learning_rate: float = option(0.1, "outer learning rate of Adam", above=0.0)
    clip: float = option(1.0, "largest norm of the meta-gradient; a longer one is cut", above=0.0)
    checkpoint_every: int = option(5, "outer steps between checkpoints", minimum=1)

    def __post_init__(self):
        check_options(self)
        if not self.families or len(set(self.families)) != len(self.families):
            raise ValueError(f"families must be one or more different names, got {self.families}")
        low, high = self.pose_start
        if not low <= high <= 180:
            raise ValueError(f"pose_start must be low <= high <= 180 degrees, got {low} {high}")
