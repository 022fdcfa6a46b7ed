"""Aggregation: how the coverages of all faces at a pixel become its alpha."""

from taichisoft.softness.aggregation.members import *  # noqa: F403
