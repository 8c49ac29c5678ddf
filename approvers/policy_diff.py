"""Say what changes between two versions of the files, in meaning: who may do more, who is asked less, and so on.

Each change is marked stricter or looser where that can be proven from the change alone; everything else is `other`, and
a person has to think about it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import date, timedelta
from typing import Any, Literal, NamedTuple

from approvers.condition_models import When, may_cover
from approvers.policy_checks_shadow import implied
from approvers.policy_models import BreakGlass, Ladder, Level, Monitoring, Policy, Rule
from approvers.times import spell

Tends = Literal["stricter", "looser", "other"]
STRICTER: Tends = "stricter"
LOOSER: Tends = "looser"
OTHER: Tends = "other"
_EFFECTS = ("allow", "review", "deny")
MANY = 4
"""From how many words on a list is told by what comes and goes."""


class Change(NamedTuple):
    """One change: what it is of, in words, and which way it goes."""

    what: str
    words: str
    tends: Tends

    def __str__(self) -> str:
        return f"{self.what}: {self.words}" + ("" if self.tends == OTHER else f"  ({self.tends.upper()})")


def policy_changes(old: Policy, new: Policy) -> Iterator[Change]:
    """Yield what another policy means, rules first."""
    yield from _rules(old, new)
    yield from _plain("default", old.default, new.default, _ranked(("review", "deny")))
    if old.default_quorum != new.default_quorum:
        tends = _seats_tend(_seats(old, old.default_quorum), _seats(new, new.default_quorum))
        yield Change("default_quorum", f"{old.default_quorum} → {new.default_quorum}", tends)
    yield from _quorums(old, new)
    yield from keyed("ladder", old.ladders, new.ladders, _ladder)
    yield from _limits(old, new)
    yield from _plain("grants: collect_within", old.grants.collect_within, new.grants.collect_within, _duration)
    yield from _plain("grants: warn_before", old.grants.warn_before, new.grants.warn_before)
    yield from _monitoring(old.monitoring, new.monitoring)
    yield from _numbers("risk", _flat(old.risk.model_dump(by_alias=True)), _flat(new.risk.model_dump(by_alias=True)))
    for name in ("environments", "timezone"):
        yield from _plain(name, getattr(old, name), getattr(new, name))
    yield from _terms(old, new)


def keyed(
    section: str,
    old: Mapping[str, Any],
    new: Mapping[str, Any],
    changed: Callable[[str, Any, Any], Iterable[Change]],
    *,
    added: Tends = OTHER,
    removed: Tends = OTHER,
) -> Iterator[Change]:
    """Yield what comes, goes and changes in one section, in order of the names."""
    for name in sorted({*old, *new}):
        what = f"{section} {name}"
        if name not in old:
            yield Change(what, "added", added)
        elif name not in new:
            yield Change(what, "removed", removed)
        else:
            yield from changed(what, old[name], new[name])


def words_change(
    what: str, field: str, old: Iterable[str], new: Iterable[str], *, more: Tends = OTHER, fewer: Tends = OTHER
) -> Iterator[Change]:
    """Yield how a list of words changes; `more` is which way a further word goes."""
    was, now = list(old), list(new)
    if set(was) == set(now):
        return
    come, go = [one for one in now if one not in was], [one for one in was if one not in now]
    tends = more if not go else fewer if not come else OTHER
    if len(was) + len(now) > MANY:
        told = ", ".join([*(f"+{one}" for one in come), *(f"−{one}" for one in go)])
    else:
        told = f"{', '.join(was) or 'none'} → {', '.join(now) or 'none'}"
    yield Change(what, f"{field} {told}", tends)


def _rules(old: Policy, new: Policy) -> Iterator[Change]:
    for name in sorted({*old.rules, *new.rules}):
        was, now = old.rules.get(name), new.rules.get(name)
        if was is None and now is not None:
            yield Change(f"rule {name}", f"added: {now.effect}, “{now.note}”", _presence(now, new))
        elif now is None and was is not None:
            yield Change(f"rule {name}", f"removed: {was.effect}, “{was.note}”", _turned(_presence(was, old)))
        elif was is not None and now is not None:
            yield from _rule(f"rule {name}", was, now, old, new)


def _presence(rule: Rule, policy: Policy) -> Tends:
    """Tell which way a rule goes just by being there; a review that can take the default's place may relax it."""
    if rule.effect != "review":
        return STRICTER if rule.effect == "deny" else LOOSER
    if not may_cover(rule.when):
        return STRICTER
    mine, default = _seats(policy, rule.quorum or policy.default_quorum), _seats(policy, policy.default_quorum)
    at_least = policy.default == "review" and all(mine.get(group, 0) >= count for group, count in default.items())
    return STRICTER if at_least else OTHER


def _rule(what: str, was: Rule, now: Rule, old: Policy, new: Policy) -> Iterator[Change]:
    yield from _plain(what + ": effect", was.effect, now.effect, _ranked(_EFFECTS))
    for name in type(was.when).model_fields:
        yield from _condition(what, name, was, now, new)
    quorums = (was.quorum or old.default_quorum, now.quorum or new.default_quorum)
    if "review" in (was.effect, now.effect) and quorums[0] != quorums[1]:
        yield Change(what, f"quorum {quorums[0]} → {quorums[1]}",
                     _seats_tend(_seats(old, quorums[0]), _seats(new, quorums[1])))  # fmt: skip
    if was.until != now.until:
        later = (now.until or date.max) > (was.until or date.max)
        longer = LOOSER if now.effect == "allow" else STRICTER if _presence(now, new) == STRICTER else OTHER
        tends = OTHER if was.effect != now.effect else longer if later else _turned(longer)
        yield Change(what, f"until {was.until or 'for ever'} → {now.until or 'for ever'}", tends)
    yield from words_change(what, "narrow", was.narrow, now.narrow)
    for field in ("note", "owner"):
        yield from _plain(f"{what}: {field}", getattr(was, field), getattr(now, field))


def _condition(what: str, name: str, was: Rule, now: Rule, policy: Policy) -> Iterator[Change]:
    before, after = getattr(was.when, name), getattr(now.when, name)
    if before == after:
        return
    told = f"{name} {_told(before, 'any')} → {_told(after, 'any')}"
    if was.effect != now.effect:
        yield Change(what, told, OTHER)
        return
    wider, narrower = (implied(*pair, policy) for pair in ((_only(was.when, name), _only(now.when, name)),
                                                           (_only(now.when, name), _only(was.when, name))))  # fmt: skip
    holds_more = _presence(now, policy) if _presence(was, policy) == _presence(now, policy) else OTHER
    tends = OTHER if wider == narrower else holds_more if wider else _turned(holds_more)
    yield Change(what, told, tends)


def _only(when: When, name: str) -> When:
    return When.model_construct(**{name: getattr(when, name)})


def _quorums(old: Policy, new: Policy) -> Iterator[Change]:
    for name in sorted({*old.quorums, *new.quorums}):
        was, now = old.quorums.get(name), new.quorums.get(name)
        what = f"quorum {name}"
        if was is None or now is None:
            one = was or now
            assert one is not None
            yield Change(what, f"{'added' if was is None else 'removed'}: {_told_seats(one.seats)}", OTHER)
            continue
        if was.seats != now.seats:
            told = f"seats {_told_seats(was.seats)} → {_told_seats(now.seats)}"
            yield Change(what, told, _seats_tend(was.seats, now.seats))
        yield from _plain(f"{what}: ladder", was.ladder, now.ladder)


def _seats(policy: Policy, quorum: str) -> Mapping[str, int]:
    return policy.quorums[quorum].seats


def _seats_tend(was: Mapping[str, int], now: Mapping[str, int]) -> Tends:
    if was == now:
        return OTHER
    if all(now.get(group, 0) >= count for group, count in was.items()):
        return STRICTER
    return LOOSER if all(was.get(group, 0) >= count for group, count in now.items()) else OTHER


def _told_seats(seats: Mapping[str, int]) -> str:
    return " + ".join(f"{count} of {group}" for group, count in sorted(seats.items()))


def _ladder(what: str, was: Ladder, now: Ladder) -> Iterator[Change]:
    yield from _plain(f"{what}: expires_after", was.expires_after, now.expires_after)
    for number in range(max(len(was.levels), len(now.levels))):
        one = was.levels[number] if number < len(was.levels) else None
        other = now.levels[number] if number < len(now.levels) else None
        if one != other:
            told = f"level {number + 1} {_told_level(one)} → {_told_level(other)}"
            yield Change(what, told, _level_tends(one, other))


def _level_tends(was: Level | None, now: Level | None) -> Tends:
    fills = (was.may_fill if was else None, now.may_fill if now else None)
    if fills[0] == fills[1]:
        return OTHER
    return LOOSER if fills[0] is None else STRICTER if fills[1] is None else OTHER


def _told_level(level: Level | None) -> str:
    if level is None:
        return "none"
    more = [f"may fill {level.may_fill}"] if level.may_fill else []
    return f"after {_told(level.after)} asks {', '.join([*level.ask, *more, *(['and alerts'] if level.alert else [])])}"


def _limits(old: Policy, new: Policy) -> Iterator[Change]:
    for table in ("ttl_max", "ttl_default"):
        was, now = getattr(old.limits, table), getattr(new.limits, table)
        for name in sorted({*was, *now}):
            yield from _plain(f"limits: {table} {name}", was.get(name), now.get(name), _duration)
    yield from _plain("limits: actions_max", old.limits.actions_max, new.limits.actions_max, _ranked_down)
    was, now = old.limits.denied_cool_down, new.limits.denied_cool_down
    longer = (now or timedelta(0)) > (was or timedelta(0))
    yield from _plain("limits: denied_cool_down", was, now, lambda _was, _now: STRICTER if longer else LOOSER)


def _numbers(section: str, was: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[Change]:
    """Yield how points change: more of them is stricter, a band that begins later is looser."""
    for name in sorted({*was, *now}):
        before, after = was.get(name), now.get(name)
        if isinstance(before or after, tuple | list):
            yield from words_change(section, name, before or (), after or (), more=STRICTER, fewer=LOOSER)
        elif before != after:
            up: Tends = LOOSER if name.startswith("bands.") else STRICTER
            known = isinstance(before, int) and isinstance(after, int)
            tends = OTHER if not known else up if int(after or 0) > int(before or 0) else _turned(up)
            yield Change(section, f"{name} {_told(before)} → {_told(after)}", tends)


def _flat(table: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in table.items():
        flat |= _flat(value, f"{above}{name}.") if isinstance(value, dict) else {f"{above}{name}": value}
    return flat


def _terms(old: Policy, new: Policy) -> Iterator[Change]:
    was, now = old.break_glass, new.break_glass
    if was is None or now is None:
        if was is not now:
            yield Change("break_glass", "opened" if was is None else "closed", LOOSER if was is None else STRICTER)
    else:
        yield from _break_glass(was, now)
    names = (old.apply.quorum if old.apply else None, new.apply.quorum if new.apply else None)
    if names[0] != names[1]:
        seats = [_seats(policy, name) if name else {} for policy, name in zip((old, new), names, strict=True)]
        yield Change("apply", f"a change needs {names[0] or 'nobody else'} → {names[1] or 'nobody else'}",
                     _seats_tend(*seats))  # fmt: skip


def _break_glass(was: BreakGlass, now: BreakGlass) -> Iterator[Change]:
    what = "break_glass"
    yield from words_change(what, "who", was.who, now.who, more=LOOSER, fewer=STRICTER)
    yield from words_change(what, "require", was.require, now.require, more=STRICTER, fewer=LOOSER)
    yield from words_change(what, "tell", was.tell, now.tell, more=STRICTER, fewer=LOOSER)
    yield from _plain(f"{what}: ttl_max", was.ttl_max, now.ttl_max, _duration)
    yield from _plain(f"{what}: review_within", was.review_within, now.review_within, _duration)
    yield from _plain(f"{what}: open_max", was.open_max, now.open_max, _ranked_down)


def _monitoring(was: Monitoring, now: Monitoring) -> Iterator[Change]:
    """More points before a session is ended, or people are asked, are looser; so is looking less long."""
    for field in ("kill_at", "ask_at"):
        one, other = getattr(was, field), getattr(now, field)
        tends = LOOSER if (other or 10_000) > (one or 10_000) else STRICTER
        if one != other:
            yield Change(f"monitoring: {field}", f"{one or 'never'} → {other or 'never'}", tends)
    yield from _plain("monitoring: watch_for", was.watch_for, now.watch_for, lambda a, b: _turned(_duration(a, b)))


def _plain(
    what: str, was: object, now: object, tends: Callable[[Any, Any], Tends] = lambda _was, _now: OTHER
) -> Iterator[Change]:
    if was != now:
        yield Change(what, f"{_told(was)} → {_told(now)}", tends(was, now))


def _ranked(order: tuple[str, ...]) -> Callable[[str, str], Tends]:
    """Return which way a word of this order goes; the strictest is last."""
    return lambda was, now: STRICTER if order.index(now) > order.index(was) else LOOSER


def _ranked_down(was: int, now: int) -> Tends:
    return LOOSER if now > was else STRICTER


def _duration(was: timedelta | None, now: timedelta | None) -> Tends:
    """A cap that is gone is looser, and so is a longer one."""
    return LOOSER if (now or timedelta.max) > (was or timedelta.max) else STRICTER


def _turned(tends: Tends) -> Tends:
    return {STRICTER: LOOSER, LOOSER: STRICTER}.get(tends, OTHER)


def _told(value: object, nothing: str = "nothing") -> str:
    match value:
        case None:
            return nothing
        case timedelta():
            return spell(value) if value else "0m"
        case tuple() | list():
            return ", ".join(map(str, value))
    return str(value)
