"""What is learned, and of which problems, as objects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from meta.learning.method import Method
from tasks import TaskFamily


@dataclass(frozen=True, eq=False)
class Subject:
    """What is learned, and of which problems.

    Parameters
    ----------
    method : Method
        Softness and rate, which change; what requires a gradient is learned.
    families : sequence of (sequence of TaskFamily)
        The families, always the same, at each image size of the settings.
    """

    method: Method
    families: Sequence[Sequence[TaskFamily]]
