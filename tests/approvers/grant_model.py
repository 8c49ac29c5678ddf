"""Walk every interleaving of one grant's life: two workers, a clock, a person, a late cloud, crashes, and time.

The grant is moved by the product's own functions and table; the world around it is a few fields. Time goes in ticks of
ten minutes: a lease is one tick, a session two, the TTL one or two. A process may stand still between any two steps,
for as long as it likes. Calls to the cloud are done and answered, done without an answer, applied up to a tick late (a
signature is good for five minutes), or never sent.

The right rules are those of `workers` and `approvers.proving`: MINTING is on record first; the cloud's clock is read
after that, and past `mint_not_after` nothing is minted; a Deny by grant id ends a grant early; it is removed at
`collect_at`. Not in here: providers made of commands, which cannot end what does not exist yet (`may_be_minting`), and
clocks that differ, for which `mint_not_after` and `collect_at` leave room that is less than a tick.

The store is what `workers` makes of it: every commit of an attempt needs its claim, a person's commit takes the claim
away, and what is due is leased again when the lease is over. Nothing here commits in any other way.
"""

from __future__ import annotations

import functools
from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Literal

from approvers import grant as grants
from approvers.errors import IllegalTransition
from approvers.grant import Grant, GrantState, Plan, Proof, ProofKind
from approvers.proving import mint_not_after, proof_wanted, prove_at, revoke_wanted

S = GrantState
TICK = timedelta(minutes=10)
EPOCH = datetime(2026, 11, 20, 10, 0, tzinfo=UTC)
LEASE, SESSION, LATE = 1, 2, 1
MINT_BY = 1
LAST = 6
"""By then everything has expired that was ever issued; time stands still."""
Call = Literal["assume", "deny", "undeny"]
SPEAKS = frozenset({"stamp", "assume", "deny", "undeny"})
NOBODY = ("", False, False, 0, 0)


@dataclass(frozen=True)
class Rules:
    """The order of things; all but the defaults are wrong."""

    record_first: bool = True
    revoke_by: Literal["grant id", "issue time"] = "grant id"
    keep_deny: bool = True
    stamp_in_time: bool = True
    """Whether a mint is given up that reads the cloud's clock past `mint_not_after`."""
    ttl: int = 1
    ends_early: bool = True


@dataclass(frozen=True)
class Session:
    """A credential at the cloud: usable through tick `ttl_end`, gone after `expires`."""

    ttl_end: int
    expires: int
    issued: int


@dataclass(frozen=True)
class Worker:
    """An attempt: what it does next, whether the claim is still its own, and what it carries."""

    does: str
    holds: bool = True
    carries: Session | None = None
    denied: bool = False
    stamp: int = 0
    """When it was claimed; once the mint has read it, what the cloud's clock showed."""


class Held:
    """A stored grant. Equal grants are one object (`_held`), so that comparing worlds is quick."""

    def __init__(self, grant: Grant) -> None:
        self.grant = grant


@dataclass(frozen=True)
class World:
    """One state of everything. `due` is None where nothing is to be done."""

    held: Held
    due: int | None = 0
    tick: int = 0
    workers: tuple[Worker | None, ...] = (None, None)
    late: tuple[tuple[Call, int, int], ...] = ()
    """Calls under way, each with the tick at which it was sent, and its stamp."""
    sessions: tuple[Session, ...] = ()
    denied_at: int | None = None
    troubles: int = 1
    """How many crashes and calls gone wrong are still to come."""
    revokes: int = 1

    @property
    def grant(self) -> Grant:
        """Return the grant as stored."""
        return self.held.grant

    def dead(self, session: Session, rules: Rules) -> bool:
        """Tell whether the cloud refuses this session now."""
        by_deny = self.denied_at is not None and (rules.revoke_by == "grant id" or session.issued <= self.denied_at)
        return by_deny or self.tick > session.ttl_end

    def living(self, rules: Rules) -> tuple[Session, ...]:
        """Return the sessions that the cloud would let through now."""
        return tuple(one for one in self.sessions if not self.dead(one, rules))

    @property
    def at_rest(self) -> bool:
        """Tell whether nothing is left to be done, by anybody."""
        over = self.grant.state in (S.REVOKED, S.FAILED) and self.denied_at is None
        return over and self.due is None and not self.late and not any(self.workers)


@dataclass
class Found:
    """What the walk saw: how many states, and the ways to what must not be."""

    states: int = 0
    moves: int = 0
    rests: Counter[str] = field(default_factory=Counter)
    wrong: dict[str, list[str]] = field(default_factory=dict)
    """The shortest way to each thing that must not be."""


def walk(rules: Rules, troubles: int = 1, *, until_wrong: bool = False) -> Found:
    """Visit every reachable state, breadth first; `until_wrong` stops at the first that must not be."""
    start = World(_held(_fresh(rules)), troubles=troubles)
    came: dict[World, tuple[World, str] | None] = {start: None}
    back: dict[World, list[World]] = {}
    found, queue = Found(), deque([start])
    while queue:
        world = queue.popleft()
        for wrong in _wrongs(world, rules):
            found.wrong.setdefault(wrong, _way(came, world))
        if until_wrong and found.wrong:
            break
        for label, after in _moves(world, rules):
            found.moves += 1
            back.setdefault(after, []).append(world)
            if after not in came:
                came[after] = (world, label)
                queue.append(after)
    found.states = len(came)
    rests = [world for world in came if world.at_rest]
    found.rests.update(_rest(world) for world in rests)
    for world in () if found.wrong else came.keys() - _leading_to(rests, back):
        found.wrong.setdefault("there is no way out", _way(came, world))
        break
    return found


def _leading_to(rests: list[World], back: dict[World, list[World]]) -> set[World]:
    seen, queue = set(rests), deque(rests)
    while queue:
        for before in back.get(queue.popleft(), ()):
            if before not in seen:
                seen.add(before)
                queue.append(before)
    return seen


def _wrongs(world: World, rules: Rules) -> Iterator[str]:
    state, living = world.grant.state, world.living(rules)
    if living and state in (S.REVOKED, S.FAILED):
        yield f"a credential is alive and its grant is {state}"
    if len(living) > 1:
        yield "two credentials are alive"
    if state is S.REVOKED and world.grant.proof is None:
        yield "REVOKED without proof"
    if any(world.tick > one.ttl_end for one in living):
        yield "a credential is alive past its end"


def _moves(world: World, rules: Rules) -> Iterator[tuple[str, World]]:
    """Yield whatever can happen next."""
    if world.tick < LAST:
        lost = tuple(one for one in world.late if world.tick + 1 - one[1] <= LATE)
        yield "time passes", replace(world, tick=world.tick + 1, late=lost)
    for place, call in enumerate(world.late):
        rest = world.late[:place] + world.late[place + 1 :]
        yield f"the late {call[0]} arrives", _apply(replace(world, late=rest), call[0], call[2], rules)
    if world.revokes and world.grant.state in (S.PENDING, S.MINTING, S.ACTIVE):
        ended = _end(world.grant, "revoke", world.tick)
        yield "a person revokes", _commit(replace(world, revokes=world.revokes - 1), ended, None, rules)
    if world.grant.collected_at and world.denied_at is not None and _late_enough(world):
        yield "the reconciler removes a stray Deny", replace(world, denied_at=None)
    if world.due is not None and world.due <= world.tick and None in world.workers:
        yield "the clock hands it on", _hand_on(world)
    for place, worker in enumerate(world.workers):
        if worker is not None:
            if world.troubles:
                less = replace(world, troubles=world.troubles - 1)
                yield f"worker {place} crashes at {worker.does}", _free(less, place)
            for label, after in _work(world, place, worker, rules):
                yield f"worker {place}: {label}", after


def _hand_on(world: World) -> World:
    place = world.workers.index(None)
    others = [replace(one, holds=False) if one else None for one in world.workers]
    others[place] = Worker("look")
    return replace(world, due=min(LAST, world.tick + LEASE), workers=_sorted(others))


def _work(world: World, place: int, worker: Worker, rules: Rules) -> Iterator[tuple[str, World]]:  # noqa: C901 a table
    """Yield what an attempt may do next."""
    then = functools.partial(_then, world, place, worker)
    finish = functools.partial(_finish, world, place, worker, rules)
    match worker.does:
        case "look":
            yield from _look(world, place, worker, rules)
        case "stamp" if rules.stamp_in_time and _at(world.tick) > _mint_not_after(worker.stamp):
            yield "comes too late to mint", then("say not sent")
        case "stamp":
            yield "reads the cloud's clock", then("assume", stamp=world.tick)
        case "assume":
            yield from _call(world, then, worker.stamp, "assume", ("deliver", "say unknown", "say not sent"), rules)
        case "deny":
            yield from _call(world, then, 0, "deny", ("verify", "say failed", "say failed"), rules)
        case "undeny":
            yield from _call(world, then, 0, "undeny", ("say collected", "", ""), rules)
        case "verify":
            proven = _proven(world, rules)
            yield f"verifies: {proven}", then("say proven" if proven else "say failed", denied=worker.denied)
        case "deliver":
            assert worker.carries
            yield "delivers", finish(lambda one: _minted(one, world.tick, worker.carries))
        case "say unknown":
            yield "does not know", finish(lambda one: _end(one, "outcome_unknown", world.tick))
        case "say not sent":
            yield "has not sent", finish(_not_sent)
        case "say failed":
            yield "failed", finish(lambda one: _failed(one, worker.denied))
        case "say proven":
            yield "proven", finish(lambda one: _prove(one, world.tick, worker.denied))
        case "say collected":
            yield "collected", finish(lambda one: grants.collected(one, _at(world.tick)))


def _look(world: World, place: int, worker: Worker, rules: Rules) -> Iterator[tuple[str, World]]:
    grant, then = world.grant, functools.partial(_then, world, place, worker)
    finish = functools.partial(_finish, world, place, worker, rules)
    match grant.state:
        case S.PENDING if world.tick >= MINT_BY:
            yield "comes too late", finish(lambda one: grants.overtaken(one, "model"))
        case S.PENDING if not rules.record_first:
            yield "mints before it records", then("stamp", stamp=world.tick)
        case S.PENDING:
            if worker.holds:
                claimed = _slim(_claim(grant, world.tick))
                yield (
                    "claims",
                    replace(then("stamp", stamp=world.tick), held=claimed, due=min(LAST, world.tick + LEASE)),
                )
            else:
                yield "fenced", _free(world, place)
        case S.MINTING:
            yield "finds it stale", finish(lambda one: _end(one, "stale", world.tick))
        case S.ACTIVE:
            yield "ends it by time", finish(lambda one: _end(one, "ttl_elapsed", world.tick))
        case S.REVOKING:
            yield "begins to prove", then("deny" if revoke_wanted(grant) else "verify")
        case _ if grant.deny_written and not grant.collected_at and (not rules.keep_deny or _late_enough(world)):
            yield "begins to collect", then("undeny")
        case _:
            yield "has nothing to do", finish(lambda one: one)


def _call(
    world: World, then: Callable[..., World], stamp: int, call: Call, fates: tuple[str, str, str], rules: Rules
) -> Iterator[tuple[str, World]]:
    """Yield every fate of a call to the cloud: answered; done, answer lost; late; not sent."""
    done = _apply(world, call, stamp, rules)
    answered, lost, unsent = fates
    carries = done.sessions[-1] if call == "assume" else None
    told = then(answered, carries=carries, denied=call == "deny")
    yield f"{call}: answered", replace(told, sessions=done.sessions, denied_at=done.denied_at)
    if world.troubles:
        without = then(lost)
        less = world.troubles - 1
        yield f"{call}: answer lost", replace(
            without, sessions=done.sessions, denied_at=done.denied_at, troubles=less
        )  # fmt: skip
        yield (
            f"{call}: late",
            replace(without, late=tuple(sorted((*world.late, (call, world.tick, stamp)))), troubles=less),
        )
        yield f"{call}: not sent", replace(then(unsent), troubles=less)


def _apply(world: World, call: Call, stamp: int, rules: Rules) -> World:
    match call:
        case "assume":  # its length counts from when it is issued
            new = Session(stamp + rules.ttl, world.tick + SESSION, world.tick)
            return replace(world, sessions=(*world.sessions, new))
        case "deny":
            return replace(world, denied_at=world.tick)
        case "undeny":
            return replace(world, denied_at=None)


def _proven(world: World, rules: Rules) -> bool:
    """Tell what a verification says: of every session by its tag, or, by issue time, of those that are known."""
    kind, grant = proof_wanted(world.grant), world.grant
    if world.tick == LAST and kind is not ProofKind.PROBE_DENIED:
        return not world.living(rules)
    if kind is ProofKind.EXPIRED:
        return grant.expiration is not None and _at(world.tick) > grant.expiration
    if kind is ProofKind.TTL_DENIED:
        return _at(world.tick) > (grant.ends_at or grant.may_live_until or _at(LAST))
    return world.denied_at is not None


def _then(world: World, place: int, worker: Worker, does: str, **changes: object) -> World:
    """Return the world with that worker's next step; "" ends its attempt without a commit."""
    workers = list(world.workers)
    workers[place] = replace(worker, does=does, **changes) if does else None  # type: ignore[arg-type]
    return replace(world, workers=_sorted(workers))


def _finish(world: World, place: int, worker: Worker, rules: Rules, change: Callable[[Grant], Grant]) -> World:
    """Commit under the attempt's claim, and end it; a lost claim or a move that the table lacks changes nothing."""
    freed = _free(world, place)
    if not worker.holds:
        return freed
    try:
        return _commit(freed, change(world.grant), place, rules)
    except IllegalTransition:
        return freed


def _commit(world: World, grant: Grant, _place: int | None, rules: Rules) -> World:
    """Store a grant: what is due next follows from it, and nobody holds a claim any more."""
    workers = [replace(one, holds=False) if one else None for one in world.workers]
    return replace(world, held=_slim(grant), due=_due(grant, world.tick, rules), workers=_sorted(workers))


def _due(grant: Grant, tick: int, rules: Rules) -> int | None:
    match grant.state:
        case S.PENDING:
            return tick
        case S.MINTING:
            return min(LAST, tick + LEASE)
        case S.ACTIVE:
            assert grant.ends_at
            return _tick(grant.ends_at)
        case S.REVOKING:
            return _tick(prove_at(grant, _at(tick)))
        case S.REVOKED if grant.deny_written and grant.collected_at is None:
            return max(tick, _tick(grants.collect_at(grant))) if rules.keep_deny else tick
    return None


def _late_enough(world: World) -> bool:
    return world.tick == LAST or _at(world.tick) >= grants.collect_at(world.grant)


def _free(world: World, place: int) -> World:
    workers = list(world.workers)
    workers[place] = None
    return replace(world, workers=_sorted(workers))


def _sorted(workers: list[Worker | None]) -> tuple[Worker | None, ...]:
    """Put workers in one order: which of two alike it is makes no difference."""
    first, second = (_still(worker) for worker in workers)
    return (first, second) if _place(first) <= _place(second) else (second, first)


def _still(worker: Worker | None) -> Worker | None:
    """Forget an attempt that lost its claim, unless it still has something to say to the cloud."""
    if worker is None or worker.holds:
        return worker
    return Worker(worker.does, holds=False, stamp=worker.stamp) if worker.does in SPEAKS else None


def _place(worker: Worker | None) -> tuple[str, bool, bool, int, int]:
    if worker is None:
        return NOBODY
    return (worker.does, worker.holds, worker.denied, worker.stamp, worker.carries.issued if worker.carries else 0)


def _way(came: dict[World, tuple[World, str] | None], world: World) -> list[str]:
    way = []
    while (step := came[world]) is not None:
        world, label = step
        way.append(label)
    return way[::-1]


def _rest(world: World) -> str:
    proof = world.grant.proof
    return f"{world.grant.state} {proof.kind}" if proof else str(world.grant.state)


def _at(tick: int) -> datetime:
    return EPOCH + tick * TICK


def _tick(moment: datetime) -> int:
    return min(LAST, -((EPOCH - moment) // TICK))


@functools.cache
def _slim(grant: Grant) -> Held:
    """Forget what no rule looks at, so that worlds that differ in nothing else are one."""
    changes: dict[str, object] = {"attempts": min(grant.attempts, 1), "claimed_at": None, "minted_at": None}
    for name in ("ending", "proof"):
        if value := getattr(grant, name):
            changes[name] = value.model_copy(update={"requested_at": EPOCH} if name == "ending" else {"at": EPOCH})
    if grant.collected_at:
        changes["collected_at"] = EPOCH
    return _held(grant.model_copy(update=changes))


@functools.cache
def _held(grant: Grant) -> Held:
    return Held(grant)


@functools.cache
def _claim(grant: Grant, tick: int) -> Grant:
    return grants.claim(grant, _at(tick), (LEASE + SESSION) * TICK)


@functools.cache
def _mint_not_after(claimed: int) -> datetime:
    return mint_not_after(_claim(_fresh(Rules()), claimed), LEASE * TICK)


@functools.cache
def _end(grant: Grant, event: str, tick: int) -> Grant:
    return grants.end(grant, event, _at(tick), by="model", reason="model")


@functools.cache
def _minted(grant: Grant, tick: int, session: Session) -> Grant:
    claimed = grant if grant.state is not S.PENDING else _claim(grant, tick)  # where it was minted before its record
    ends, expires = _at(session.ttl_end), _at(session.expires)
    return grants.minted(claimed, _at(tick), access_key_id="ASIAMODEL", ends_at=ends, expiration=expires)


@functools.cache
def _not_sent(grant: Grant) -> Grant:
    return grants.not_sent(grant, "model")


@functools.cache
def _failed(grant: Grant, denied: bool) -> Grant:
    return grants.revoke_failed(grant, "model", deny_written=denied)


@functools.cache
def _prove(grant: Grant, tick: int, denied: bool) -> Grant:
    proof = Proof(kind=proof_wanted(grant), at=_at(tick), seconds="0.000", refused=3, asked=3, detail="model")
    return grants.proven(grant, proof, deny_written=denied)


def _fresh(rules: Rules) -> Grant:
    plan = Plan(
        account="a", account_id="1" * 12, actions=(), ends_early=rules.ends_early, environment="prod", external_id=None,
        provider="aws", resources=(), role="r", role_arn="arn", ttl_seconds=int((rules.ttl * TICK).total_seconds()),
    )  # fmt: skip
    return Grant(
        id="grt_MODEL", request_id="req_MODEL", handle="K7QF", principal="caller:m", actor="agent:m", on_behalf_of=None,
        approved_by=("user:robin",), plan=plan, public_key=None, opened_at=EPOCH, mint_by=EPOCH + MINT_BY * TICK,
    )  # fmt: skip
