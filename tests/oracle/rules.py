"""Say what policy demands of one ask, written from the field guide alone: plain functions over plain dicts.

Nothing of the product is imported here; what the product says is held against this. Policies, rosters and asks are the
dicts of `tests.oracle.files` and `tests.oracle.asks`; "facts" are an ask with what was true around it.
"""

from __future__ import annotations

import re
from typing import Any

Dict = dict[str, Any]
ENVIRONMENTS = ["dev", "staging", "prod", "unknown"]
RISKS = ["low", "medium", "high", "critical"]
BANDS = [30, 60, 85]
STRICTNESS = ["allow", "break_glass", "review", "deny"]
LEVELS = {"s3:GetObject": "Read", "s3:PutObject": "Write", "s3:DeleteObject": "Write"}
"""What the asks of the machine do; anything else is unknown."""
LEVEL_POINTS = {"Read": 5, "Write": 25, "unknown": 40}
PLACE_POINTS = {"dev": 0, "staging": 8, "prod": 20, "unknown": 20}
DATA_POINTS = 20
CLAIMED = {"stage", "data_class", "ttl_over", "risk_at_least", "reason_missing", "reason_shorter_than",
           "ticket_missing"}  # fmt: skip
"""Conditions that rest on the caller's word, or that care could avoid: such a rule never speaks for the default."""


def places(facts: Dict) -> list[str]:
    """Every environment that counts: the account's, and stricter ones up to the claim; without account, any doubt."""
    claim = ENVIRONMENTS.index(facts["environment"]) if facts["environment"] in ENVIRONMENTS else 3
    if facts["account"] is None:
        return ENVIRONMENTS if claim == 3 else [ENVIRONMENTS[claim], "unknown"]
    proven = ENVIRONMENTS.index(facts["account"])
    return ENVIRONMENTS[proven : max(proven, claim) + 1]


def names(facts: Dict) -> list[str]:
    """Every action of the ask: the headline, and what the credential could do."""
    return list(dict.fromkeys([facts["action"], *(facts["access"] or {"actions": []})["actions"]]))


def levels(facts: Dict) -> list[str]:
    return [LEVELS.get(name, "unknown") for name in names(facts)]


def risk(facts: Dict) -> tuple[int, int]:
    """The level (as a place in RISKS) and the points; a claim may only raise the level."""
    points = max(LEVEL_POINTS[level] for level in levels(facts))
    points += max(PLACE_POINTS[place] for place in places(facts))
    points += DATA_POINTS if facts["data"] else 0
    level = sum(points >= band for band in BANDS)
    return max(level, RISKS.index(facts["risk"]) if facts["risk"] else 0), points


def like(pattern: str, word: str) -> bool:
    return re.fullmatch(".*".join(re.escape(part) for part in pattern.split("*")), word, re.DOTALL) is not None


def words(condition: str, facts: Dict) -> list[str]:
    """What the ask has of one kind, each of which a list of a rule is held against."""
    found: dict[str, list[str]] = {
        "principal": [facts["principal"]],
        "principal_kind": [facts["kind"]],
        "action": [name.lower() for name in names(facts)],
        "access_level": levels(facts),
        "environment": places(facts),
        "data_class": facts["data"],
        "stage": [facts["stage"]] if facts["stage"] else [],
        "weekday": [facts["at"].strftime("%a").lower()],
    }
    return found[condition]


def holds(condition: str, wanted: Any, facts: Dict, *, for_all: bool) -> bool:
    """Tell whether one condition holds: for every element of the ask, or for any."""
    match condition:
        case "ttl_over":
            return bool(facts["ttl"] > wanted)
        case "ttl_at_most":
            return bool(facts["ttl"] <= wanted)
        case "risk_at_least":
            return risk(facts)[0] >= RISKS.index(wanted)
        case "risk_below":
            return risk(facts)[0] < RISKS.index(wanted)
        case "outside_hours":
            start, _, end = wanted.partition("-")
            return not start <= facts["at"].strftime("%H:%M") < end
        case "reason_missing":
            return not facts["reason"].strip()
        case "reason_shorter_than":
            return len(facts["reason"].strip()) < wanted
        case "ticket_missing":
            return not (facts["ticket"] or "").strip()
    has = words(condition, facts)
    fits = [any(like(one.lower(), word.lower()) for one in wanted) for word in has]
    return bool(has) and (all(fits) if for_all else any(fits))


def rule_on(policy: Dict, facts: Dict) -> Dict:
    """Return policy's answer: effect, rules, seats, who is barred, minutes to answer, what may be narrowed, risk."""
    found: dict[str, list[str]] = {"deny": [], "review": [], "allow": []}
    covered = False
    for name, rule in sorted(policy["rules"].items()):
        if rule.get("until") and facts["at"].date() > rule["until"]:
            continue
        when = rule["when"].items()
        whole = all(holds(condition, wanted, facts, for_all=True) for condition, wanted in when)
        part = all(holds(condition, wanted, facts, for_all=False) for condition, wanted in when)
        if whole if rule["effect"] == "allow" else part:
            found[rule["effect"]].append(name)
        covered = covered or (whole and not CLAIMED & set(rule["when"]))
    return _answer(policy, facts, found, covered=covered)


def _answer(policy: Dict, facts: Dict, found: dict[str, list[str]], *, covered: bool) -> Dict:
    effect, by_default, why_closed = "allow", not covered and not found["deny"], None
    if found["deny"] or (not covered and policy["default"] == "deny"):
        effect = "deny"
    elif found["review"] or not covered:
        effect = "review"
    told = found[effect]
    asking = effect == "review"
    quorums = {policy["rules"][name].get("quorum", "one") for name in told} if asking else set()
    if asking and by_default:
        quorums.add("one")
    narrow = set[str]()
    if asking and told:
        narrow = set.intersection(*(set(policy["rules"][name].get("narrow", ())) for name in told))
    if asking and facts["break_glass"]:
        narrow = set()
        why_closed = closed(policy, facts)
        effect = "deny" if why_closed else "break_glass"
        if why_closed:
            told, quorums = [], set()
    seats: dict[str, int] = {}
    for quorum in quorums:
        for group, count in policy["quorums"][quorum]["seats"].items():
            seats[group] = max(count, seats.get(group, 0))
    return {
        "effect": effect,
        "rules": [] if effect == "deny" and by_default else told,
        "seats": seats,
        "barred": barred(facts),
        "minutes": min((policy["quorums"][quorum]["minutes"] for quorum in quorums), default=None),
        "narrow": narrow,
        "risk": risk(facts),
        "policy": policy["name"],
    }


def closed(policy: Dict, facts: Dict) -> str | None:
    """Say why break-glass is not open; it is for people whom the policy names, with words, and once."""
    terms = policy["break_glass"]
    if terms is None or facts["kind"] != "person":
        return "nobody may"
    if not {facts["principal"], *(f"group:{group}" for group in facts["groups"])} & set(terms["who"]):
        return "not this person"
    if any(not (facts[name] or "").strip() for name in terms["require"]):
        return "words are missing"
    return "one is not reviewed yet" if facts["owed"] >= terms["open_max"] else None


def barred(facts: Dict) -> set[str]:
    """Who can have no say: the asker, who acts, the human behind it, and who owns the caller."""
    asking = {facts["principal"], facts["actor"], facts["behalf"]}
    return {who for who in asking if who and who.startswith("user:")} | set(facts["owners"])


def is_barred(ruling: Dict, person: str, groups: set[str]) -> bool:
    return bool({f"user:{person}", *(f"group:{group}" for group in groups)} & ruling["barred"])


def over_cap(policy: Dict, facts: Dict, ttl: int) -> bool:
    """Tell whether a TTL is longer than the smallest cap that applies."""
    caps = policy["ttl_max"]
    found = [caps[name] for name in ("default", *places(facts), *levels(facts)) if name in caps]
    if facts["break_glass"] and policy["break_glass"]:
        found.append(policy["break_glass"]["ttl_max"])
    return ttl > min(found)


def stricter(old: Dict, new: Dict) -> Dict:
    """Return the ruling that satisfies both; the old one itself where the new one asks for nothing more."""
    rank = {one: STRICTNESS.index(one) for one in STRICTNESS}
    top = max(old["effect"], new["effect"], key=rank.__getitem__)
    minutes = [one["minutes"] for one in (old, new) if one["minutes"] is not None]
    seats = {group: max(one["seats"].get(group, 0) for one in (old, new)) for group in {*old["seats"], *new["seats"]}}
    both = {
        "effect": top,
        "rules": sorted({name for one in (old, new) if one["effect"] == top for name in one["rules"]}),
        "seats": seats,
        "barred": old["barred"] | new["barred"],
        "minutes": min(minutes, default=None),
        "narrow": old["narrow"] & new["narrow"] if new["effect"] == "review" else old["narrow"],
        "risk": max(old["risk"], new["risk"]),
        "policy": new["policy"],
    }
    same = all(both[part] == old[part] for part in ("effect", "seats", "barred", "minutes", "narrow"))
    return old if same else both


def filled(seats: dict[str, int], people: list[set[str]]) -> int:
    """Return how many seats these people (each by their groups) can fill at once, one seat each: by trying it all."""
    if not people:
        return 0
    first, *others = people
    best = filled(seats, others)
    for group in first:
        if seats.get(group, 0) > 0:
            best = max(best, 1 + filled({**seats, group: seats[group] - 1}, others))
    return best


def is_full(seats: dict[str, int], people: list[set[str]]) -> bool:
    """Tell whether every seat is filled; a ruling without seats never is."""
    return bool(seats) and filled(seats, people) == sum(seats.values())
