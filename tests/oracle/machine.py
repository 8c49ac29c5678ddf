"""Drive the running product and the oracle side by side, and compare them after every step.

The steps are random; some of them are short stories (asked, looked at, changed, clicked; approved, changed, minted),
because what matters lies between two of them. What has to come of each is the oracle's word alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import TypeVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from tests.oracle import answers, asks
from tests.oracle.comparing import Comparing
from tests.oracle.files import PEOPLE, Dict, changed_policy, changed_roster, first_policy, first_roster
from tests.oracle.town import START, Town

T = TypeVar("T")
NUMBERS = st.sampled_from(range(60))
"""Which one of what there is: counted round."""
WHO = st.sampled_from([*["fit"] * 5, *PEOPLE])
"""`fit`: somebody whom the oracle lets answer, if there is anybody."""
HANDS = ("slack", "console", "api-shown", "slack", "api", "console-list")
VIAS = st.sampled_from(HANDS)
VERDICTS = st.sampled_from(["approve"] * 5 + ["deny"])
POLICY = ("rule", "seats", "minutes", "default", "cap", "glass", "until")
ROSTER = ("member", "owners", "account", "ceiling", "caller")
LATER = {"late": 12, "over": 40}
"""Minutes after which a grant is not minted any more, and after which nobody's answer counts."""
WHAT = ("freeze", "cap", "owners", "late", "rule", "ceiling", "seats", "member", "caller", "over", "account", "default",
        "minutes", "until", "rule", "owners", "glass")  # fmt: skip
"""What changes around a request; stories take one after the other."""
NAMES = range(13)
"""As many as any kind of change has variants."""
MINUTES = st.sampled_from([1, 5, 12, 25, 40])
STARTS = st.sampled_from([0, 0, 0, 0, 150, 465, 1000])
"""Minutes after the beginning at which an example sets in: at once, before the night, near midnight, on Saturday."""


class Machine(Comparing, RuleBasedStateMachine):
    """Asks, clicks, changes, mints."""

    def __init__(self) -> None:
        super().__init__()
        self.world: Dict = {
            "policy": first_policy(), "roster": first_roster(), "frozen": False, "now": START, "requests": {},
        }  # fmt: skip
        self.stories = 0
        self.screens: dict[str, list[tuple[str, str]]] = {}
        """What people have before them of each request: the digest, and what the oracle says it stands for."""
        self.town = Town(self.stage.slack)
        self.run(self.town.open(self.world["policy"], self.world["roster"]))

    def teardown(self) -> None:
        self.run(self.town.close())

    # ---- asking

    @initialize(spec=asks.ASKS, start=STARTS)
    def first(self, spec: Dict, start: int) -> None:
        """Begin with an ask."""
        self._pass(start)
        self._ask(spec)

    @rule(spec=asks.ASKS)
    def ask(self, spec: Dict) -> None:
        self._ask(spec)

    @rule(spec=asks.GLASS)
    def break_glass(self, spec: Dict) -> None:
        self._ask(spec)

    @precondition(lambda self: self._with_grant())
    @rule(pick=NUMBERS, number=NUMBERS, live=st.booleans())
    def extend(self, pick: int, number: int, live: bool) -> None:
        self._extend(pick, _picked(asks.LONGER, number), live=live)

    def _extend(self, pick: int, spec: Dict, *, live: bool) -> str | None:
        known = self._with_grant()
        live_ones = [one for one in known if self.world["requests"][one]["grant"]["state"] == "ACTIVE"]
        old = _picked(live_ones if live and live_ones else known, pick)
        facts = self.world["requests"][old]["facts"]
        same = ("principal", "actor", "behalf", "action", "resource", "environment", "data", "access", "stage", "risk")
        ask = {**{part: facts[part] for part in same}, "reason": "It takes longer.", "ticket": None,
               "break_glass": False, "extends": old, **spec}  # fmt: skip
        if "resource" in spec and ask["access"]:
            ask["access"] = {**ask["access"], "resources": [spec["resource"]]}
        return self._ask(ask)

    def _ask(self, ask: Dict) -> str | None:
        self.stage.steps += 1
        answer = self.run(self.town.ask(ask))
        code, wanted = answers.asked(self.world, ask)
        got = None if answer.status in (200, 202) else answer.code
        self._same("ask", got, code, ask)
        self._met("extend" if ask["extends"] else "ask", code or wanted["ruling"]["effect"])
        if code is not None:
            return None
        request = str(answer.json["id"])
        self.world["requests"][request] = wanted
        self._compare("ask", request, answer.json)
        return request

    # ---- looking and clicking

    @precondition(lambda self: self.world["requests"])
    @rule(pick=NUMBERS)
    def look(self, pick: int) -> None:
        self._look(self._likely(pick))

    @precondition(lambda self: self.world["requests"])
    @rule(pick=NUMBERS, who=WHO, verdict=VERDICTS, via=VIAS, old=NUMBERS, ttl=st.sampled_from([None, None, 60, 600]))
    def click(self, pick: int, who: str, verdict: str, via: str, old: int, ttl: int | None) -> None:
        self._click(self._likely(pick), who, verdict, via, old=old, ttl=ttl)

    @rule(number=NUMBERS)
    def looked_at_then_changed_then_clicked(self, number: int) -> None:
        """Change something between the look and the click, another thing every time; then look again."""
        turn = self._next_story(number)
        if (request := self._ask(asks.plain(turn))) is None:
            return
        what, via = _picked(WHAT, turn), _picked(HANDS, turn // 3)
        if what in ("owners", "member") and answers.missing(self.world["requests"][request]) > 1:
            self._click(request, "fit", "approve", "api", old=0)
        self._look(request)
        self._change_for(request, what, turn // 2)
        self._click(request, "fit", "approve", via, old=0)
        if turn % 2:
            self._look(request)
            self._click(request, "fit", "approve", via, old=0)

    @rule(number=NUMBERS)
    def approved_then_changed_then_minted(self, number: int) -> None:
        """Change something between the last approval and the mint, another thing every time."""
        turn = self._next_story(number)
        if (request := self._ask(asks.plain(turn))) is None:
            return
        self._approve(request, _picked(HANDS, turn))
        self._change_for(request, _picked(WHAT, turn), turn)
        self._work()

    @rule(number=NUMBERS)
    def changed_then_asked(self, number: int) -> None:
        """Change something, then have somebody ask, as they should or not."""
        turn = self._next_story(number)
        self._change(_picked(WHAT, turn), turn)
        self._ask(asks.plain(asks.ALLOWED if turn % 2 else turn // 2))
        self._ask(asks.wrong(turn))

    @rule(number=NUMBERS)
    def clicked_by_one_after_the_other(self, number: int) -> None:
        """Have people answer in turn, whether they may or not, and the first of them twice."""
        turn = self._next_story(number)
        if (request := self._ask(asks.plain(turn))) is None:
            return
        people = [_picked(sorted(PEOPLE), turn + one) for one in range(3)]
        for one, who in enumerate((people[0], *people)):
            ttl = (None, 300, None, 60)[(turn + one) % 4]
            self._click(request, who, "approve", _picked(HANDS, turn // 2 + one), old=0, ttl=ttl)

    def _approve(self, request: str, via: str) -> None:
        """Have people approve until it is decided, or nobody is left who may."""
        for _ in range(4):
            if self.world["requests"][request]["state"] != "PENDING":
                return
            self._look(request)
            whole = via == "console-list" or (via == "slack" and not self._read_at_once(request))
            self._click(request, "fit", "approve", "console" if whole else via, old=0)

    def _look(self, request: str) -> None:
        self.stage.steps += 1
        shown = self.run(self.town.look(request))
        self._same("console", bool(shown), self.world["requests"][request]["state"] == "PENDING", "can be answered")
        if shown:
            seen = answers.face(self.world["requests"][request])
            screens = self.screens.setdefault(request, [])
            for digest, face in screens:  # the digest says exactly what the oracle says
                self._same("card", digest == shown, face == seen, "two looks at one card")
            screens.append((shown, seen))

    def _click(self, request: str, who: str, verdict: str, via: str, *, old: int, ttl: int | None = None) -> None:
        self.stage.steps += 1
        if request not in self.screens and via != "api":
            self._look(request)
        digest, face = _picked(self.screens.get(request, [("", "")])[::-1], old)
        if not digest:
            via = "api"
        before = self.world["requests"][request]
        click = {
            "who": self._fit(before) if who == "fit" else who,
            "verdict": verdict,
            "shown": None if via == "api" else face,
            "whole": via not in ("slack", "console-list"),
            "ttl": ttl if via.startswith("api") and verdict == "approve" else None,
        }
        hands = {"slack": self.town.by_slack, "console": self.town.by_console, "console-list": self.town.by_console}
        if via in hands:
            got = self.run(hands[via](request, click, digest))
        else:
            got = self.run(self.town.by_api(request, click, None if via == "api" else digest))
        code, self.world["requests"][request] = answers.clicked(self.world, before, click)
        self._same(f"click by {via}", got, code, click)
        self._met(via, code or self.world["requests"][request]["state"])
        same = self.world["requests"][request]["ruling"] is before["ruling"]
        self._met("click", "as it was" if same else "reruled")
        self._compare(f"click by {via}", request)

    def _fit(self, request: Dict) -> str:
        fit = [one for one in PEOPLE if answers.may_answer(self.world, request, one) is None]
        return fit[0] if fit else "bob"

    # ---- changing what is around

    @rule(what=st.sampled_from(WHAT), number=NUMBERS)
    def change(self, what: str, number: int) -> None:
        self._change(what, number)

    @rule(minutes=MINUTES)
    def later(self, minutes: int) -> None:
        self._pass(minutes)

    @precondition(lambda self: self.world["frozen"])
    @rule()
    def unfreeze(self) -> None:
        self._change("freeze", 0)

    def _next_story(self, number: int) -> int:
        """Lift the freeze, and mostly go back to the first policy and roster; returns which turn of stories this is."""
        if self.world["frozen"]:
            self._change("freeze", 0)
        self.stories += 1
        if self.stories % 4:
            self._apply({**self.world, "policy": first_policy(), "roster": first_roster()})
        return number + self.stories

    def _change_for(self, request: str, what: str, number: int) -> None:
        """Change something of this kind: as the oracle rules otherwise on the request, where that can be."""
        found = self.world["requests"][request]
        numbers = [(number + one) % len(NAMES) for one in range(len(NAMES))]
        telling = [one for one in numbers if answers.otherwise(_changed(self.world, what, one), found)]
        self._change(what, (telling or numbers)[0])

    def _read_at_once(self, request: str) -> bool:
        return bool(self.world["requests"][request]["ruling"]["risk"][0] < answers.GRAVE)

    def _change(self, what: str, number: int) -> None:
        self.stage.steps += 1
        if what in LATER:
            self._pass(LATER[what])
        elif what == "freeze":
            self.world["frozen"] = not self.world["frozen"]
            self.run(self.town.freeze(on=self.world["frozen"]))
        else:
            self._apply(_changed(self.world, what, number))

    def _apply(self, world: Dict) -> None:
        if self.run(self.town.apply(world["policy"], world["roster"])):
            self.world = world

    def _pass(self, minutes: int) -> None:
        self.stage.steps += 1
        self.run(self.town.passes(timedelta(minutes=minutes)))
        self.world["now"] = self.town.time

    # ---- workers, clock, callers

    @rule()
    def work(self) -> None:
        self._work()

    def _work(self) -> None:
        self.stage.steps += 1
        self.run(self.town.work())
        moved = answers.in_turn(self.world["requests"])
        for one in moved:
            if self.world["requests"][one]["grant"]["state"] == "PENDING":
                self._met("mint", answers.not_minted(self.world, self.world["requests"][one]) or "minted")
            self.world["requests"][one] = answers.worked(self.world, self.world["requests"][one])
        for request in moved:
            self._compare("mint", request)

    @rule()
    def tick(self) -> None:
        """Let the clock close what nobody answered in time."""
        self.stage.steps += 1
        self.run(self.town.tick())
        for request in self._waiting():
            found = self.world["requests"][request]
            if self.world["now"] >= found["expires"]:
                self.world["requests"][request] = {**found, "state": "EXPIRED", "because": "nobody_answered"}
            self._compare("clock", request)

    @precondition(lambda self: self._with_grant())
    @rule(pick=NUMBERS, how=st.sampled_from(["credential", "credential", "revoke", "release"]), other=st.booleans())
    def end_or_collect(self, pick: int, how: str, other: bool) -> None:
        self._end(_picked(self._with_grant(), pick), how, other=other)

    @rule(number=NUMBERS)
    def minted_then_extended_then_minted(self, number: int) -> None:
        """Go on with a live grant, which may be taken away before that is asked, or before it is minted."""
        turn = self._next_story(number)
        if (old := self._ask(asks.plain(turn))) is None:
            return
        self._approve(old, _picked(HANDS, turn))
        self._work()
        if not self.world["requests"][old]["grant"]:
            return
        taken = ("", "before", "revoke", "", "release")[turn % 5]
        if taken == "before":
            self._end(old, "revoke", other=False)
        new = self._extend(self._with_grant().index(old), _picked(asks.LONGER, turn), live=False)
        if new:
            self._approve(new, _picked(HANDS, turn + 1))
            if taken:
                self._end(old, taken.replace("before", "revoke"), other=False)
            self._work()

    @rule(number=NUMBERS)
    def used_then_reviewed_then_used(self, number: int) -> None:
        """Use break-glass, have one after the other review it, and use it again: before, or after."""
        turn = self._next_story(number)
        used = self._ask(asks.used(turn))
        if turn % 3 == 0:
            self._ask(asks.used(turn))
        for one in range(3 if used and self.world["requests"][used]["after"] else 0):
            who = _picked(sorted(PEOPLE), turn + one)
            self._find(used or "", who, ("justified", "unjustified")[turn % 2], ("api", "console")[(turn + one) % 2])
        self._work()

    def _end(self, request: str, how: str, *, other: bool) -> None:
        self.stage.steps += 1
        found = self.world["requests"][request]
        owner = found["facts"]["principal"]
        who = "user:kim" if how == "revoke" else ("user:bob" if other else owner)
        grant, mine = found["grant"], how == "revoke" or who == owner
        got = self.run(self.town.end(request, who, how)) == 200
        live = grant["state"] == "ACTIVE" and self.world["now"] < grant["ends"]
        wanted = mine and (how != "credential" or live)
        failed = how != "credential" and grant["state"] == "FAILED"
        self._same(how, got, wanted and not failed, found["grant"]) if not failed else None
        if how == "credential" and wanted:
            self.world["requests"][request] = {**found, "grant": {**grant, "handed": True}}
        if how != "credential" and mine and grant["state"] in ("PENDING", "ACTIVE"):
            self.world["requests"][request] = {**found, "grant": {**grant, "state": "ENDED", "early": True}}
        self._compare(how, request)

    @precondition(lambda self: self._glass())
    @rule(pick=NUMBERS, who=st.sampled_from([*PEOPLE]), verdict=st.sampled_from(["justified", "unjustified"]),
          via=st.sampled_from(["api", "console"]))  # fmt: skip
    def after_review(self, pick: int, who: str, verdict: str, via: str) -> None:
        self._find(_picked(self._glass(), pick), who, verdict, via)

    def _find(self, request: str, who: str, verdict: str, via: str) -> None:
        self.stage.steps += 1
        got = self.run(self.town.after_review(request, who, verdict, via))
        code, self.world["requests"][request] = answers.found(self.world, self.world["requests"][request], who, verdict)
        self._same("after-review", got, code, who)
        self._met("after-review", code or verdict)
        self._compare("after-review", request)

    # ---- what is there

    def _waiting(self) -> list[str]:
        return [one for one, found in self.world["requests"].items() if found["state"] == "PENDING"]

    def _with_grant(self) -> list[str]:
        return [one for one, found in self.world["requests"].items() if found["grant"]]

    def _live(self) -> list[str]:
        return [one for one in self._with_grant() if self.world["requests"][one]["grant"]["state"] == "ACTIVE"]

    def _glass(self) -> list[str]:
        return [one for one, found in self.world["requests"].items() if found["after"]]

    def _likely(self, pick: int) -> str:
        """Return one of those that wait and are in time, mostly."""
        fresh = [one for one in self._waiting() if self.world["now"] < self.world["requests"][one]["expires"]]
        return _picked((fresh if pick % 6 else None) or [*self.world["requests"]], pick)


def _changed(world: Dict, what: str, number: int) -> Dict:
    """Return the world under other rules or another roster; the freeze and the clock are not changed here."""
    if what in POLICY:
        return {**world, "policy": changed_policy(world["policy"], what, number)}
    return {**world, "roster": changed_roster(world["roster"], what, number)} if what in ROSTER else world


def _picked(found: Sequence[T], pick: int) -> T:
    return found[pick % len(found)]
