"""`countersign policy`: check the files, explain a ruling, and try changes before they count.

Each command stands in its own module (`policy_check`, `policy_explain`, …) and is registered here, so that this file
stays a table of contents.
"""

from __future__ import annotations

import typer

from countersign.ops import policy_check, policy_explain, simulate, suggest

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
app.command("check")(policy_check.command)
app.command("explain")(policy_explain.command)
app.command("simulate")(simulate.command)
app.command("suggest")(suggest.command)
