"""Settings: one dataclass is the command line, the JSON file and the checks."""

from __future__ import annotations

import dataclasses
import json
import re

import pytest

from meta.config import families, softness
from meta.config.options import check_options, option
from meta.config.training import TrainSettings, build_parser, from_json, settings_from_args, to_json
from meta.runs import trainer
from meta.runs.folder import RunFolder
from meta.train import parse
from taichisoft import Camera, Gaussian, Pixels, Positive, Softness, Yager, save_mesh, shapes
from tasks import Split

OTHER = TrainSettings(
    out="elsewhere",
    seed=7,
    backend="vulkan",
    families=("shape3d",),
    meshes=("a.obj", "b.ply"),
    pose_start=(35.0, 55.0),
    coverage="spline",
    learning_rate=0.5,
)


def arguments_of(settings: TrainSettings) -> list[str]:
    """Return the command line that gives every field."""
    words = []
    for field in dataclasses.fields(settings):
        value = getattr(settings, field.name)
        name = field.name.replace("_", "-")
        if isinstance(value, bool):
            words.append(f"--{name}" if value else f"--no-{name}")
            continue
        values = value if isinstance(value, tuple) else (value,)
        if values:
            words += [f"--{name}", *map(str, values)]
    return words


@pytest.mark.parametrize("settings", [TrainSettings(), OTHER], ids=["default", "other"])
def test_round_trips(settings):
    assert from_json(TrainSettings, json.loads(json.dumps(to_json(settings)))) == settings
    assert parse(arguments_of(settings)) == settings


def test_nothing_given_is_the_default():
    assert parse([]) == TrainSettings()


def test_help_shows_every_field_with_its_default():
    text = " ".join(build_parser(TrainSettings).format_help().split())
    for field in dataclasses.fields(TrainSettings):
        assert re.search(rf"--{field.name.replace('_', '-')}[ ,]", text)
        assert " ".join(field.metadata["help"].split()) in text
    assert "antithetic pairs of perturbations (default: " in text


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--outer-steps", "0"], "outer_steps must be at least 1, got 0"),
        (["--outer-steps", "many"], "--outer-steps: invalid int value: 'many'"),
        (["--gradient", "magic"], "--gradient: invalid choice: 'magic'"),
        (["--families", "pose", "pose"], "families must be one or more different names"),
        (["--families", "cubes"], "--families: invalid choice: 'cubes'"),
        (["--es-sigma", "-1"], "es_sigma must be finite and greater than 0, got -1.0"),
        (["--scale", "nan"], "scale must be finite and greater than 0, got nan"),
        (["--pose-start", "55", "35"], "pose_start must be low <= high <= 180 degrees"),
        (["--pose-start", "55"], "--pose-start: expected 2 arguments"),
        (["--nonsense", "1"], "unrecognized arguments: --nonsense 1"),
        (["--outer", "5"], "unrecognized arguments: --outer 5"),
        (["--resume", "run", "--seed", "0"], "leave out --seed"),
    ],
)
def test_wrong_options(words, message, capsys):
    with pytest.raises(SystemExit) as exit_:
        parse(words)
    assert exit_.value.code == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"seed": 1.0}, TypeError, "seed must be an int, got float"),
        ({"seed": True}, TypeError, "seed must be an int, got bool"),
        ({"families": "pose"}, TypeError, "families must be a tuple, got str"),
        ({"families": ()}, ValueError, "families must be one or more different names"),
        ({"families": ("cubes",)}, ValueError, r"families\[0\] must be one of pose, shape3d"),
        ({"meshes": (1,)}, TypeError, r"meshes\[0\] must be a str, got int"),
        ({"pose_start": (1.0, 2.0, 3.0)}, ValueError, "pose_start must have 2 values, got 3"),
        ({"out": None}, TypeError, "out must be a str, got NoneType"),
    ],
)
def test_wrong_values(changes, error, message):
    with pytest.raises(error, match=message):
        TrainSettings(**changes)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda values: values.update(sede=1), "fields of TrainSettings only, got sede"),
        (lambda values: values.update(color="red"), "TrainSettings only, got color"),
        (lambda values: values.update(seed="0"), "seed must be an int, got str"),
    ],
)
def test_wrong_json(change, message):
    values = to_json(TrainSettings())
    change(values)
    with pytest.raises((TypeError, ValueError), match=message):
        from_json(TrainSettings, values)
    with pytest.raises(TypeError, match="settings must be a dict, got list"):
        from_json(TrainSettings, [])


def test_booleans_and_own_dataclasses(capsys):
    @dataclasses.dataclass(frozen=True)
    class Mine:
        fast: bool = option(True, "be 100% quick")
        sizes: tuple[int, ...] = option((1, 2), "sizes", minimum=1)

        def __post_init__(self):
            check_options(self)

    parser = build_parser(Mine)
    given = parser.parse_args(["--no-fast", "--sizes", "3"])
    assert settings_from_args(Mine, parser, given) == Mine(False, (3,))
    assert "be 100% quick (default: True)" in parser.format_help()
    with pytest.raises(SystemExit):
        settings_from_args(Mine, parser, parser.parse_args(["--sizes", "3", "0"]))
    assert "sizes[1] must be at least 1, got 0" in capsys.readouterr().err


def test_choices_are_what_can_be_built():
    fields = {f.name: set(f.metadata["choices"]) for f in dataclasses.fields(TrainSettings)}
    assert fields["families"] == set(families.FAMILIES)
    assert fields["coverage"] == set(softness.COVERAGES)
    assert fields["aggregation"] == set(softness.AGGREGATIONS)
    assert fields["gradient"] == set(trainer.GRADIENTS)
    assert fields["objective"] == set(trainer.WINDOWS)


@pytest.mark.parametrize("coverage", softness.COVERAGES)
@pytest.mark.parametrize("aggregation", softness.AGGREGATIONS)
def test_initial_renderer(coverage, aggregation):
    settings = TrainSettings(
        learn=("coverage", "scale"), coverage=coverage, aggregation=aggregation, scale=0.25
    )
    renderer = softness.initial_renderer(settings)
    assert softness.scale_in_pixels(renderer, 64) == pytest.approx(0.25, rel=1e-12)
    assert all(p.requires_grad for p in renderer.coverage.parameters())
    assert not any(p.requires_grad for p in renderer.occlusion.parameters())
    assert not any(p.requires_grad for p in renderer.aggregation.parameters())


def test_gamma_follows_its_schedule():
    settings = TrainSettings(
        learn=("gamma",), gamma_schedule="exponential", gamma=0.4, gamma_end=0.1
    )
    renderer = softness.initial_renderer(settings)
    for progress, gamma in ((0.0, 0.4), (0.5, 0.2), (1.0, 0.1)):
        renderer.set_progress(progress)
        assert float(renderer.occlusion.gamma().detach()) == pytest.approx(gamma, rel=1e-12)
    assert {n for n, p in renderer.named_parameters() if p.requires_grad} == {
        "softness.occlusion.gamma.start.log_value",
        "softness.occlusion.gamma.end.log_value",
    }


@pytest.mark.parametrize("schedule", softness.SCHEDULES)
@pytest.mark.parametrize("occlusion", softness.OCCLUSIONS)
@pytest.mark.parametrize("slope", ["none", "spline"])
def test_every_kind_of_softness_is_rendered_with(schedule, occlusion, slope):
    settings = TrainSettings(
        schedule=schedule, occlusion=occlusion, slope=slope, scale=0.5, learn=("scale",)
    )
    renderer = softness.initial_renderer(settings)
    alpha = renderer.silhouette(shapes.cube(), Camera.look_at(eye=(0, 0, 4), image_size=(8, 8)))
    assert 0 < float(alpha.detach().mean()) < 1
    learned = {name for name, p in renderer.named_parameters() if p.requires_grad}
    assert learned
    assert all(name.startswith("softness.coverage.scale.") for name in learned)


SPLINES = {
    "coverage": "spline",
    "schedule": "constant",
    "aggregation": "yager",
    "occlusion": "spline",
}
PARTS = {
    "coverage": "softness.coverage.weight",
    "scale": "softness.coverage.scale.length.log_value",
    "aggregation": "softness.aggregation.p.log_value",
    "occlusion": "softness.occlusion.weight",
    "gamma": "softness.occlusion.gamma.log_value",
}


@pytest.mark.parametrize("part", PARTS)
def test_parts_are_learned_alone(part):
    settings = TrainSettings(**SPLINES, learn=(part,))
    renderer = softness.initial_renderer(settings)
    assert [n for n, p in renderer.named_parameters() if p.requires_grad] == [PARTS[part]]


def test_parts_are_learned_together():
    settings = TrainSettings(**SPLINES, learn=tuple(PARTS))
    renderer = softness.initial_renderer(settings)
    assert all(p.requires_grad for p in renderer.parameters())


def test_a_part_without_parameters_cannot_be_learned():
    with pytest.raises(ValueError, match="learn names 'aggregation', but this softness has no"):
        softness.initial_renderer(
            TrainSettings(aggregation="probabilistic", learn=("scale", "aggregation"))
        )


def test_learning_goes_on_from_a_file(tmp_path):
    file = tmp_path / "start.safetensors"
    Softness(Gaussian(Pixels(0.7, learn=True)), Yager(Positive(2.0, learn=True))).save(file)
    settings = TrainSettings(start=str(file), learn=("aggregation",))
    renderer = softness.initial_renderer(settings)
    assert softness.scale_in_pixels(renderer, 64) == pytest.approx(0.7)
    assert [n for n, p in renderer.named_parameters() if p.requires_grad] == [PARTS["aggregation"]]


def test_families_have_the_settings():
    settings = TrainSettings(
        image_size=16, shape3d_views=3, shape3d_subdivisions=1, pose_problems=5
    )
    pose, shape = families.build_families(settings)
    assert (pose.name, shape.name) == settings.families
    assert pose.image_size == shape.image_size == (16, 16)
    assert (shape.views, shape.subdivisions) == (3, 1)
    assert families.problem_counts(settings) == {"pose": 5, "shape3d": settings.shape3d_problems}
    assert pose.sample(0, 2, Split.TRAIN).target(0).shape == (16, 16)
    with pytest.raises(ValueError, match="at least 2 meshes"):
        families.build_families(TrainSettings(meshes=("one.obj",)))


def test_own_meshes(tmp_path):
    files = (str(tmp_path / "cube.ply"), str(tmp_path / "torus.obj"))
    for file, mesh in zip(files, (shapes.cube(), shapes.torus()), strict=True):
        save_mesh(mesh, file)
    pose, shape = families.build_families(TrainSettings(meshes=files))
    assert pose.meshes is shape.meshes
    assert (*pose.meshes.train, *pose.meshes.held_out) == files


def test_run_folder_without_a_run(tmp_path):
    folder = RunFolder(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"config\.json is missing"):
        folder.read_settings()
    folder.config.write_text("{")
    with pytest.raises(ValueError, match="is damaged"):
        folder.read_settings()
    folder.config.write_text("{}")
    with pytest.raises(ValueError, match="is damaged"):
        folder.read_settings()
