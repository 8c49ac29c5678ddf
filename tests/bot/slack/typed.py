"""Make requests in which every typed text is hostile, and look for what must not come of it in Slack's JSON."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st

from approvers.action import Actor
from approvers.request import Request
from approvers.risk import Point
from tests.worlds import samples
from tests.worlds.samples import approval

MARK = "Ж"
"""Stands in every typed text; our own words hold none."""
PIECES = (
    "*bold*", "_it_", "~gone~", "`code`", "```box```", "> quote", ":white_check_mark:", "<!here>", "<!channel>",
    "<@U01>", "<#C01>", "<https://evil.example|click>", "https://evil.example/a_b_c", "@channel", "#general", "&lt;",
    "&amp;", "\n", "\u202e", "\u2066", "\u200b", "\ufeff", "\u2028", "\x1b[2J", "\x00", "\u0301" * 9, "\u3164", "😀",
    "深", " ", "a", MARK,
)  # fmt: skip
unshrunk = settings(
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
    deadline=None,
)
"""For whole requests: making an example smaller takes minutes, and a failure names its place in the JSON anyway."""
hostile = st.builds(
    lambda parts, times: MARK + "".join(parts) * times,
    st.lists(st.sampled_from(PIECES) | st.text(st.characters(codec="utf-8"), max_size=20), max_size=12),
    st.sampled_from((1, 1, 1, 30, 3_000)),
)
arns = hostile.map(lambda text: "arn:aws:s3:::" + re.sub(r"[\x00-\x20\x7f]", "-", text)[:2_000])


class Hostile(Request):
    """A request whose text is too long to be printed with a failure."""

    def __repr__(self) -> str:
        lengths = {name: len(text) for name, text in self.action if isinstance(text, str)}
        return f"<{self.id}: {lengths}>"


@st.composite
def requests(draw: Any) -> Request:
    """Draw a request that no rule would let be so bad, all of its texts hostile."""
    asked = samples.request(seats={"sre": 2})
    assert asked.plan
    actor = Actor.model_construct(id="agent:report-bot", model=draw(hostile)[:200], on_behalf_of="user:dana", run=None)
    most = {"undo": 4_096, "ticket": 200, "parameters": 100_000, "project": 64, "stage": 64, "reason": 65_536}
    action = asked.action.model_copy(
        update={
            **{name: draw(hostile)[:length] for name, length in most.items()},
            "resource": draw(arns),
            "actor": actor,
            "data_classes": tuple(f"class-{number}" for number in range(draw(st.integers(0, 20)))),
        }
    )
    resources = tuple(draw(st.lists(arns, min_size=1, max_size=3))) * draw(st.sampled_from((1, 17)))
    names = tuple(f"s3:{'Get' * 20}{number}" for number in range(draw(st.integers(1, 50))))
    plan = asked.plan.model_copy(update={"resources": resources[:50], "actions": names})
    points = tuple(Point(id=f"p{n}", points=n, why="why " * 30) for n in range(draw(st.integers(0, 20))))
    risk = asked.ruling.risk.model_copy(update={"points": points, "level": draw(st.sampled_from(("low", "critical")))})
    answer = approval("robin").model_copy(update={"reason": draw(hostile)})
    return Hostile.model_construct(**dict(asked)).model_copy(
        update={
            "action": action,
            "plan": draw(st.sampled_from((plan, plan, None))),
            "ruling": asked.ruling.model_copy(update={"risk": risk}),
            "reviews": draw(st.sampled_from(((), (answer,)))),
        }
    )


def objects(value: Any) -> Iterator[dict[str, Any]]:
    """Yield every object within a message or view."""
    if isinstance(value, dict):
        yield value
        value = list(value.values())
    if isinstance(value, list):
        for one in value:
            yield from objects(one)


def live_markup(made: dict[str, Any]) -> list[str]:
    """Return every text that Slack would parse although somebody typed it, and every element that is not plain text."""
    found = []
    for one in objects(made):
        kind, text = one.get("type"), str(one.get("text"))
        if kind == "mrkdwn" and (MARK in text or not OURS.fullmatch(text)):
            found.append(f"mrkdwn: {text}")
        if kind == "plain_text" and one.get("emoji") is not False:
            found.append(f"emoji: {text}")
        if kind in ("user", "usergroup", "channel", "broadcast", "link", "color", "date"):
            found.append(f"{kind}: {one}")
    return found


OURS = re.compile(r"(?:[A-Za-z0-9 *_·,.:]|<!date\^\d+\^\{\w+\}\|[\d: UTC]+>)+")
"""What our own mrkdwn is made of: words, numbers, ids, bold, our signs, and dates."""
MARKUP = {
    "bold": re.compile(r"(?<![A-Za-z0-9])\*[^\s*](?:[^*]*[^\s*])?\*(?![A-Za-z0-9])"),
    "italic": re.compile(r"(?<![A-Za-z0-9])_[^\s_](?:[^_]*[^\s_])?_(?![A-Za-z0-9])"),
    "strike": re.compile(r"(?<![A-Za-z0-9])~[^\s~](?:[^~]*[^\s~])?~(?![A-Za-z0-9])"),
    "code": re.compile(r"`[^`]+`"),
    "emoji": re.compile(r":(?!\d\d:\d\d)[a-zA-Z0-9_+'-]+:"),
    "token": re.compile(r"[<>]"),
    "link": re.compile(r"[a-z]+://"),
    "highlight": re.compile(r"(?:^|\s)[@#]\w"),
    "quote": re.compile(r"^(?:&gt;|>)"),
}
"""What Slack would parse in mrkdwn, found in a way of its own."""
