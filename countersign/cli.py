"""Be the `countersign` command: callers' commands here, operators' commands loaded only when one is asked for.

A caller's machine has none of the server's libraries, and `run` must start fast: so nothing of `countersign.ops` is
imported before its name was typed. Exit codes are the contract: `main` is the one place that turns errors into them.
"""

from __future__ import annotations

import errno
import importlib
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any

import typer

from approvers.errors import CountersignError
from countersign.commands import asking, evidence, granted, receipts, reviewing, stopping, verifying
from countersign.commands.common import Ended, as_json, explain, not_built, put_json, say
from countersign.errors import OTHER, exit_code_of
from countersign.run import BEFORE_COMMAND

OPERATORS = {
    "demo": "Run everything on this machine, with a local AWS.",
    "apply": "Check and apply countersign.toml and policy.toml.",
    "policy": "Check and explain policy, and try a change before it counts.",
    "keys": "Make, list and revoke API keys.",
    "aws": "Print Terraform or CloudFormation for the accounts of a roster.",
    "doctor": "Check what the processes need, and say what is missing.",
    "console": "Make a sign-in link for the console.",
    "slack": "Print the Slack app's manifest.",
    "teams": "Package the Teams app.",
}
AUDIT = {
    "export": "Write the whole log to a folder or a locked bucket.",
    "stream": "Write the log's records to stdout, one line each.",
    "anchor": "Put the newest signed checkpoint where nobody here can change it.",
    "erase": "Forget what somebody typed; the records stay whole.",
    "truncate": "Take old records out, behind an export that holds them.",
}
"""What operators do below `audit`; callers' and auditors' commands below it need none of the server's libraries."""
CHECKS = (["receipt", "verify"], ["audit", "verify"])
"""Commands whose exit code tells "not good" (1) from "not checked" (2), a wrong option included."""
ANYTHING = {"allow_extra_args": True, "ignore_unknown_options": True}
INTERRUPTED = 130
"""What typer returns for Ctrl-C; COMMAND's own code comes as `Ended`, so the two cannot be mistaken."""


def build(asked: str | None = None, below: str | None = None) -> typer.Typer:
    """Return the command line, with the operator command `asked` loaded and the others as names with their help.

    `below` is the word after `audit`, where it is known: only an operator's one loads what operators need.
    """
    app = typer.Typer(
        name="countersign",
        help="The second signature on what agents and pipelines do.",
        add_completion=False,
        rich_markup_mode=None,
    )
    for function in (asking.run, asking.request, asking.wait, granted.grants, granted.release, stopping.revoke):
        app.command()(function)
    app.command("credential-process")(granted.credential_process)
    app.command()(stopping.freeze)
    app.command("after-review")(reviewing.after_review)
    app.add_typer(_audit(loaded=asked == "audit" and (below is None or below in AUDIT)), name="audit")
    app.add_typer(receipts.app, name="receipt")
    app.add_typer(evidence.report, name="report")
    for name, words in OPERATORS.items():
        _add_operator(app, name, words, loaded=name == asked)
    return app


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line and exit with its code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    asked, below = ([word for word in arguments if not word.startswith("-")] + ["", ""])[:2]
    before = BEFORE_COMMAND if asked == "run" else 0
    sys.exit(_code(arguments or ["--help"], asked, below, before))


def _code(arguments: list[str], asked: str, below: str, before: int) -> int:
    try:
        return _ran(arguments, asked, below, before)
    except SystemExit as ended:
        if ended.code != OTHER:  # which is the library's own end where nobody reads on
            raise
        return before + _otherwise(arguments)
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is left would fail again at the end
        say("no space left where stdout goes, or for temporary files (TMPDIR): what was printed is not all")
        return before + _otherwise(arguments)


def _ran(arguments: list[str], asked: str, below: str, before: int) -> int:
    try:
        command: Callable[..., Any] = typer.main.get_command(build(asked, below))
        returned = command(arguments, prog_name="countersign", standalone_mode=False)
        if returned == INTERRUPTED:
            raise KeyboardInterrupt
        return returned if isinstance(returned, int) else 0
    except Ended as ended:
        return ended.code
    except CountersignError as error:
        put_json(as_json(error)) if "--json" in arguments and not before else say(explain(error))
        return before + exit_code_of(error)
    except typer.TyperException as error:
        say(f"{error.format_message()} (see `{_path(asked)} --help`)")
        return before + _otherwise(arguments)
    except (KeyboardInterrupt, typer.Abort):
        say("interrupted")
        return before + OTHER


def _otherwise(arguments: list[str]) -> int:
    """Return the exit code of a command that came to no answer: of a check it must not be that of a bad one."""
    asked_for = [word for word in arguments if not word.startswith("-")][:2]
    return receipts.NOT_CHECKED if asked_for in CHECKS else OTHER


def _path(asked: str) -> str:
    known = {info.name or getattr(info.callback, "__name__", "") for info in build().registered_commands}
    return f"countersign {asked}" if asked in known | {"audit", "receipt"} else "countersign"


def _audit(*, loaded: bool) -> typer.Typer:
    """Return the commands below `audit`; those of operators as names with their help, unless `loaded`."""
    audit = typer.Typer(help="Show, export and verify the records.", rich_markup_mode=None)
    audit.command()(evidence.show)
    audit.command()(evidence.search)
    audit.command("verify")(verifying.command)
    if loaded:
        audit.registered_commands += _load("audit").app.registered_commands
        return audit
    for name, words in AUDIT.items():
        audit.command(name, help=words, context_settings=ANYTHING)(_refusal(f"audit {name}"))
    return audit


def _refusal(name: str) -> Callable[[], None]:
    def refuse() -> None:
        not_built(name)

    return refuse


def _add_operator(app: typer.Typer, name: str, words: str, *, loaded: bool) -> None:
    """Add the module's `app` (commands below a name) or `command`; unloaded, only its name and help."""
    if not loaded:
        app.command(name, help=words, context_settings=ANYTHING)(_refusal(name))
        return
    module = _load(name)
    below = getattr(module, "app", None)
    if isinstance(below, typer.Typer):
        app.add_typer(below, name=name, help=words)
    else:
        app.command(name, help=words)(module.command)


def _load(name: str) -> Any:
    path = f"countersign.ops.{name}"
    try:
        return importlib.import_module(path)
    except ModuleNotFoundError as error:
        if error.name == path:
            not_built(name)
        raise CountersignError(
            f"`countersign {name}` needs {error.name}, which is not installed here: "
            "pip install 'countersign[server,aws,demo]'"
        ) from error
