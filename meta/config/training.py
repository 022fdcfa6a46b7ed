"""All settings of a meta-training run, in one frozen dataclass that is saved with the run."""

from __future__ import annotations

from dataclasses import dataclass

from meta.config.options import (
    build_parser,
    check_options,
    from_json,
    option,
    settings_from_args,
    to_json,
)
from taichisoft.base.backend import BACKENDS

__all__ = ["TrainSettings", "build_parser", "from_json", "settings_from_args", "to_json"]

FAMILY_NAMES = ("pose", "shape3d", "shape2d", "occlusion")
PARTS = ("coverage", "scale", "aggregation", "occlusion", "gamma")
COVERAGE_NAMES = ("spline", "mlp", "mixture", "gaussian", "logistic", "exponential", "uniform")
AGGREGATION_NAMES = (
    "probabilistic",
    "max",
    "einstein",
    "hamacher",
    "frank",
    "yager",
    "aczel-alsina",
    "dombi",
    "generator",
)
OCCLUSION_NAMES = ("softmax", "spline", "mlp", "hard")
GRADIENT_NAMES = ("es", "es-plain", "es-persistent", "unrolled", "truncated", "first-order")


@dataclass(frozen=True)
class TrainSettings:
    """Settings of `meta.train`; every field is a command-line option with the same name.

    The defaults take minutes on two CPU cores: the seconds of each step are in `history.jsonl`.
    """

    out: str = option("runs/train", "run folder to create")
    seed: int = option(0, "seed of the problems and perturbations", minimum=0)
    backend: str = option("auto", "backend of the kernels", choices=("auto", *BACKENDS))
    threads: int = option(1, "threads of torch; its tensors are too small for more", minimum=1)

    families: tuple[str, ...] = option(
        ("pose", "shape3d"), "task families to learn from", choices=FAMILY_NAMES
    )
    meshes: tuple[str, ...] = option((), "mesh files to use instead of the built-in shapes")
    image_size: int = option(64, "image height and width in pixels", minimum=4)
    pose_problems: int = option(16, "pose problems per outer step", minimum=1)
    pose_start: tuple[float, float] = option(
        (15.0, 35.0), "smallest and largest start angle of pose problems in degrees", above=0.0
    )
    pose_shaded: bool = option(False, "poses from a shaded image instead of a silhouette")
    shape3d_problems: int = option(4, "shape3d problems per outer step", minimum=1)
    shape3d_views: int = option(6, "views of a shape3d problem", minimum=1)
    shape3d_subdivisions: int = option(
        2, "subdivisions of the sphere of shape3d: 2 has 162 vertices, 3 has 642", minimum=0
    )
    shape2d_problems: int = option(4, "shape2d problems per outer step", minimum=1)
    shape2d_triangles: int = option(100, "triangles of a shape2d problem", minimum=8)
    shape2d_displacement: float = option(
        0.9, "displacement of the vertices of shape2d at the start in mean edge lengths", above=0.0
    )
    occlusion_problems: int = option(8, "occlusion problems per outer step", minimum=1)
    occlusion_planes: int = option(5, "planes of an occlusion problem, at most 6", minimum=3)
    occlusion_displacement: tuple[float, float] = option(
        (0.1, 0.25), "smallest and largest offset at the start in image heights", above=0.0
    )

    learn: tuple[str, ...] = option(
        ("coverage", "scale", "aggregation"), "what is learned of the softness", choices=PARTS
    )
    start: str = option("", "softness file to start from, in place of the options up to gamma-end")
    coverage: str = option("gaussian", "kind of coverage", choices=COVERAGE_NAMES)
    slope: str = option(
        "none",
        "coverage whose slope the gradient follows instead of the image's (straight-through)",
        choices=("none", *COVERAGE_NAMES),
    )
    schedule: str = option(
        "exponential",
        "scale over the inner steps: constant, from scale to scale-end, or any course",
        choices=("constant", "exponential", "free"),
    )
    shift: float = option(
        0.0, "initial shift of a closed-form coverage in scales; positive shrinks a face"
    )
    scale: float = option(1.5, "initial scale in pixels, of the first step", above=0.0)
    scale_end: float = option(0.15, "initial scale of the last step in pixels", above=0.0)
    aggregation: str = option("aczel-alsina", "how coverages combine", choices=AGGREGATION_NAMES)
    aggregation_p: float = option(1.3, "initial parameter of the aggregation, if it has one")
    occlusion: str = option("softmax", "how depths combine", choices=OCCLUSION_NAMES)
    gamma_schedule: str = option(
        "constant",
        "gamma over the inner steps: constant, or from gamma to gamma-end",
        choices=("constant", "exponential"),
    )
    gamma: float = option(0.05, "initial gamma of the occlusion in scene units", above=0.0)
    gamma_end: float = option(0.05, "initial gamma of the last step in scene units", above=0.0)

    shards: int = option(
        1, "parts of the problems of each family, which processes can share", minimum=1
    )
    gradient: str = option("es", "estimator of the meta-gradient", choices=GRADIENT_NAMES)
    es_sigma: float = option(0.2, "size of the perturbations of evolution strategies", above=0.0)
    es_pairs: int = option(4, "antithetic pairs of perturbations", minimum=1)
    sharpness: float = option(
        20.0, "how much the precision of solved problems counts in the objective", above=0.0
    )
    horizon: int = option(8, "steps that truncated and persistent gradients look back", minimum=1)
    objective: str = option(
        "late",
        "error to lower: at the final inner step, or the mean over the late half or all of the steps",
        choices=("final", "late", "all"),
    )
    inner_steps: int = option(30, "Adam steps for solving a problem", minimum=1)
    inner_rate: float = option(
        1.0, "inner learning rate as a multiple of each family's own", above=0.0
    )
    outer_steps: int = option(24, "steps of meta-training", minimum=1)
    learning_rate: float = option(0.06, "outer learning rate of Adam", above=0.0)
    clip: float = option(1.0, "largest norm of the meta-gradient; a longer one is cut", above=0.0)
    checkpoint_every: int = option(5, "outer steps between checkpoints", minimum=1)

    def __post_init__(self):
        check_options(self)
        if not self.families or len(set(self.families)) != len(self.families):
            raise ValueError(f"families must be one or more different names, got {self.families}")
        if not self.learn or len(set(self.learn)) != len(self.learn):
            raise ValueError(f"learn must be one or more different names, got {self.learn}")
        low, high = self.pose_start
        if not low <= high <= 180:
            raise ValueError(f"pose_start must be low <= high <= 180 degrees, got {low} {high}")
