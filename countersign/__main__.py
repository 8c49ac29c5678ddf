"""Let `python -m countersign` be the `countersign` command."""

from countersign.cli import main

main()
