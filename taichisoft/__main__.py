"""What ``python -m taichisoft`` runs: the command line of `taichisoft.cli`."""

import sys

from taichisoft.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
