"""Use break-glass in the contract suite: the same policy and the same ask for every surface."""

from __future__ import annotations

from bot.deps import Deps
from tests.bot.slack.town import person
from tests.worlds import glass, samples
from workers.policies import apply


async def take(deps: Deps) -> str:
    """Apply a policy that has break-glass for dana, let her use it, and return the request's id."""
    await apply(deps.store.records, policy=glass.POLICY, roster=None, by="ops", why="so that it can be used")
    await deps.policies.refresh()
    return (await deps.desk.submit(person("dana"), samples.action(**glass.ASK), "glass")).request.id
