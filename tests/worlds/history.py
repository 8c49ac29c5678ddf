"""Play random requests through the real desk, worker and clock, in memory and by a clock of its own; the log is kept.

    bodies = asyncio.run(play(seed=3, requests=20)).bodies
    python -m tests.worlds.long_history --requests 100000 --out DIR

Everything that ends in a record happens: quorums, delegations, narrowing, break-glass, refusals, ends by time,
withdrawals, uses, extensions, levels with `may_fill`, stricter rules while it waits, freezes, changes by `[apply]`.
"""

from __future__ import annotations

import contextlib
import json
import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from approvers.applying import ask as change_of
from approvers.applying import bound, changes
from approvers.audit import By
from approvers.errors import CountersignError
from approvers.narrowing import Narrow
from approvers.policy import parse_policy
from approvers.request import RequestState
from approvers.roster import parse_roster
from bot.after_reviews import AfterReviews
from bot.away import Away
from bot.commits import Click
from bot.custody import Custody
from bot.deps import make_desk
from bot.directory import Directory
from bot.identity import Identity
from bot.reading import Reader
from bot.stops import Stops
from countersign.verifying.core import Seen
from tests.worlds import samples
from tests.worlds.cloud import Cloud
from workers.alerts import Alert
from workers.clock.owing import Owing
from workers.clock.waiting import Waiting
from workers.leasing import advance
from workers.policies import Policies, apply
from workers.stores.memory import memory_store
from workers.stores.port import Commit, StoreError
from workers.tools import Tools
from workers.vault import DeliveryKey, seal_credential

BEGAN = datetime(2026, 11, 16, 8, 0, tzinfo=UTC)
LEASE = timedelta(seconds=20)
OVER = (RequestState.DENIED, RequestState.EXPIRED, RequestState.CANCELLED)
KEY = DeliveryKey.generate()
ROSTER = """
[person.dana]
[person.robin]
[person.alex]
[person.kim]
[person.sam]
[person.lee]
[group.sre]
people = ["dana", "robin", "alex", "kim"]
[group.security]
people = ["sam", "lee"]
[group.oncall]
people = ["kim"]
oncall = true
[caller.report-bot]
kind = "agent"
owners = ["user:dana"]
actors = ["agent:report-bot"]
on_behalf_of = "required"
[account.prod-payments]
id = "000000000000"
environment = "prod"
[role.analytics]
account = "prod-payments"
arn = "arn:aws:iam::000000000000:role/countersign-base-analytics"
ceiling = ["s3:GetObject*", "s3:ListBucket", "s3:PutObject", "s3:DeleteObject"]
[place.console]
groups = ["sre"]
"""
POLICY = """
version = 1
default = "review"
default_quorum = "one"
timezone = "UTC"
environments = ["dev", "staging", "prod"]
break_glass = { who = ["user:dana", "group:oncall"], require = ["reason", "ticket"], ttl_max = "30m", \
tell = ["group:oncall"], review_within = "2h", open_max = 1 }
apply = { quorum = "one" }
[quorum.one]
seats = { sre = 1 }
ladder = "work"
[quorum.two]
seats = { sre = 2 }
ladder = "work"
[quorum.both]
seats = { security = 1, sre = 1 }
ladder = "work"
[ladder.work]
expires_after = "30m"
levels = [{ after = "0m", ask = ["group:sre"] }, \
{ after = "10m", ask = ["group:security"], may_fill = "sre" }]
[limits]
ttl_max = { default = "2h", prod = "1h" }
denied_cool_down = "1m"
[risk.context]
first_seen = 0
[rule.deny-deletes]
effect = "deny"
owner = "sre"
note = "Nobody deletes exports."
when = { action = ["s3:DeleteObject"] }
[rule.review-reads]
effect = "review"
quorum = "one"
owner = "sre"
note = "Exports."
narrow = ["ttl", "resources"]
when = { action = ["s3:GetObject"] }
[rule.review-writes]
effect = "review"
quorum = "two"
owner = "sre"
note = "Writes take two."
when = { action = ["s3:PutObject"] }
[rule.review-pii]
effect = "review"
quorum = "both"
owner = "sre"
note = "Personal data."
narrow = ["ttl", "resources"]
when = { data_class = ["pii"] }
[rule.review-knock]
effect = "review"
quorum = "one"
owner = "sre"
note = "A knock."
when = { action = ["demo:Knock"] }
[rule.allow-names]
effect = "allow"
until = 2027-05-31
owner = "sre"
note = "Bucket names show no data."
when = { action = ["s3:ListAllMyBuckets"], ttl_at_most = "15m" }
[rule.allow-lists]
effect = "allow"
until = 2027-05-31
owner = "sre"
note = "Listing."
when = { action = ["s3:ListBucket"], account = ["prod-payments"], ttl_at_most = "30m" }
"""
STRICTER = POLICY.replace(
    'quorum = "one"\nowner = "sre"\nnote = "Exports."', 'quorum = "two"\nowner = "sre"\nnote = "Exports."'
)
assert STRICTER != POLICY
PEOPLE = ("dana", "robin", "alex", "kim", "sam", "lee")
BUCKET = "arn:aws:s3:::customer-exports"
ASKS: tuple[Mapping[str, Any], ...] = (
    {"action": "s3:ListAllMyBuckets", "resource": "arn:aws:s3:::names", "access": None, "data_classes": None},
    {"action": "s3:GetObject", "data_classes": None},
    {"action": "s3:GetObject"},
    {"action": "s3:PutObject", "data_classes": None},
    {"action": "s3:ListBucket", "resource": BUCKET, "data_classes": None},
    {"action": "s3:DeleteObject"},
    {"action": "demo:Knock", "resource": "door:front", "access": None, "data_classes": None},
    {"action": "demo:Knock", "resource": "door:back", "access": None, "environment": "dev", "undo": "none needed"},
)


class Silent:
    """Be on-call, and let it ring."""

    async def send(self, alert: Alert) -> None:
        """Take an alert."""


def caller() -> Identity:
    return Identity(samples.CALLER, frozenset({"request"}), By(samples.CALLER, "api-key", "key_bot"), "api")


def person(name: str, iss: str = "api-key") -> Identity:
    via = "command" if iss == "operator" else "api"
    scopes = frozenset({"review", "request", "operate"})
    return Identity(f"user:{name}", scopes, By(f"user:{name}", iss, f"key_{name}" if iss == "api-key" else name), via)


@dataclass
class History:
    """One log under way; `asked` counts requests."""

    seed: int
    time: datetime = BEGAN
    asked: int = 0
    strict: bool = False
    frozen: bool = False
    glass: str = "req_none"
    """The newest use of break-glass."""
    ids: list[str] = field(default_factory=list)
    over: set[str] = field(default_factory=set)
    """Which requests are known to stay as they are."""

    def __post_init__(self) -> None:
        self.chance = random.Random(self.seed)
        self.store = memory_store(lambda: self.time)
        self.policies = Policies(self.store.records, self.store.signals)
        reader, directory = Reader(self.store), Directory(self.policies)
        self.reader, self.desk = reader, make_desk(self.store, self.policies, reader, directory)
        self.custody, self.stops = Custody(self.store, reader), Stops(self.store, self.policies, directory)
        self.after = AfterReviews(self.store, self.policies, reader, directory)
        self.away = Away(self.store, self.policies, reader)
        self.cloud = Cloud(lambda: self.time)
        self.waiting, self.owing = (
            Waiting(self.store, self.policies, Silent()),
            Owing(self.store, Silent()),
        )
        self.tools = Tools(
            store=self.store, policies=self.policies, providers={"aws": self.cloud}, alerts=Silent(), lease=LEASE,
            seal=lambda secret, grant: seal_credential(secret, KEY.public, grant.id, grant.principal),
        )  # fmt: skip

    async def begin(self) -> History:
        await apply(self.store.records, policy=POLICY, roster=ROSTER, by="user:kim", why="the first")
        await self.policies.refresh()
        return self

    async def turn(self) -> None:
        """Let one thing happen, by chance; what is refused is on record, or changes nothing."""
        steps: list[tuple[Callable[[], Awaitable[object]], float]] = [
            (self.ask, 30), (self.answer, 60), (self.passes, 9), (self.collect, 4), (self.finish, 6),
            (self.consume, 6), (self.cancel, 3), (self.break_glass, 3), (self.review_after, 6), (self.extend, 3),
            (self.freeze, 2 if self.frozen else 0.4), (self.lend, 1), (self.change, 1),
        ]  # fmt: skip
        step = self.chance.choices([one for one, _ in steps], [weight for _, weight in steps])[0]
        with contextlib.suppress(CountersignError, StoreError):
            await step()
        self.time += timedelta(milliseconds=self.chance.randrange(1, 20_000))
        await self.work()

    # ---- what happens

    async def ask(self, **more: Any) -> None:
        self.asked += 1
        wish = dict(self.chance.choice(ASKS))
        if wish.get("access", "") == "":
            bucket = wish.get("resource", f"{BUCKET}/2026/*")
            wish |= {"resource": bucket,
                     "access": {"role": "analytics", "actions": [wish["action"]], "resources": [bucket]}}  # fmt: skip
        wish |= {"reason": f"Weekly report {self.asked}: the job failed", "parameters": {"number": self.asked},
                 "ttl_seconds": self.chance.choice([60, 900, 1200, 3600])}  # fmt: skip
        await self.submit(caller(), {**wish, **more})

    async def break_glass(self) -> None:
        self.asked += 1
        wish = {"break_glass": True, "ticket": "INC-42", "actor": {"id": "user:dana"}, "data_classes": None,
                "reason": f"Night {self.asked}", "parameters": {"number": self.asked}, "ttl_seconds": 900}  # fmt: skip
        request = await self.submit(person("dana"), wish)
        if (await self.reader.look(request)).request.after_review:
            self.glass = request

    async def answer(self) -> None:
        if (view := await self._some(RequestState.PENDING)) is None:
            return
        verdict = "deny" if self.chance.random() < 0.12 else "approve"
        plan, narrow = view.request.plan, None
        if plan and verdict == "approve" and self.chance.random() < 0.3:
            narrow = Narrow(ttl_seconds=max(1, plan.ttl_seconds // 2))
        who = person(self.chance.choice(PEOPLE))
        await self.desk.review(Click(who, view.request.id, verdict, f"because {self.asked}", narrow=narrow))

    async def collect(self) -> None:
        if (view := await self._some(RequestState.APPROVED)) and view.grant:
            await self.custody.collect(caller(), view.grant.id)

    async def finish(self) -> None:
        if (view := await self._some(RequestState.APPROVED)) and view.grant:
            if self.chance.random() < 0.5:
                await self.custody.release(caller(), view.grant.id)
            else:
                await self.custody.revoke(person("kim"), view.grant.id, "enough")

    async def consume(self) -> None:
        if view := await self._some(RequestState.APPROVED):
            await self.desk.consume(caller(), view.request.id, view.request.action_digest)

    async def cancel(self) -> None:
        if view := await self._some(RequestState.PENDING):
            who = caller() if self.chance.random() < 0.5 else person(self.chance.choice(PEOPLE))
            await self.desk.cancel(who, view.request.id)

    async def review_after(self) -> None:
        verdict: Any = self.chance.choice(["justified", "unjustified"])
        await self.after.take(person(self.chance.choice(PEOPLE)), self.glass, verdict, "looked at it")

    async def extend(self) -> None:
        if (view := await self._some(RequestState.APPROVED)) and view.grant:
            plan = view.grant.plan
            access = {"role": plan.role, "actions": list(plan.actions), "resources": list(plan.resources)}
            await self.ask(action=plan.actions[0], resource=plan.resources[0], access=access, extends=view.grant.id)

    async def freeze(self) -> None:
        self.frozen = not self.frozen
        await (self.stops.freeze if self.frozen else self.stops.unfreeze)(person("kim"), "a drill")

    async def lend(self) -> None:
        giver, taker = self.chance.sample(PEOPLE, 2)
        if self.chance.random() < 0.3:
            await self.away.end(person(giver))
        else:
            await self.away.lend(person(giver), taker, self.time + timedelta(hours=3))

    async def change(self) -> None:
        """Change the policy, with other people's yes, as `[apply]` wants it."""
        old, new = (STRICTER, POLICY) if self.strict else (POLICY, STRICTER)
        roster, operator = parse_roster(ROSTER), person("kim", "operator")
        lines = changes((parse_policy(old), roster), (parse_policy(new), roster))
        was = {"countersign.toml": ROSTER, "policy.toml": old}
        wish = change_of("user:kim", bound({"policy.toml": new}, was, f"why {self.asked}", lines))
        self.asked += 1
        view = await self.desk.submit(operator, wish, f"change-{self.asked}")
        self.ids.append(view.request.id)
        await self.desk.review(Click(person("robin"), view.request.id, "approve"))
        await apply(self.store.records, policy=new, roster=None, by="user:kim", why=f"why {self.asked - 1}",
                    approval=view.request.id)  # fmt: skip
        self.strict = not self.strict
        await self.policies.refresh()

    async def passes(self) -> None:
        """Let minutes pass, in steps, so that worker and clock do everything at about its time."""
        for _ in range(self.chance.randrange(1, 20)):
            self.time += timedelta(seconds=self.chance.randrange(20, 60))
            await self.work()

    async def work(self) -> None:
        """Be the worker and the clock: do all that is due now."""
        while items := (await self.store.due.claim("worker", most=20, lease=LEASE)).items:
            for item in items:
                await advance(self.tools, item)
        while items := (await self.store.due.claim("clock", most=20, lease=LEASE)).items:
            for item in items:
                if item.member.startswith("request:"):
                    await self.waiting.look_after(item)
                elif item.member.startswith("owing:"):
                    await self.owing.look_after(item)
                else:
                    await self.store.records.commit(Commit(at=self.time, attempt=item))
        await self.waiting.settle()

    async def close(self) -> None:
        """Let everything come to its end."""
        if self.frozen:
            await self.freeze()
        for _ in range(80):
            self.time += timedelta(minutes=3)
            await self.work()

    # ---- the log

    async def bodies(self, after: int = 0) -> list[bytes]:
        """Return the records after a position."""
        found: list[bytes] = []
        while page := await self.store.log.tail(after + len(found), 500):
            found += page
        return found

    async def told(self) -> list[Seen]:
        """Return the whole log as a verifier reads it, texts put back."""
        found, seen = await self.bodies(), []
        subjects = sorted({json.loads(body)["subject"] for body in found})
        texts = await self.store.log.texts(subjects)
        for position, body in enumerate(found, 1):
            seen.append(Seen(position, position, body, restored(json.loads(body), texts)))
        return seen

    async def submit(self, who: Identity, wish: Mapping[str, Any]) -> str:
        """Ask, and return the request's id."""
        view = await self.desk.submit(who, samples.action(**wish), f"key-{len(self.ids)}-{self.asked}")
        self.ids.append(view.request.id)
        return view.request.id

    async def _some(self, state: RequestState) -> Any:
        """Return one of the newest requests in that state."""
        recent = self.ids[-12:]
        self.chance.shuffle(recent)
        for one in recent:
            if one in self.over:
                continue
            view = await self.reader.look(one)
            if view.request.state is state:
                return view
            if view.request.state in OVER:
                self.over.add(one)
        return None


def restored(value: Any, texts: Mapping[str, str]) -> Any:
    """Put texts back, as the verifier does."""
    if isinstance(value, dict):
        if "text_sha256" in value:
            found = texts.get(value["text_sha256"])
            return "\u25a0" * value["chars"] if found is None else found[64:]
        return {name: restored(one, texts) for name, one in value.items()}
    return [restored(one, texts) for one in value] if isinstance(value, list) else value


async def play(seed: int, requests: int = 12, *, close: bool = True) -> History:
    """Play until so many requests were asked."""
    history = await History(seed).begin()
    while history.asked < requests:
        await history.turn()
    if close:
        await history.close()
    return history
