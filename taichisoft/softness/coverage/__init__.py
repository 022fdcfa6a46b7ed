"""Coverage: how the signed distance of a pixel to a triangle becomes a number in [0, 1]."""

from taichisoft.softness.coverage.members import *  # noqa: F403
from taichisoft.softness.coverage.support import Support as Support
