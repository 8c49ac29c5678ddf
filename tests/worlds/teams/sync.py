"""The same tenant for synchronous tests: it runs on a loop in a thread of its own."""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from tests.worlds.background import Background
from tests.worlds.teams.faults import Faults
from tests.worlds.teams.issuer import Issuer
from tests.worlds.teams.limits import Limits
from tests.worlds.teams.tokens import Tokens
from tests.worlds.teams.world import TeamsWorld


class Teams:
    """Every name of TeamsWorld, callable from the test's thread and without await."""

    def __init__(self, world: TeamsWorld, background: Background) -> None:
        self._world, self._background = world, background
        self.clock: Any = world.clock
        self.faults: Faults = _Proxy(world.faults, self._on_loop)  # type: ignore[assignment]
        self.issuer: Issuer = _Proxy(world.issuer, self._on_loop)  # type: ignore[assignment]
        self.tokens: Tokens = _Proxy(world.tokens, self._on_loop)  # type: ignore[assignment]
        self.limits: Limits = _Proxy(world.limits, self._on_loop)  # type: ignore[assignment]

    def __getattr__(self, name: str) -> Any:
        return _carried(self._world, name, self._on_loop)

    def _on_loop(self, run: Callable[[], Any]) -> Any:
        """Run this on the world's loop and return what it returns; a coroutine is awaited there."""
        if threading.current_thread() is self._background._thread:  # a predicate of `until` asks from inside
            return run()

        async def carry() -> Any:
            result = run()
            return await result if inspect.isawaitable(result) else result

        return self._background.run(carry(), timeout=60)


class _Proxy:
    def __init__(self, inner: Any, on_loop: Callable[[Callable[[], Any]], Any]) -> None:
        self.__dict__.update(_inner=inner, _on_loop=on_loop)

    def __getattr__(self, name: str) -> Any:
        return _carried(self._inner, name, self._on_loop)

    def __setattr__(self, name: str, value: Any) -> None:
        self._on_loop(lambda: setattr(self._inner, name, value))


def _carried(inner: Any, name: str, on_loop: Callable[[Callable[[], Any]], Any]) -> Any:
    value = getattr(inner, name)
    if not callable(value):
        return value
    return lambda *args, **named: on_loop(lambda: value(*args, **named))


@contextmanager
def running_teams(**options: Any) -> Iterator[Teams]:
    """Run a tenant in a thread; options as for `TeamsWorld.open`."""
    background = Background("teams world")
    opened = TeamsWorld.open(**options)
    world = background.run(opened.__aenter__())

    async def leave() -> None:
        await opened.__aexit__(None, None, None)

    try:
        yield Teams(world, background)
    finally:
        background.close(leave)
