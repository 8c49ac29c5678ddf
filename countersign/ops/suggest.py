"""`countersign policy suggest`: which asks people always approve quickly, and the allow rule that would cover them.

Every rule is tried on the same history before it is shown: one that would allow anything a person did not approve, or
ask fewer people for anything else, is not suggested, and the reason is.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Any

import typer

from approvers.judging import Judge
from approvers.simulating import Report, Simulation
from approvers.suggesting import LEAST, QUICK, Habit, Habits, describe, objections
from approvers.suggesting_rule import headline, owner_of, rule_name, rule_text, tried
from approvers.times import spell
from countersign.commands.common import put, put_json, say
from countersign.ops.connect import State, with_store
from countersign.ops.recorded import InStore, moment, read, unseen
from countersign.ops.simulate import SINCE, in_force
from workers.policies import NotConfigured, Rulebook
from workers.stores import layout
from workers.stores.port import Store

MOST = 10
"""How many rules are tried in one run; the others are counted."""
UNTIL = timedelta(days=90)


@dataclass(frozen=True)
class Suggested:
    """One habit, with the rule that would cover it, or why there is none."""

    habit: Habit
    name: str | None
    rule: str | None
    why_not: str | None


def command(
    since: Annotated[str, typer.Option("--since", help="From when on: 90d, or a day.")] = SINCE,
    json_: Annotated[bool, typer.Option("--json", help="Print JSON, errors too.")] = False,
    state: State = None,
) -> None:
    """List what people always approve quickly, each with the allow rule that would cover just that."""
    tell(with_store(state, lambda store: suggest(store, since)), json_=json_)


def tell(found: Sequence[Suggested], *, json_: bool) -> None:
    """Print what was found: TOML with what it is in comments, or JSON."""
    if json_:
        put_json({"suggestions": [_json(one) for one in found]})
        return
    if not found:
        say(f"nothing is always approved: at least {LEAST} asks, all approved, half of them within {spell(QUICK)}")
    for one in found:
        _print(one)


async def suggest(store: Store, since: str) -> list[Suggested]:
    """Read the log for habits, and once more to try the rules."""
    book = await in_force(store)
    if book is None:
        raise NotConfigured("no policy is applied yet: run `countersign apply countersign.toml policy.toml`")
    now = await store.records.now()
    start = moment("--since", since, now)
    habits = Habits(book.policy, start)
    if missing := await unseen(store, start):
        say(missing)
    await read(InStore(store.log, start), habits.feed, "looking for habits")
    return await _tried(store, book, habits.always(), start, now)


async def _tried(
    store: Store, book: Rulebook, habits: Sequence[Habit], since: datetime, now: datetime
) -> list[Suggested]:
    """Try each rule on the history that it comes from."""
    done, trials = list[Suggested](), list[tuple[Suggested, Simulation]]()
    in_force = Judge(book.policy, book.policy_sha256)
    for habit in habits:
        one, judge = _drafted(book, habit, now, tried_already=len(trials))
        done.append(one)
        if judge is not None:
            trials.append((one, Simulation(judge, against=in_force, since=since)))

    def feed(body: bytes) -> None:
        for _, simulation in trials:
            simulation.feed(body)

    if trials:
        await read(InStore(store.log, since), feed, "trying the rules")
    reports = {id(one): simulation.report() for one, simulation in trials}
    return [_judged(one, reports[id(one)]) if id(one) in reports else one for one in done]


def _drafted(book: Rulebook, habit: Habit, now: datetime, *, tried_already: int) -> tuple[Suggested, Judge | None]:
    """Return the rule to try, or why there is none."""
    against = list(objections(habit))
    if not against and tried_already >= MOST:
        against = [f"{MOST} others were tried in this run"]
    if against:
        return Suggested(habit, None, None, "; ".join(against)), None
    name = rule_name(habit, book.policy.rules)
    text = rule_text(habit, name, owner=owner_of(habit, book.policy), until=(now + UNTIL).date())
    policy = tried(habit, book.texts[layout.POLICY], text)
    if isinstance(policy, str):
        return Suggested(habit, None, None, policy), None
    return Suggested(habit, name, text, None), Judge(policy, hashlib.sha256(text.encode()).hexdigest())


def _judged(one: Suggested, report: Report) -> Suggested:
    """Keep the rule only if it allows what people approved, and loosens nothing else."""
    why = unsafe(report)
    return one if why is None else Suggested(one.habit, None, None, why)


def unsafe(report: Report) -> str | None:
    """Return why a rule with this effect on history must not be suggested."""
    allowed, denied = report.unasked
    approved = sum(row.ended == "approved" for group in report.groups if group.change.allows for row in group.listed)
    if denied:
        return f"it would allow {denied} asks that a person denied"
    if allowed == 0:
        return "it would change nothing: other rules ask for the same"
    if approved < allowed:
        return f"it would also allow {allowed - approved} asks that nobody approved"
    if others := [group for group in report.groups if not group.change.allows]:
        words = ", ".join(f"{group.change.name}: {group.total}" for group in others)
        return f"without the rule that asks now, others would be answered differently ({words})"
    return None


def _print(one: Suggested) -> None:
    if one.rule is None or one.name is None:
        put(f"# {describe(one.habit)}. No rule is suggested: {one.why_not}.")
    else:
        put(f"# {headline(one.habit, one.name)}")
        for line in one.rule.splitlines():
            put(line)
    put("")


def _json(one: Suggested) -> dict[str, Any]:
    habit = one.habit
    return {
        "rules": list(habit.key.rules),
        "principal": habit.key.principal,
        "account": habit.key.account,
        "environment": habit.key.environment,
        "approved": habit.approved,
        "median_seconds": round(habit.median.total_seconds(), 3),
        "reviewers": len(habit.reviewers),
        "rule": one.rule,
        "why_not": one.why_not,
    }
