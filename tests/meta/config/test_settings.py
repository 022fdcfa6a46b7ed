"""Settings: nested dataclasses are the command line, the JSON file and the checks."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import pytest

from meta.config.command_line import parse as parse_as
from meta.config.families import FAMILIES, OcclusionRun, PoseRun, Shape3DRun
from meta.config.settings import Count, Settings
from meta.config.softness import SoftnessSettings
from meta.learning import flat_settings
from meta.learning.gradients import ESTIMATORS, AntitheticSettings, TruncatedSettings
from meta.learning.settings import (
    InnerLoop,
    OuterLoop,
    TrainSettings,
    ValidationSettings,
    build_families,
)
from meta.runs.folder import RunFolder
from meta.train import parse
from taichisoft import save_mesh, shapes
from tasks import Split
from tests.meta.runs.run_cases import words_of

OTHER = TrainSettings(
    out="elsewhere",
    seed=7,
    backend="vulkan",
    families=(Shape3DRun(views=3), PoseRun(start=(35.0, 55.0), shaded=True)),
    meshes=("a.obj", "b.ply"),
    image_sizes=(32, 96),
    softness=SoftnessSettings(coverage="spline", learn=("scale", "gamma")),
    gradient=TruncatedSettings(horizon=3),
    inner=InnerLoop(objective="all"),
    validation=ValidationSettings(problems=128, every=2),
    outer=OuterLoop(learning_rate=0.5, shards=2),
)
# Options that flat files are older than.
SINCE = {
    *("gamma_unit", "order", "occlusion.background_gap", "conditioned", "knots"),
    *("shift_schedule", "aggregation_schedule", "reach"),
    *("image_sizes", "validation_problems", "validation_every"),
}
ESTIMATORS_SINCE = {"cma"}
EVERYTHING = [
    TrainSettings(),
    OTHER,
    *(TrainSettings(families=(run(),)) for run in FAMILIES.values()),
    *(TrainSettings(gradient=kind()) for kind in ESTIMATORS.values()),
]
# Of runs that were made before settings nested.
FLAT = sorted(Path(__file__).parent.glob("flat/*/config.json"))


@pytest.mark.parametrize("settings", EVERYTHING)
def test_round_trips(settings):
    assert TrainSettings.from_json(json.loads(json.dumps(settings.to_json()))) == settings
    assert parse(words_of(settings)) == settings


def test_nothing_given_is_the_default():
    assert parse([]) == TrainSettings()


def help_of(capsys) -> str:
    """Return the help of the training, without its frame."""
    with pytest.raises(SystemExit) as exit_:
        parse(["--help"])
    assert exit_.value.code == 0
    return plain(capsys.readouterr().out)


def plain(text: str) -> str:
    """Return words without the frame around them, and without how they are broken into lines."""
    return " ".join(re.sub("[\u2500-\u257f]", " ", text).split())


def test_help_shows_every_field_with_its_default(capsys):
    text = help_of(capsys)
    for settings in EVERYTHING:
        for option in settings.options():
            assert re.search(rf"--{option.name.replace('_', '-')}[ ,]", text), option
            assert option.help, option
            if option.name not in ("families", "gradient"):
                assert option.help in text, option
    assert "Task families to learn from. (default: pose shape3d)" in text
    assert "Outer learning rate of Adam. (default: 0.06)" in text


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--seed", "9" * 23], f"seed must be at most {2**62 - 1}, got {'9' * 23}"),
        (["--outer-steps", "9" * 23], f"outer_steps must be at most {2**62 - 1}, got {'9' * 23}"),
        (["--outer-steps", "0"], "outer_steps must be at least 1, got 0"),
        (
            ["--outer-steps", "many"],
            "--outer-steps: invalid literal for int() with base 10: 'many'",
        ),
        (["--gradient", "magic"], "invalid choice 'magic' for argument '--gradient'"),
        (["--families", "pose", "pose"], "families must be one or more different names"),
        (["--families"], "families must be one or more different names"),
        (["--families", "cubes"], "invalid choice 'cubes' for argument '--families'"),
        (["--es.sigma", "-1"], "es.sigma must be finite and greater than 0, got -1.0"),
        (["--scale", "nan"], "scale must be finite and greater than 0, got nan"),
        (["--reach", "-1"], "reach must be finite and not negative, got -1"),
        (
            ["--reach", "4", "--coverage", "mlp"],
            "reach must be 0 unless the coverage, and the slope",
        ),
        (["--pose.problems", "0"], "pose.problems must be at least 1, got 0"),
        (["--pose.start", "55", "35"], "pose.start must be low <= high <= 180 degrees"),
        (["--pose.start", "55"], "Missing value for argument '--pose.start'. Expected 2 values"),
        (["--nonsense", "1"], "Unrecognized options: --nonsense, 1"),
        (["--outer", "5"], "Unrecognized options: --outer, 5"),
        (["--image-sizes", "64", "64"], "image_sizes must be one or more different values"),
        (
            ["--image-sizes", "32", "64", "--validation-problems", "1"],
            "validation_problems must be at least one for each of the 2 image sizes, got 1",
        ),
        (["--resume", "run", "--seed", "0"], "leave out --seed"),
        (["--shape2d.triangles", "9"], "--shape2d.triangles has no effect without shape2d"),
        (["--gradient", "unrolled", "--es.pairs", "9"], "--es.pairs has no effect without es"),
        (["--pose-start", "35", "55"], "--pose-start is now --pose.start"),
        (["--es-pairs=3"], "--es-pairs is now --es.pairs or --es-plain.pairs or"),
    ],
)
def test_wrong_options(words, message, capsys):
    with pytest.raises(SystemExit) as exit_:
        parse(words)
    assert exit_.value.code == 2
    assert message in plain(capsys.readouterr().err)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"seed": 1.0}, TypeError, "seed must be an int, got float"),
        ({"seed": True}, TypeError, "seed must be an int, got bool"),
        ({"families": "pose"}, TypeError, "families must be a tuple, got str"),
        ({"families": ("pose",)}, TypeError, r"families\[0\] must be a FamilyRun, got str"),
        ({"families": ()}, ValueError, "families must be one or more different names"),
        ({"meshes": (1,)}, TypeError, r"meshes\[0\] must be a str, got int"),
        (
            {"families": (PoseRun(start=(1.0, 2.0, 3.0)),)},
            ValueError,
            r"pose\.start must have 2 values, got 3",
        ),
        (
            {"families": (OcclusionRun(planes=2),)},
            ValueError,
            r"occlusion\.planes must be at least 3, got 2",
        ),
        (
            {"softness": SoftnessSettings(learn=("weights",))},
            ValueError,
            r"learn\[0\] must be one of coverage, scale, .*, got 'weights'",
        ),
        ({"softness": SoftnessSettings(learn=())}, ValueError, "learn must be one or more"),
        ({"gradient": "es"}, TypeError, "gradient must be a MetaGradientSettings, got str"),
        ({"outer": OuterLoop(steps=0)}, ValueError, "outer_steps must be at least 1, got 0"),
        ({"out": None}, TypeError, "out must be a str, got NoneType"),
    ],
)
def test_wrong_values(changes, error, message):
    with pytest.raises(error, match=message):
        TrainSettings(**changes)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        (
            {"steps": 3},
            TypeError,
            r"got steps: give inner=InnerLoop\(steps=...\) or outer=OuterLoop\(steps",
        ),
        ({"outer_steps": 3}, TypeError, r"got outer_steps: give outer=OuterLoop\(steps=...\)$"),
        ({"sigma": 0.1}, TypeError, r"got sigma: give gradient=AntitheticSettings\(sigma=...\)$"),
        ({"outer_steps": 0}, ValueError, "outer_steps must be at least 1, got 0"),
        ({"nonsense": 3}, TypeError, "unexpected keyword argument 'nonsense'"),
    ],
)
def test_fields_of_what_is_nested_are_told_where_they_belong(changes, error, message):
    with pytest.raises(error, match=message):
        TrainSettings(**changes)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda values: values.update(sede=1), "fields of TrainSettings only, got sede"),
        (lambda values: values["softness"].update(color="red"), "SoftnessSettings only, got color"),
        (lambda values: values.update(seed="0"), "seed must be an int, got str"),
        (
            lambda values: values["families"][0].update(name="cubes"),
            "name in families must be one of pose, shape3d, shape2d, occlusion, got 'cubes'",
        ),
        (lambda values: values["gradient"].pop("name"), "name in gradient must be one of .* None"),
    ],
)
def test_wrong_json(change, message):
    values = TrainSettings().to_json()
    change(values)
    with pytest.raises((TypeError, ValueError), match=message):
        TrainSettings.from_json(values)
    with pytest.raises(TypeError, match="settings must be a dict, got list"):
        TrainSettings.from_json([])


def test_what_is_missing_in_a_file_is_as_usual():
    values = OTHER.to_json()
    for part in (values, values["softness"], values["families"][0]):
        part.popitem()
    read = TrainSettings.from_json(values)
    assert read == replace(
        OTHER,
        families=(replace(OTHER.families[0], subdivisions=2), OTHER.families[1]),
        outer=OuterLoop(),
    )


@pytest.mark.parametrize("path", FLAT, ids=lambda path: path.parent.name)
def test_settings_of_a_flat_file_are_all_there(path):
    values = json.loads(path.read_text())["settings"]
    settings = TrainSettings.from_json(values)
    assert RunFolder(path.parent).read_settings() == settings
    names = {
        f"{kind}.{new}": old
        for kind, olds in {**flat_settings.FAMILIES, **flat_settings.GRADIENTS}.items()
        for new, old in olds.items()
    }
    usual = {option.name: option.value for option in TrainSettings().options()}
    for option in settings.options():
        if option.name in SINCE:
            assert option.value == usual.get(option.name, option.default)
            continue
        value = values[names.get(option.name, option.name)]
        assert option.value == (tuple(value) if isinstance(value, list) else value)
    # What is left are options of families and estimators that the run has not.
    used = {names.get(option.name, option.name) for option in settings.options()} - SINCE
    assert values.keys() - used <= set(names.values())


def test_flat_settings_keep_what_was_not_said_and_refuse_what_never_was():
    assert TrainSettings.from_json({}) == TrainSettings()
    assert TrainSettings.from_json({"es_pairs": 9}).gradient == AntitheticSettings(pairs=9)
    with pytest.raises(ValueError, match="fields of TrainSettings only, got sede"):
        TrainSettings.from_json({"sede": 1, "coverage": "mlp"})


def test_flat_names_are_known_for_every_kind_of_then():
    known = {
        name: {key for key in run().to_json() if f"{name}.{key}" not in SINCE} - {"name"}
        for name, run in FAMILIES.items()
    }
    assert {name: set(names) for name, names in flat_settings.FAMILIES.items()} == known
    known = {
        name: set(kind().to_json()) - {"name"}
        for name, kind in ESTIMATORS.items()
        if name not in ESTIMATORS_SINCE
    }
    assert {name: set(names) for name, names in flat_settings.GRADIENTS.items()} == known
    for group, names in flat_settings.GROUPS.items():
        assert set(names) == set(TrainSettings().to_json()[group])


def test_booleans_and_own_dataclasses(capsys):
    @dataclass(frozen=True)
    class Mine(Settings):
        """Mine."""

        name: ClassVar[str] = ""
        fast: bool = True  # Whether to be 100% quick.
        sizes: tuple[Count, ...] = (1, 2)  # Sizes.

        def __post_init__(self):
            self.check()

    def parsed(*words):
        return parse_as(Mine, words, prog="mine", description="Mine.")

    assert parsed("--no-fast", "--sizes", "3") == Mine(False, (3,))
    with pytest.raises(SystemExit):
        parsed("--help")
    assert "Whether to be 100% quick. (default: True)" in plain(capsys.readouterr().out)
    with pytest.raises(SystemExit):
        parsed("--sizes", "3", "0")
    assert "sizes[1] must be at least 1, got 0" in capsys.readouterr().err


def test_differences_are_named_as_on_the_command_line():
    assert TrainSettings().differences(TrainSettings()) == []
    other = replace(
        TrainSettings(),
        families=(PoseRun(problems=3), Shape3DRun()),
        gradient=AntitheticSettings(pairs=9),
        inner=InnerLoop(steps=3),
    )
    assert TrainSettings().differences(other) == ["pose.problems", "es.pairs", "inner_steps"]
    other = replace(TrainSettings(), families=(PoseRun(),))
    expected = ["families", "shape3d.problems", "shape3d.views", "shape3d.subdivisions"]
    assert TrainSettings().differences(other) == expected


def test_families_have_the_settings():
    settings = TrainSettings(
        image_size=16, families=(PoseRun(problems=5), Shape3DRun(views=3, subdivisions=1))
    )
    pose, shape = build_families(settings)
    assert (pose.name, shape.name) == settings.family_names
    assert pose.image_size == shape.image_size == (16, 16)
    assert (shape.views, shape.subdivisions) == (3, 1)
    assert pose.sample(0, 2, Split.TRAIN).target(0).shape == (16, 16)
    with pytest.raises(ValueError, match="at least 2 meshes"):
        build_families(TrainSettings(meshes=("one.obj",)))


def test_a_wall_behind_the_planes_is_a_setting():
    assert OcclusionRun().build(16, None).background_gap is None
    run = OcclusionRun(background_gap=(1.0, 20.0))
    assert run.build(16, None).background_gap == (1.0, 20.0)
    settings = TrainSettings(families=(run,))
    assert TrainSettings.from_json(json.loads(json.dumps(settings.to_json()))) == settings
    words = ("--families", "occlusion", "--occlusion.background-gap", "1", "20")
    assert parse(words).families == (run,)
    with pytest.raises(ValueError, match="background_gap must have 0 or 2 values, got 1"):
        OcclusionRun(background_gap=(1.0,))


@pytest.mark.parametrize("name", FAMILIES)
def test_families_are_called_as_their_options(name):
    settings = TrainSettings(image_size=16).with_families((name,))
    assert [family.name for family in build_families(settings)] == [name]


def test_other_families_keep_the_options_that_a_run_has():
    settings = OTHER.with_families(("occlusion", "pose"))
    assert settings.families == (OcclusionRun(), OTHER.families[1])


def test_own_meshes(tmp_path):
    files = (str(tmp_path / "cube.ply"), str(tmp_path / "torus.obj"))
    for file, mesh in zip(files, (shapes.cube(), shapes.torus()), strict=True):
        save_mesh(mesh, file)
    pose, shape = build_families(TrainSettings(meshes=files))
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
