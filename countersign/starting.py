"""Start the `countersign` command: at once for an AWS SDK's helper, with the whole command line for everything else."""

from __future__ import annotations

import importlib
import sys

from countersign import helper


def main() -> None:
    """Run what was typed and exit with its code."""
    if sys.argv[1:2] == [helper.COMMAND] and (code := helper.main(sys.argv[2:])) is not None:
        sys.exit(code)
    importlib.import_module("countersign.cli").main()
