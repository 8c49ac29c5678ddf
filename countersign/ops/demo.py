"""`countersign demo`: everything on this machine, with a local AWS that enforces IAM; `--once` plays it by itself.

First it says what it checked, then where to look and what to paste, then what happens, line by line, until Ctrl-C.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from countersign.address import harmless
from countersign.commands.common import Ended
from countersign.ops.connect import open_store
from countersign.ops.fittings import BEHIND, agent_line, table_line
from countersign.ops.folder import DEFAULT
from countersign.ops.following import follow
from countersign.ops.ground import Ground, NotStaged, open_ground
from countersign.ops.ministack import NotEnforced, check_enforced
from countersign.ops.scenes import play
from countersign.ops.staging import Stage, open_stage
from workers.config import load

if TYPE_CHECKING:
    from countersign.ops.slackdemo import Wish

DEFAULT_PORT = 8080
INVITATION = """
  open     {console}
  paste    into a second terminal (an agent that reads a report twice a second):

{agent}

  then     as dana, the human behind the agent, try to approve: you are told why not
           as robin, approve: the agent reads, is refused what was not granted, and you can revoke it
  and      the same line with `--ttl 10s`, and while that credential lives:  kill -9 {worker} {clock}
           (worker and clock); it ends all the same, and is proven ended when they are back
  and      the same line with ` --astray` at its end: it does what an intruder would, and monitoring ends it
  or       a table of PostgreSQL: approve, `TABLE customers;`, then revoke, and the open connection is cut:

{table}

{slack}  stop     Ctrl-C; the state stays in {state}
"""
IN_SLACK = """\
  slack    each ask is a card in #{room}, where {people} may approve; try /countersign help, too
"""


def command(
    *,
    once: Annotated[bool, typer.Option("--once", help="Play every scene, check each, and stop.")] = False,
    state: Annotated[Path, typer.Option("--state", metavar="DIR", help="Where everything is kept.")] = DEFAULT,
    port: Annotated[
        int | None, typer.Option("--port", min=0, max=65535, help=f"Where the console is. Default: {DEFAULT_PORT}.")
    ] = None,
    slack: Annotated[
        bool, typer.Option("--slack", help="Also in your Slack, by Socket Mode: see docs/slack.md.")
    ] = False,
    slack_channel: Annotated[
        str | None, typer.Option("--slack-channel", metavar="C…", help="Its channel. Default: the one the app is in.")
    ] = None,
    slack_as: Annotated[
        list[str] | None,
        typer.Option("--slack-as", metavar="NAME=U…", help="Who plays whom. Default: the people in the channel."),
    ] = None,
    aws_enforce: Annotated[
        bool, typer.Option("--aws-enforce/--dangerously-let-aws-allow-everything", hidden=True)
    ] = True,
) -> None:
    """Run everything on this machine, with a local AWS; nothing leaves it but, with --slack, the cards."""
    wished = _wish(slack_channel, slack_as or []) if slack or slack_channel or slack_as else None
    if once and wished:
        raise NotStaged("--once plays the people itself, and cannot click in Slack: leave one of the two out")
    signal.signal(signal.SIGTERM, _interrupt)  # until the loop runs, both mean: stop what has been started, in order
    if once:
        raise Ended(play(state, port or 0, say, enforce_iam=aws_enforce))
    with contextlib.suppress(KeyboardInterrupt):
        with open_ground(state, DEFAULT_PORT if port is None else port, say, enforce_iam=aws_enforce) as ground:
            say(asyncio.run(checked(ground)))
            asyncio.run(_show(ground, wished))
        say("stopped; `countersign demo` goes on from here")


async def checked(ground: Ground) -> str:
    """Return what the store and AWS were seen to do. Raises NotStaged where IAM lets everything through."""
    async with open_store(load({"COUNTERSIGN_REDIS_URL": ground.redis_url})):
        pass  # it opens only where the append-only file is on, and nothing is evicted
    try:
        words = check_enforced(ground.aws.endpoint, ground.prepared)
    except NotEnforced as error:
        raise NotStaged(f"{error}. Nothing shown here would mean anything, so the demo does not begin") from error
    return f"store: AOF on · aws: IAM enforced, PutObject outside the grant refused\n        (AWS's words: {words})"


def say(text: str) -> None:
    """Print at once: a demo is watched as it runs."""
    for line in text.splitlines():
        sys.stdout.write(f"{harmless(line)}\n")
    sys.stdout.flush()


def _wish(channel: str | None, players: Sequence[str]) -> Wish:
    from countersign.ops import slackdemo  # noqa: PLC0415 loads Slack's SDK: only where it is asked for

    return slackdemo.wish(os.environ, channel, players)


async def _show(ground: Ground, slack: Wish | None) -> None:
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    began = time.monotonic()
    starting = asyncio.create_task(_run(ground, began, slack))
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait([starting, stopping], return_when=asyncio.FIRST_COMPLETED)
    starting.cancel()
    stopping.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await starting


async def _run(ground: Ground, began: float, slack: Wish | None) -> None:
    async with open_stage(ground, say, lambda text: say(f"{_now()}        {text}"), slack) as stage:
        say(f"ready, {time.monotonic() - began:.1f} s")
        say(_invitation(stage))
        async for line in follow(stage.store, await stage.store.log.size()):
            say(line)


def _invitation(stage: Stage) -> str:
    children = stage.supervisor.children
    people = [name for name in stage.cast.players if f"user:{name}" != BEHIND] if stage.cast else []
    return INVITATION.format(
        console=f"{stage.ground.base_url}/console/",
        agent=agent_line(stage.ground),
        table=table_line(stage.ground),
        worker=children["worker"].pid,
        clock=children["clock"].pid,
        slack=IN_SLACK.format(room=stage.cast.room, people=" or ".join(people) or "nobody") if stage.cast else "",
        state=stage.ground.folder.path,
    )


def _now() -> str:
    return time.strftime("%H:%M:%S", time.gmtime())


def _interrupt(_number: int, _frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt
