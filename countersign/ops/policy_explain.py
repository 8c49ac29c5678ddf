"""`countersign policy explain`: why a request was answered so, or how one would be; nothing is stored."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import rfc8785
import typer

from approvers.action import Action, parse_action
from approvers.declared import actions_for
from approvers.explain import IN_FORCE, Explanation, InForce, explain, explain_request, lines
from approvers.facts import Facts
from approvers.grant import Plan
from approvers.history import facts_of, read_known, read_past
from approvers.limits import check_limits, default_ttl, ttl_for
from approvers.policy import Policy
from approvers.request import Request
from approvers.roster import Roster, check_claims
from approvers.ruling import gather, rule
from bot.reading import Reader
from countersign.commands.common import Ended, Json, WrongOption, put, put_json, say
from countersign.errors import OTHER
from countersign.ops.connect import State, with_store
from countersign.ops.policy_files import NAMES, Checked, NotApplied, Source, check, read_files, standing
from workers.data.levels import load_levels
from workers.providers.plans import plan
from workers.stores import layout
from workers.stores.port import Store

PROOFS = ("issuer", "repository_id", "ref", "workflow")
What = Annotated[str, typer.Argument(metavar="REQUEST", help="A body as one would POST it (FILE.json), or an id.")]
File = Annotated[Path | None, typer.Option(help="This file in place of the one in force.")]
Caller = Annotated[str | None, typer.Option("--caller", help="Who asks: caller:NAME or user:NAME.")]
Proof = Annotated[
    list[str] | None, typer.Option("--proof", help="What the caller's own token says, such as ref=refs/heads/main.")
]


def command(
    what: What,
    *,
    policy: File = None,
    roster: File = None,
    caller: Caller = None,
    proof: Proof = None,
    state: State = None,
    json_: Json = False,
) -> None:
    """Explain the answer to a request: a stored one, or a body as one would send it."""
    files = [path for path in (policy, roster) if path is not None]
    try:
        given = read_files(files)
        if Path(what).suffix == ".json" or Path(what).is_file():
            sources = given if given.keys() >= NAMES.keys() else {**with_store(state, standing), **given}
            found, request = _of_body(Path(what), _both(sources), caller, _proofs(proof or ())), None
        else:
            found, request = _of_stored(what, given, state)
    except NotApplied as error:
        for line in error.lines:
            say(line)
        raise Ended(OTHER) from error
    if json_:
        put_json(found.model_dump(mode="json"))
        return
    for line in lines(found, request, under=str(policy) if policy else IN_FORCE):
        put(line)


def explained(action: Action, principal: str, rules: InForce, roster: Roster, proof: Mapping[str, str]) -> Explanation:
    """Return how this ask would be answered now, by these files.

    What only the store knows is not looked up: the ask counts as the caller's first, tags as unknown, and groups kept
    elsewhere as empty.

    Raises:
        CountersignError: it could not even be asked, and why.
    """
    policy = rules.policy
    check_claims(roster, principal, action.actor.id, action.actor.on_behalf_of)
    planned = plan(action, roster, ttl_for(policy, action.ttl_seconds), load_levels()) if action.access else None
    facts = _facts(action, principal, planned, (policy, roster), proof)
    if action.ttl_seconds is None:
        facts = facts.model_copy(update={"ttl_seconds": default_ttl(policy, facts)})
    check_limits(policy, facts)
    return explain(rule(policy, facts, sha256=rules.sha256), facts, policy=policy, plan=planned)


def _facts(
    action: Action, principal: str, planned: Plan | None, rules: tuple[Policy, Roster], proof: Mapping[str, str]
) -> Facts:  # fmt: skip
    policy, roster = rules
    now = datetime.now(UTC)
    return gather(
        action,
        principal=principal,
        caller=roster.caller(principal),
        plan=planned,
        policy=policy,
        levels=actions_for(planned, roster, load_levels()),
        at=now,
        history=facts_of(read_past(""), read_known(""), action, planned, now),
        proof=proof,
        groups=roster.groups_of(principal),
    )


def _of_body(path: Path, checked: tuple[InForce, Roster], caller: str | None, proof: Mapping[str, str]) -> Explanation:
    rules, roster = checked
    try:
        action = parse_action(path.read_bytes(), rfc8785.dumps)
    except OSError as error:
        raise NotApplied(f"{path} cannot be read: {error.strerror}") from error
    found = explained(action, _principal(action, roster, caller), rules, roster, proof)
    say("ruled as if asked now, for the first time; tags and groups kept elsewhere are not looked up: they are unknown")
    return found


def _principal(action: Action, roster: Roster, caller: str | None) -> str:
    """Return who asks. Raises WrongOption where that is not said and not plain."""
    if caller is not None:
        if roster.caller(caller) is None and roster.person(caller) is None:
            raise WrongOption(f"{caller} is not in countersign.toml: write caller:NAME or user:NAME", field="--caller")
        return caller
    if action.actor.id.startswith("user:"):
        return action.actor.id
    may = [f"caller:{name}" for name, one in roster.callers.items() if one.may_speak_for(action.actor.id)]
    if len(may) != 1:
        raise WrongOption(f"who asks? {', '.join(may) or 'no caller'} may speak for {action.actor.id}",
                          field="--caller")  # fmt: skip
    return may[0]


def _both(sources: Mapping[str, Source]) -> tuple[InForce, Roster]:
    """Return the two files. Raises NotApplied with every mistake."""
    if missing := [NAMES[key] for key in NAMES if key not in sources]:
        raise NotApplied(f"nothing is in force yet: give {' and '.join(missing)} (--policy FILE --roster FILE)")
    checked: Checked = check(sources, datetime.now(UTC))
    if checked.policy is None or checked.roster is None or checked.errors:
        raise NotApplied(*map(str, checked.errors))
    return InForce(checked.policy, _sha256(sources[layout.POLICY].text)), checked.roster


def _of_stored(what: str, given: Mapping[str, Source], state: Path | None) -> tuple[Explanation, Request]:
    """Return why a stored request was answered so, beside what `--policy`, or the policy in force, says."""

    async def work(store: Store) -> tuple[Mapping[str, Source], Request]:
        reader = Reader(store)
        view = await reader.look(await reader.by_handle(what))
        return await standing(store), view.request

    stood, request = with_store(state, work)
    rules, _ = _both({**stood, **given})
    return explain_request(request, rules), request


def _proofs(words: Any) -> dict[str, str]:
    found = {}
    for word in words:
        name, equals, value = word.partition("=")
        if name not in PROOFS or not equals or not value:
            raise WrongOption(f"{word!r} proves nothing: write {', '.join(PROOFS)} as NAME=VALUE", field="--proof")
        found[name] = value
    return found


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
