"""Say what has to come of an ask, a click, a mint, an after-review: the oracle's own small desk, over plain dicts.

A world is {"policy", "roster", "frozen", "now", "requests"}. Every function returns a refusal (the code of a problem,
or the reason why nothing is minted) or the request as it has to stand afterwards, and changes nothing itself.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from tests.oracle.files import PEOPLE
from tests.oracle.rules import Dict, filled, is_barred, is_full, like, over_cap, rule_on, stricter

MINT_WITHIN = timedelta(minutes=10)
COLLECT_WITHIN = timedelta(minutes=10)
LONGEST_SECONDS = 3600
GRAVE = 2
"""From this place in RISKS on a request is read whole before it is approved."""
Result = tuple[str | None, Dict]


def groups_of(world: Dict, person: str) -> set[str]:
    return {group for group, people in world["roster"]["groups"].items() if person in people}


def claims(roster: Dict, ask: Dict) -> str | None:
    """Say why a principal may not speak so: for another actor, for nobody, for somebody unknown."""
    kind, _, name = ask["principal"].partition(":")
    if kind == "user":
        own = ask["actor"] == ask["principal"] and ask["behalf"] in (None, ask["principal"])
        return None if own else "not_your_actor"
    caller = roster["callers"].get(name)
    if caller is None:
        return "unknown_principal"
    if not any(like(pattern, ask["actor"]) for pattern in caller["actors"]):
        return "not_your_actor"
    if ask["behalf"] is None:
        return "inadmissible" if caller["behalf"] == "required" else None
    known = ask["behalf"].removeprefix("user:") in PEOPLE
    return None if known and caller["behalf"] != "never" else "inadmissible"


def above_ceiling(roster: Dict, role: str, actions: list[str]) -> bool:
    return any(not any(like(one.lower(), name.lower()) for one in roster["roles"][role]) for name in actions)


def facts_of(world: Dict, ask: Dict) -> Dict:
    """Return the ask with what is true around it now."""
    kind, _, name = ask["principal"].partition(":")
    caller = None if kind == "user" else world["roster"]["callers"][name]
    own = [one for one in world["requests"].values() if one["facts"]["principal"] == ask["principal"]]
    return {
        **ask,
        "at": world["now"],
        "kind": caller["kind"] if caller else "person",
        "owners": caller["owners"] if caller else [],
        "account": world["roster"]["accounts"][ask["access"]["role"]] if ask["access"] else None,
        "groups": groups_of(world, name),
        "owed": sum(one["after"] is not None and one["after"]["verdict"] is None for one in own),
    }


def asked(world: Dict, ask: Dict) -> Result:
    """Say what an ask comes to."""
    if code := claims(world["roster"], ask):
        return code, {}
    if ask["access"]:
        if above_ceiling(world["roster"], ask["access"]["role"], ask["access"]["actions"]):
            return "inadmissible", {}
        if ask["ttl"] > LONGEST_SECONDS:
            return "inadmissible", {}
    if ask["extends"] and (code := not_extended(world, ask)):
        return code, {}
    facts = facts_of(world, ask)
    if over_cap(world["policy"], facts, ask["ttl"]):
        return "inadmissible", {}
    ruling, now = rule_on(world["policy"], facts), world["now"]
    if ruling["effect"] == "allow" and world["frozen"]:
        return "frozen", {}
    state, because = {
        "allow": ("APPROVED", "rule"),
        "deny": ("DENIED", "rule"),
        "review": ("PENDING", "waiting"),
        "break_glass": ("APPROVED", "break_glass"),
    }[ruling["effect"]]
    request = {
        "facts": facts, "state": state, "because": because, "ruling": ruling, "submitted": now, "reviews": [],
        "expires": now + timedelta(minutes=ruling["minutes"] or 0), "grant": None,
        "plan": {"ttl": ask["ttl"], "actions": ask["access"]["actions"]} if ask["access"] else None,
        "after": {"verdict": None, "by": None} if because == "break_glass" else None,
    }  # fmt: skip
    return None, opened(request, now)


def not_extended(world: Dict, ask: Dict) -> str | None:
    """Say why a grant may not be gone on with: it is no credential, another's, not live, or less than is asked for."""
    if not ask["access"]:
        return "inadmissible"
    old = world["requests"].get(ask["extends"])
    if old is None or old["grant"] is None:
        return "inadmissible"
    if any(old["facts"][part] != ask[part] for part in ("principal", "actor")):
        return "not_your_grant"
    if old["grant"]["state"] != "ACTIVE" or old["facts"]["access"]["role"] != ask["access"]["role"]:
        return "inadmissible"
    more = set(ask["access"]["actions"]) - set(old["plan"]["actions"])
    others = set(ask["access"]["resources"]) - set(old["facts"]["access"]["resources"])
    return "inadmissible" if more or others else None


def opened(request: Dict, now: Any) -> Dict:
    """Open the grant of an approved request that has a plan."""
    if request["state"] != "APPROVED" or request["plan"] is None:
        return request
    glass = request["because"] == "break_glass"
    grant = {"state": "PENDING", "mint_by": now + MINT_WITHIN, "glass": glass, "ends": None, "early": False,
             "handed": False}  # fmt: skip
    return {**request, "grant": grant}


def face(request: Dict) -> str:
    """Say what somebody who looks at it approves: what is minted, under which rules, by whom, until when."""
    ruling = request["ruling"]
    seen = (request["plan"], ruling["policy"], ruling["risk"], sorted(ruling["rules"]), sorted(ruling["seats"].items()))
    return repr((*seen, request["expires"]))


def gone(world: Dict, request: Dict) -> bool:
    """Tell whether the caller, or what it may do and for whom, is not as it was any more."""
    access = request["facts"]["access"]
    if claims(world["roster"], request["facts"]):
        return True
    return bool(access and above_ceiling(world["roster"], access["role"], request["plan"]["actions"]))


def reruled(world: Dict, request: Dict) -> Dict:
    """Return a waiting request under the stricter of its ruling and today's; itself where nothing asks for more."""
    now = rule_on(world["policy"], as_now(world, request))
    ruling = stricter(request["ruling"], now)
    if ruling is request["ruling"]:
        return request
    if ruling["effect"] == "deny":
        return {**request, "ruling": ruling, "state": "DENIED", "because": "rule"}
    until = min(request["expires"], request["submitted"] + timedelta(minutes=ruling["minutes"]))
    return {**request, "ruling": ruling, "expires": until,
            "reviews": [unseated(world, ruling, one) for one in request["reviews"]]}  # fmt: skip


def as_now(world: Dict, request: Dict) -> Dict:
    """Return the recorded ask with today's clock, owners and environment."""
    facts = facts_of(world, request["facts"])
    return {**facts, "groups": request["facts"]["groups"], "owed": request["facts"]["owed"]}


def unseated(world: Dict, ruling: Dict, review: Dict) -> Dict:
    """Take the seat from an approval by somebody who is barred by now."""
    groups = groups_of(world, review["who"]) | set(review["groups"])
    return {**review, "groups": set()} if is_barred(ruling, review["who"], groups) else review


def counted(request: Dict) -> list[set[str]]:
    """Return the groups of everybody whose approval counts."""
    return [set(one["groups"]) for one in request["reviews"] if one["verdict"] == "approve"]


def missing(request: Dict) -> int:
    """Return how many seats are empty."""
    seats = request["ruling"]["seats"]
    return sum(seats.values()) - filled(seats, counted(request))


def may_answer(world: Dict, request: Dict, person: str) -> str | None:
    """Say why this person has no say: barred, has spoken, or has no seat."""
    groups = groups_of(world, person)
    if is_barred(request["ruling"], person, groups):
        return "four_eyes"
    if person in [one["who"] for one in request["reviews"]]:
        return "already_reviewed"
    return None if groups & request["ruling"]["seats"].keys() else "no_seat"


def still_open(world: Dict, request: Dict) -> str | None:
    if request["state"] != "PENDING":
        return "already_decided"
    return "expired" if world["now"] >= request["expires"] else None


def clicked(world: Dict, request: Dict, click: Dict) -> Result:
    """Say what an answer comes to; click: {"who", "verdict", "shown" (a face or None), "whole", "ttl" (or None)}."""
    if click["verdict"] == "deny":
        return answered(world, request, request, click)
    if world["frozen"]:
        return "frozen", request
    if code := still_open(world, request):
        return code, request
    if gone(world, request):
        return "forbidden", request
    after = reruled(world, request)
    if after is not request:
        tried = {**request, "ruling": after["ruling"]}
        if code := may_answer(world, tried, click["who"]):
            return code, request
        if after["state"] == "DENIED":
            return "already_decided", after
        if world["now"] >= after["expires"]:
            return "expired", after
        if click["shown"] is not None:
            return "outdated_card", after
    return answered(world, request, after, click)


def answered(world: Dict, before: Dict, request: Dict, click: Dict) -> Result:
    """Count the answer; where it is refused, the request stays as it was before."""
    if code := still_open(world, request) or may_answer(world, request, click["who"]):
        return code, before
    if click["shown"] is not None and click["shown"] != face(request):
        return "outdated_card", before
    review = {"who": click["who"], "verdict": click["verdict"], "groups": groups_of(world, click["who"])}
    after = {**request, "reviews": [*request["reviews"], review]}
    if click["verdict"] == "deny":
        return None, {**after, "state": "DENIED", "because": "reviewer"}
    if is_full(request["ruling"]["seats"], counted(after)):
        after |= {"state": "APPROVED", "because": "quorum"}
    if not click["whole"] and request["ruling"]["risk"][0] >= GRAVE:
        return "review_first", before
    if click["ttl"] is not None and (code := narrowed(after, click["ttl"])):
        return code, before
    ttl = click["ttl"] or (after["plan"] or after["facts"])["ttl"]
    if over_cap(world["policy"], as_now(world, request), ttl):
        return "forbidden", before
    if after["plan"]:
        after["plan"] = {**after["plan"], "ttl": ttl}
    return None, opened(after, world["now"])


def narrowed(request: Dict, ttl: int) -> str | None:
    """Say why the time may not be made this much."""
    if request["plan"] is None:
        return "may_not_narrow"
    if ttl == request["plan"]["ttl"]:
        return None
    if "ttl" not in request["ruling"]["narrow"]:
        return "may_not_narrow"
    return None if ttl < request["plan"]["ttl"] else "malformed"


def not_minted(world: Dict, request: Dict) -> str | None:
    """Say why an open grant must not be minted now."""
    grant, facts = request["grant"], request["facts"]
    if world["frozen"] and not grant["glass"]:
        return "frozen"
    if world["now"] >= grant["mint_by"]:
        return "too late"
    if gone(world, request):
        return "gone"
    if facts["extends"] and world["requests"][facts["extends"]]["grant"]["early"]:
        return "what it goes on with was taken away"
    now = rule_on(world["policy"], facts)
    both = stricter(request["ruling"], now)
    if both["effect"] == "deny" or over_cap(world["policy"], facts, request["plan"]["ttl"]):
        return "policy says no"
    if grant["glass"]:
        return "it needs people now" if both["effect"] == "review" else None
    needed = both["seats"] if both["effect"] != "allow" else {}
    return "seats are empty" if both["effect"] != "allow" and not is_full(needed, counted(request)) else None


def otherwise(world: Dict, request: Dict) -> bool:
    """Tell whether a world says something else of a request than was pinned: at the next click, or at the mint."""
    if request["state"] == "PENDING":
        if gone(world, request) or reruled(world, request) is not request:
            return True
        return over_cap(world["policy"], as_now(world, request), (request["plan"] or request["facts"])["ttl"])
    grant = request["grant"]
    return bool(grant and grant["state"] == "PENDING" and not_minted(world, request))


def worked(world: Dict, request: Dict) -> Dict:
    """Return a request's grant as it has to stand once workers have done all that is due."""
    grant, now = request["grant"], world["now"]
    if grant["state"] == "PENDING" and not_minted(world, request):
        return {**request, "grant": {**grant, "state": "FAILED"}}
    if grant["state"] == "PENDING":
        ends = now + timedelta(seconds=request["plan"]["ttl"])
        collect_by = min(now + COLLECT_WITHIN, ends)
        return {**request, "grant": {**grant, "state": "ACTIVE", "ends": ends, "collect_by": collect_by}}
    if grant["state"] == "ACTIVE" and now >= grant["ends"]:
        return {**request, "grant": {**grant, "state": "ENDED"}}
    if grant["state"] == "ACTIVE" and not grant["handed"] and now >= grant["collect_by"]:
        return {**request, "grant": {**grant, "state": "ENDED", "early": True}}
    return request


def in_turn(requests: Dict) -> list[str]:
    """Return the requests with a grant in the order in which workers come to them: what is due first comes first."""

    def due(one: str) -> tuple[Any, str]:
        grant = requests[one]["grant"]
        if grant["state"] == "ACTIVE":
            return grant["ends"] if grant["handed"] else grant["collect_by"], one
        return grant["mint_by"] - MINT_WITHIN, one

    return sorted((one for one in requests if requests[one]["grant"]), key=due)


def found(world: Dict, request: Dict, person: str, verdict: str) -> Result:
    """Say what an after-review comes to; an unjustified use is given words."""
    if request["after"] is None:
        return "nothing_owed", request
    if request["after"]["verdict"] is not None:
        same = request["after"] == {"verdict": verdict, "by": person}
        return (None if same else "already_decided"), request
    groups, told = groups_of(world, person), world["policy"]["break_glass"]
    if is_barred(request["ruling"], person, groups):
        return "four_eyes", request
    if not groups & {*request["ruling"]["seats"], *(("security",) if told else ())}:
        return "no_seat", request
    return None, {**request, "after": {"verdict": verdict, "by": person}}
