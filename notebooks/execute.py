"""Execute the notebooks and write them back: ``python -m notebooks.execute [NAME ...]``.

What depends on the machine or the moment (times, versions, metadata) is left out, so that a
second execution changes the file only where a result changed.
"""

from __future__ import annotations

import argparse
import base64
import io
import os
from collections.abc import Sequence
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbformat import NotebookNode
from PIL import Image, ImageChops, ImageStat

FOLDER = Path(__file__).parent
# Seconds that one cell may take; the longest, a meta-training, takes two minutes on a free machine.
TIMEOUT = 1800


def notebooks() -> list[Path]:
    """Return the notebooks of this folder, in order."""
    return sorted(FOLDER.glob("[0-9]*.ipynb"))


def execute(path: Path) -> NotebookNode:
    """Return the notebook with the outputs of a run in a fresh kernel, started in its own folder.

    Parameters
    ----------
    path : Path
        The file, which is not changed.

    Raises
    ------
    nbclient.exceptions.CellExecutionError
        A cell raised; the message has its source and traceback.
    """
    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(
        notebook,
        timeout=TIMEOUT,
        kernel_name="python3",
        record_timing=False,
        # How many pieces a text comes in is chance.
        coalesce_streams=True,
        # Of the kernel's own opinions none belongs among what a test or a build prints.
        extra_arguments=["--IPKernelApp.log_level=ERROR"],
        resources={"metadata": {"path": str(path.parent)}},
    )
    client.execute()
    return without_circumstances(notebook)


def without_circumstances(notebook: NotebookNode) -> NotebookNode:
    """Return the notebook without metadata of the machine it ran on; its cells are changed in place."""
    notebook.metadata = nbformat.from_dict(
        {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
        }
    )
    for cell in notebook.cells:
        cell.metadata = nbformat.from_dict({})
        for output in cell.get("outputs", []):
            output.pop("transient", None)
            if "metadata" in output:
                output.metadata = nbformat.from_dict({})
            if "image/png" in output.get("data", {}):
                output.data["image/png"] = with_palette(output.data["image/png"])
    return notebook


def with_palette(png: str) -> str:
    """Return a PNG, base64, in 256 colours if these do: a third of the size.

    They do if the colours are off by less than one of 255 levels on average.
    """
    image = Image.open(io.BytesIO(base64.b64decode(png))).convert("RGB")
    fewer = image.quantize(256, dither=Image.Dither.NONE)
    if max(ImageStat.Stat(ImageChops.difference(image, fewer.convert("RGB"))).mean) >= 1:
        return png
    smaller = io.BytesIO()
    fewer.save(smaller, "png", optimize=True)
    return base64.b64encode(smaller.getvalue()).decode()


def main(arguments: Sequence[str] | None = None) -> None:
    """Execute the notebooks named, by default all, and write each back when it is done."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="files; default: all")
    names = parser.parse_args(arguments).names
    # What is committed was made on the backend that everyone has.
    os.environ.setdefault("TAICHISOFT_BACKEND", "cpu")
    for path in map(Path, names) if names else notebooks():
        nbformat.write(execute(path), path)
        print(f"{path.name}: {path.stat().st_size / 1000:.0f} kB", flush=True)


if __name__ == "__main__":
    main()
