"""Have a change of the files approved by the people whom `[apply]` names, through Countersign itself."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from approvers.applying import NeedsApproval, ask
from approvers.audit import By
from approvers.request import Request, RequestState, told
from bot.deps import make_desk
from bot.desk import Desk
from bot.directory import Directory
from bot.identity import Identity
from bot.reading import Reader
from countersign.commands.common import say
from countersign.errors import OTHER
from countersign.ops.policy_files import NotApplied
from workers.policies import Policies
from workers.stores.port import Store

TRIES = 20
"""How many asks for one and the same change may have ended before; each has an Idempotency-Key of its own."""
EXIT_CODES = {RequestState.DENIED: 3, RequestState.EXPIRED: 4, RequestState.CANCELLED: 5}
LOOK_AGAIN = timedelta(seconds=20)


@dataclass(frozen=True)
class Approval:
    """What is to be approved: by whom it is applied, why, what is bound, and who wants it approved."""

    by: str
    why: str
    what: Mapping[str, Any]
    needed: NeedsApproval


@dataclass(frozen=True)
class Asked:
    """How the ask stands: the id of an approval to use, or words and an exit code."""

    words: str
    code: int = OTHER
    use: str | None = None


async def second_yes(store: Store, wanted: Approval, *, wait: bool) -> Asked:
    """Return the approval of this change, or ask for it; with `wait`, until people have answered.

    Raises:
        NotApplied: whoever applies is nobody whom the roster in force knows.
    """
    policies, reader = Policies(store.records, store.signals), Reader(store)
    await policies.refresh()
    desk = make_desk(store, policies, reader, Directory(policies))
    name = wanted.by.removeprefix("user:")
    if name not in policies.current.roster.persons:
        raise NotApplied(f"{wanted.needed.detail} {name!r} is no person of countersign.toml in force: say --by NAME")
    if not wanted.why:
        raise NotApplied("who has to approve this will want to know why: --why '…'")
    view = await reader.look((await _filed(desk, f"user:{name}", wanted.what)).id)
    while wait and (found := view.request).state is RequestState.PENDING:
        say(f"{found.handle}: waiting for {_needs(found)}, until {found.expires_at:%H:%M:%S} UTC")
        view = await reader.wait(found.id, after=view.version, timeout=LOOK_AGAIN)  # its receipt is not waited for
    return _standing(view.request, wanted)


async def _filed(desk: Desk, by: str, what: Mapping[str, Any]) -> Request:
    """Return the ask for this change as it stands: the newest that has not ended, else a new one."""
    action, who = ask(by, what), Identity(by, frozenset({"request"}), By(by, "operator", by), "command")
    digest = hashlib.sha256(action.resource.encode()).hexdigest()
    for number in range(TRIES):
        found = (await desk.submit(who, action, f"apply-{digest}-{number}")).request
        if found.consumed_at is None and found.state not in (RequestState.EXPIRED, RequestState.CANCELLED):
            break
    return found


def _standing(found: Request, wanted: Approval) -> Asked:
    if found.state is RequestState.APPROVED:
        return Asked(f"{found.handle} is approved", use=found.id)
    if found.state is RequestState.PENDING:
        return Asked(
            f"{wanted.needed.detail} Asked as {found.handle} ({found.id}), {_needs(found)}. Nothing is applied yet: "
            "run the same command again once it is approved, or with --wait."
        )
    said = next((f": {one.reason}" for one in found.reviews if one.verdict == "deny" and one.reason), "")
    return Asked(f"not applied: {found.handle} is {told(found)}{said}", EXIT_CODES.get(found.state, OTHER))


def _needs(request: Request) -> str:
    return "needs " + " and ".join(f"{count} of {group}" for group, count in sorted(request.ruling.seats.items()))
