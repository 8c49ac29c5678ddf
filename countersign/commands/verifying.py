"""Offer what an auditor does with an exported log: verify it, without a network and without trusting who wrote it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from countersign.commands.common import Ended, Json, put_json, say

NOT_CHECKED = 2
NO_KEY = (
    "which key? Give --key: the log's public key (NAME+ID+BASE64, or @FILE) as you were given it from outside the "
    "export; the one that the export names itself proves little (--trust-exported-key)"
)


def command(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The exported log.")],
    *,
    key: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY", help="The log's public key, NAME+ID+BASE64, or @FILE; not from the export."),
    ] = None,
    witness: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="What others kept: checkpoints, receipts, chat lines; as often as you like."),
    ] = None,
    trust_exported_key: Annotated[
        bool, typer.Option("--trust-exported-key", help="Take the key that the export names: proves little.")
    ] = False,
    everything: Annotated[bool, typer.Option("--all", help="Do not stop at the first bad line.")] = False,
    against: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Another export of the log: say where the two part.")
    ] = None,
    report: Annotated[Path | None, typer.Option(metavar="FILE", help="Write a report in Markdown, too.")] = None,
    json_: Json = False,
) -> None:
    """Verify an exported log: bytes, chains, signatures, receipts, and every decision once more under its policy.

    Exit codes: 0 it is whole, 1 it is not, 2 it could not be checked (no key), 3 there is no export to check.
    """
    if not key and not trust_exported_key:
        put_json({"whole": None, "why": NO_KEY}) if json_ else say(NO_KEY)
        raise Ended(NOT_CHECKED)
    from countersign.commands.verified import Asked, run  # noqa: PLC0415 a caller's command must not load the rules

    run(Asked(folder, key or [], witness or [], trust_exported_key, everything, against, report, json_))
