"""The command line ``python -m meta.report``."""

from __future__ import annotations

import sys

from meta.report.command import main

if __name__ == "__main__":
    sys.exit(main())
