"""Let `python -m countersign` be the `countersign` command."""

from countersign.starting import main

main()
