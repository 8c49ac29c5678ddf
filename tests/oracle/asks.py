"""What callers and people of the machine ask for: as they should, and now and then as they should not."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

Dict = dict[str, Any]
RESOURCE, ANOTHER = "arn:aws:s3:::exports/2026/*", "arn:aws:s3:::exports/2027/*"
SPEAKERS = (
    *((("caller:report-bot", "agent:report-bot", "user:dana"),) * 4),
    ("caller:report-bot", "agent:report-2", None),
    ("caller:report-bot", "agent:report-2", "user:robin"),
    ("caller:report-bot", "agent:other", None),
    ("caller:report-bot", "agent:report-bot", "user:nobody"),
    ("caller:deploy", "pipeline:main", None),
    ("caller:deploy", "pipeline:main", None),
    ("caller:deploy", "pipeline:main", "user:dana"),
    ("user:robin", "user:robin", None),
    ("user:alex", "user:alex", None),
    ("user:alex", "agent:report-bot", None),
)
"""Who asks, who acts by their word, and for whom: a few of them may not."""
ACTIONS = (
    ("s3:GetObject",),
    ("s3:PutObject",),
    ("s3:PutObject",),
    ("s3:DeleteObject",),
    ("s3:GetObject", "s3:PutObject"),
)
MOSTLY = {
    "environment": ("prod", "prod", "staging", "dev", "moon"),
    "reason": ("Rebuild the weekly report",) * 5 + ("fix", "  "),
    "ticket": (None, "INC-1"),
    "ttl": (600, 600, 900, 1500, 2700, 5400),
    "data": ([], [], [], ["pii"]),
    "stage": (None, None, None, "training"),
    "risk": (None, None, None, None, "high"),
}


USUAL = (
    (("s3:PutObject",), "shop", "prod"),
    (("s3:PutObject",), "shop", "prod"),
    (("s3:GetObject", "s3:PutObject"), "shop", "prod"),
    (("s3:GetObject",), "shop", "prod"),
    (("s3:GetObject",), "lab", "dev"),
    (("s3:PutObject",), "lab", "staging"),
    (("s3:DeleteObject",), "lab", "dev"),
)
"""Asks without a fault, which people answer or a rule allows: every other ask is one of these."""
ALLOWED = 4
"""Which of them a rule allows, at first."""


def plain(number: int) -> Dict:
    """Return an ask without a fault, one after the other."""
    actions, role, environment = USUAL[number % len(USUAL)]
    principal, actor, behalf = SPEAKERS[0]
    access = {"role": role, "actions": list(actions), "resources": [RESOURCE]}
    return {"principal": principal, "actor": actor, "behalf": behalf, "action": actions[0], "resource": RESOURCE,
            "access": access, "break_glass": False, "extends": None, "environment": environment, "stage": None,
            "reason": "Rebuild the weekly report", "ticket": None, "ttl": (900, 1500, 600)[number // 2 % 3],
            "data": ["pii"] if number % 5 == 3 else [], "risk": None}  # fmt: skip


def wrong(number: int) -> Dict:
    """Return an ask that is as it should be but for one thing, which another rule, cap or claim looks at."""
    principal, actor, behalf = SPEAKERS[number % len(SPEAKERS)]
    name = sorted(MOSTLY)[number % len(MOSTLY)]
    found = {**plain(number), "principal": principal, "actor": actor, "behalf": behalf}
    return {**found, name: MOSTLY[name][-1 - number % 2]}


def used(number: int) -> Dict:
    """Return a use of break-glass by somebody who may."""
    who = ("user:kim", "user:robin")[number % 2]
    more = {"principal": who, "actor": who, "behalf": None, "ticket": "INC-3", "ttl": 600, "break_glass": True}
    return {**plain(0), **more}


@st.composite
def asks(draw: st.DrawFn) -> Dict:
    """Return any ask without break-glass."""
    if draw(st.booleans()):
        return plain(draw(st.integers(0, 17)))
    principal, actor, behalf = draw(st.sampled_from(SPEAKERS))
    actions = draw(st.sampled_from(ACTIONS))
    role = draw(st.sampled_from(["shop", "shop", "lab", None]))
    return _ask(draw, principal, actor, behalf, actions=actions, role=role)


@st.composite
def glass(draw: st.DrawFn) -> Dict:
    """Return an ask with break-glass: of a person who may, or of somebody who may not."""
    who = draw(st.sampled_from(["user:kim", "user:kim", "user:robin", "user:dana", "user:ines", "caller:deploy"]))
    actor = "pipeline:main" if who == "caller:deploy" else who
    ask = _ask(draw, who, actor, None, actions=("s3:PutObject",), role=draw(st.sampled_from(["shop", "shop", "lab"])))
    usual = {"reason": "It is down.", "ticket": "INC-2", "ttl": 600, "environment": "prod"}
    return {**ask, **(usual if draw(st.sampled_from([True, True, True, False])) else {}), "break_glass": True}


def _ask(draw: st.DrawFn, principal: str, actor: str, behalf: str | None, *, actions: Any, role: str | None) -> Dict:
    access = {"role": role, "actions": list(actions), "resources": [RESOURCE]} if role else None
    more = {name: draw(st.sampled_from(values)) for name, values in MOSTLY.items()}
    return {"principal": principal, "actor": actor, "behalf": behalf, "action": actions[0], "resource": RESOURCE,
            "access": access, "break_glass": False, "extends": None, **more}  # fmt: skip


ASKS, GLASS = asks(), glass()
LONGER: tuple[Dict, ...] = (
    {"ttl": 600},
    {"ttl": 600, "actor": "agent:report-9"},
    {"ttl": 300},
    {"ttl": 600, "resource": ANOTHER},
    {"ttl": 600},
    {"ttl": 600, "principal": "caller:deploy", "actor": "pipeline:main", "behalf": None},
)
"""What an extension changes of the ask that it goes on with: the time; or what it must not."""
