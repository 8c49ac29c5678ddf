"""Play the demo's scenes one after the other, on real processes, and check that each is as told (`story`).

Then everything is stopped, started again on the same state, and must be found there.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

from countersign.ops.cast import Callers, NotAsTold
from countersign.ops.endings import Endings
from countersign.ops.ground import Ground, Step, open_ground
from countersign.ops.ministack import check_enforced
from countersign.ops.player import Player
from countersign.ops.showing import Evidence
from countersign.ops.staging import open_stage
from countersign.ops.story import Story
from countersign.ops.tables import Tables

Scene = Callable[[], Awaitable[str]]
INDENT = " " * 15
CHECKED = "store: AOF on · aws: IAM enforced, PutObject outside the grant refused"


class Play:
    """Count and time the scenes."""

    def __init__(self, say: Step) -> None:
        """Take where to print."""
        self._say, self._began = say, time.monotonic()
        self.played, self.failed = 0, 0

    async def scene(self, name: str, scene: Scene) -> None:
        """Play one scene and print how it went."""
        began = time.monotonic()
        self.played += 1
        try:
            verdict, words = "ok  ", await scene()
        except Exception as error:  # whatever goes wrong in a scene, the scene is not as told
            self.failed += 1
            verdict, words = "FAIL", f"{'' if isinstance(error, NotAsTold) else f'{type(error).__name__}: '}{error}"
        self._say(f"{verdict} {time.monotonic() - began:5.1f} s  {name}")
        for line in words.splitlines():
            self._say(f"{INDENT}{line}")

    def end(self) -> int:
        """Print the sum and return the exit code."""
        took = f"{time.monotonic() - self._began:.1f} s"
        if self.failed:
            self._say(f"\n{self.failed} of {self.played} scenes were not as told ({took})")
            return 1
        self._say(f"\nall {self.played} scenes were as told ({took})")
        return 0


def play(state: Path, port: int, say: Step, *, enforce_iam: bool = True) -> int:
    """Play everything: once through, then stop, start again on the same state, and see that it is found."""
    whole = Play(say)
    with open_ground(state, port, say, enforce_iam=enforce_iam) as ground:
        story = asyncio.run(_first(ground, whole, say))
    say("\nstarting again on the same state …")
    with open_ground(state, port, say, enforce_iam=enforce_iam) as ground:
        asyncio.run(_second(ground, whole, say, story))
    return whole.end()


async def _first(ground: Ground, whole: Play, say: Step) -> Story:
    await whole.scene(
        "store: AOF on · aws: IAM enforced, PutObject outside the grant refused", lambda: _enforced(ground)
    )
    failed = whole.failed
    async with open_stage(ground, say, say) as stage, Callers(stage) as callers, AsyncExitStack() as held:
        player = Player(stage, callers)
        story, endings = Story(player), Endings(player)
        early = (
            *story.beginning(),
            *endings.before_the_wait(),
            *story.middle(),
        )  # monitoring looks after half a minute
        late = (*endings.scenes(), *Tables(player, held).scenes(), *endings.after_the_wait())
        last = (*Evidence(player).scenes(), *story.last())
        for name, scene in (*early, *late, *last):
            await whole.scene(name, scene)
        if whole.failed > failed:
            for child in stage.supervisor.children.values():
                say(f"\nthe end of {child.log}:\n{child.tail()}")
    return story


async def _second(ground: Ground, whole: Play, say: Step, story: Story) -> None:
    async with open_stage(ground, say, say) as stage, Callers(stage) as callers:
        await whole.scene("a second start on the same state finds it", lambda: story.found_again(stage, callers))


async def _enforced(ground: Ground) -> str:
    return f"AWS: {await asyncio.to_thread(check_enforced, ground.aws.endpoint, ground.prepared)}"
