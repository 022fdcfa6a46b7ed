"""Make the pictures of the README: ``python docs/readme_pictures.py``.

The fit is the example of the README, run; those of notebooks are taken from their outputs.
"""

from __future__ import annotations

import base64
import io
import re
from pathlib import Path
from typing import Any

import nbformat
from PIL import Image

from taichisoft.cli.demonstrations.pictures import compared
from taichisoft.files.animations import frame_of

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "docs" / "images" / "readme"
# The picture of each notebook: which of its outputs, and the part of it (left, top, right, bottom; 1 is all).
NOTEBOOKS = {
    "01_softness": (3, (0.0, 0.0, 1.0, 1.0)),
    "02_inverse_rendering": (3, (0.0, 0.0, 1.0, 1.0)),
    "03_meta_learning": (1, (0.0, 0.0, 1.0, 1.0)),
    "04_learned_vs_fixed": (0, (0.0, 0.0, 0.515, 1.0)),
    "05_backends": (0, (0.0, 0.0, 1.0, 1.0)),
    "06_appearance": (2, (0.0, 0.0, 1.0, 1.0)),
    "07_single_view": (2, (0.0, 0.0, 1.0, 0.4)),
    "08_from_photographs": (2, (0.0, 0.0, 1.0, 1.0)),
}
SIZE = (300, 170)
ENLARGED = 2
FRAME_MS, LAST_FRAME_MS = 90, 2500


def thumbnail(notebook: str) -> Image.Image:
    """Return one output of a notebook on a white card of a fixed size."""
    index, part = NOTEBOOKS[notebook]
    cells = nbformat.read(ROOT / "notebooks" / f"{notebook}.ipynb", as_version=4).cells
    data = [output.get("data", {}) for cell in cells for output in cell.get("outputs", [])]
    pictures = [found["image/png"] for found in data if "image/png" in found]
    whole = Image.open(io.BytesIO(base64.b64decode(pictures[index]))).convert("RGB")
    left, top, right, bottom = part
    box = (left * whole.width, top * whole.height, right * whole.width, bottom * whole.height)
    cut = whole.crop(tuple(round(edge) for edge in box))
    cut.thumbnail(SIZE, Image.Resampling.LANCZOS)
    card = Image.new("RGB", SIZE, "white")
    card.paste(cut, ((SIZE[0] - cut.width) // 2, (SIZE[1] - cut.height) // 2))
    return card


def example() -> dict[str, Any]:
    """Run the first example of the README and return its names."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    names: dict[str, Any] = {}
    exec(re.search(r"```python\n(.*?)```", text, re.DOTALL).group(1), names)
    return names


def fit(names: dict[str, Any]) -> list[Image.Image]:
    """Return the frames of the example: soft images over the target."""
    frames = []
    for snapshot in names["found"].history.snapshots:
        alpha = names["render"].silhouette(names["turned"](snapshot.parameters), names["camera"])
        image = frame_of(compared(alpha[0], names["target"][0]), "the frame")
        size = (ENLARGED * image.width, ENLARGED * image.height)
        frames.append(image.resize(size, Image.Resampling.NEAREST))
    return frames


def main() -> None:
    """Write all."""
    FOLDER.mkdir(exist_ok=True)
    for notebook in NOTEBOOKS:
        thumbnail(notebook).save(FOLDER / f"{notebook}.png", optimize=True)
    frames = fit(example())
    times = [FRAME_MS] * (len(frames) - 1) + [LAST_FRAME_MS]
    frames[0].save(
        FOLDER / "fit.gif", save_all=True, append_images=frames[1:], duration=times, loop=0
    )


if __name__ == "__main__":
    main()
