"""Run the `thredfi` command: `python -m thredfi_async`."""

import sys

from thredfi_async.cli import main

if __name__ == "__main__":
    sys.exit(main())
