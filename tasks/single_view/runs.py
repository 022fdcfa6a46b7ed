"""One run in a folder: trained, measured and written; the same call goes on where it was stopped."""

from __future__ import annotations

import json
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

import taichisoft
from taichisoft import save_mesh
from taichisoft.base.backend import threads
from taichisoft.base.engine import ENGINE
from taichisoft.base.files import write_atomically
from taichisoft.base.processor import processor
from taichisoft.files.images import write_image
from tasks.base import Split
from tasks.single_view.checkpoint import Checkpoint, settings_of
from tasks.single_view.evaluation import evaluate
from tasks.single_view.examples import example_meshes, examples
from tasks.single_view.folders import load_folder
from tasks.single_view.photographs import Photographs
from tasks.single_view.procedural import judged, procedural
from tasks.single_view.settings import DataSettings, Settings
from tasks.single_view.supervision import Model, model_of
from tasks.single_view.training import Training, parameters_of

CHECKPOINT, RESULT, EXAMPLES, SHAPES = "checkpoint.pt", "result.json", "examples.png", "shapes"
# Numbers of the history that are in the result: means of as many parts of it.
PARTS = 50


@dataclass(frozen=True, eq=False)
class Data:
    """What is learned from, and what is tested on: objects, and views of them that are never shown."""

    train: Photographs
    shown: Photographs
    judged: Photographs

    @classmethod
    def of(cls, settings: DataSettings) -> Data:
        """Return the photographs of a folder, or of procedural objects."""
        if settings.folder is None:
            return cls(
                procedural(settings, Split.TRAIN),
                procedural(settings, Split.HELD_OUT),
                judged(settings),
            )
        shown = load_folder(settings, Split.HELD_OUT)
        shown.check_several()
        return cls(load_folder(settings, Split.TRAIN), shown, shown)


def run(
    settings: Settings,
    data: Data,
    renderer: str,
    seed: int,
    folder: Path,
    *,
    command: str = "",
    save_every: int = 100,
    on_step: Callable[[Training], object] | None = None,
) -> dict[str, Any]:
    """Return the result of a training, which goes on from the checkpoint in its folder.

    Parameters
    ----------
    settings, renderer, seed
        As for `Training`.
    data : Data
        Of these settings.
    folder : Path
        Made if it is missing. In the end it holds ``checkpoint.pt``, ``result.json``, ``examples.png`` and
        ``shapes``.
    command : str
        What was called, for the result.
    save_every : int
        Steps between two checkpoints.
    on_step : callable, optional
        Called with the training after each step.

    Raises
    ------
    ValueError
        What is in the folder is of another training.
    """
    folder.mkdir(parents=True, exist_ok=True)
    training = Training(settings, data.train, renderer, seed)
    checkpoint = folder / CHECKPOINT
    if checkpoint.is_file():
        training.resume(checkpoint)
    result = folder / RESULT
    if training.step == settings.steps and result.is_file():
        return json.loads(result.read_text(encoding="utf-8"))

    def after(training: Training) -> None:
        if training.step % save_every == 0:
            training.checkpoint().save(checkpoint)
        if on_step is not None:
            on_step(training)

    try:
        training.run(on_step=after)
    except KeyboardInterrupt:
        training.checkpoint().save(checkpoint)
        raise
    training.checkpoint().save(checkpoint)
    found = {
        "about": about(command),
        "renderer": renderer,
        "seed": seed,
        "settings": training.checkpoint().origin,
        "parameters": parameters_of(training.model),
        "cpu_seconds": training.seconds,
        "start": _start(settings, data, seed),
        "end": evaluate(training.model, data.shown, data.judged, data.train),
        "history": thinned(training.history),
    }
    _write_examples(training.model, data, folder)
    write_json(result, found)
    return found


def load_model(folder: Path | str) -> Model:
    """Return the networks of a run, as its last checkpoint has them, to be given images.

    ``load_model("runs/single/general-0").shapes.tell(load_picture("photo.png", (32, 32)))`` is a mesh.

    Raises
    ------
    FileNotFoundError, ValueError
        There is no checkpoint in the folder, or it is damaged.
    """
    found = Checkpoint.load(Path(folder) / CHECKPOINT)
    model = model_of(settings_of(found.origin), 0)
    model.load_state_dict(found.model)
    return model.requires_grad_(False)


def about(command: str) -> dict[str, object]:
    """Return the command, the processor, threads and versions."""
    return {
        "command": command,
        "processor": processor(),
        "backend": taichisoft.backend(),
        "kernel_threads": threads(),
        "torch_threads": torch.get_num_threads(),
        "taichisoft": taichisoft.__version__,
        "torch": torch.__version__,
        ENGINE.name: version(ENGINE.name),
        "python": platform.python_version(),
        "finished": time.strftime("%Y-%m-%d %H:%M", time.gmtime()),
    }


def thinned(history: list[dict[str, float]]) -> list[dict[str, float]]:
    """Return means of equal parts of a history, each with the ``step`` at its end."""
    length = max(1, -(-len(history) // PARTS))
    parts = [history[start : start + length] for start in range(0, len(history), length)]
    ends = [min((index + 1) * length, len(history)) for index in range(len(parts))]
    return [
        {"step": end, **{name: sum(row[name] for row in part) / len(part) for name in part[0]}}
        for part, end in zip(parts, ends, strict=True)
    ]


def write_json(path: Path, value: object) -> None:
    """Write JSON atomically."""
    text = json.dumps(value, indent=1, allow_nan=False) + "\n"
    write_atomically(path, lambda partial: partial.write_text(text, encoding="utf-8"))


@lru_cache(maxsize=1)
def _start(settings: Settings, data: Data, seed: int) -> dict[str, Any]:
    """Return how well the untrained networks do; kept, as all renderers start from the same."""
    return evaluate(model_of(settings, seed), data.shown, data.judged, data.train)


def _write_examples(model: Model, data: Data, folder: Path) -> None:
    write_image(examples(model, data.shown, data.judged, data.train), folder / EXAMPLES)
    shapes = folder / SHAPES
    shapes.mkdir(exist_ok=True)
    for name, mesh in example_meshes(model, data.shown, data.train):
        save_mesh(mesh, shapes / f"{name}.ply")
