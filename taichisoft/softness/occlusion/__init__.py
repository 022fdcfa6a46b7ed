"""Occlusion: how much a face behind the nearest one still contributes to the colour of a pixel."""

from taichisoft.softness.occlusion.members import *  # noqa: F403
