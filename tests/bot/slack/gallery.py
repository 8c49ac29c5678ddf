"""Make every state of the card, every dialog and Home, from the product's own rules: for golden files and pictures.

`python -m tests.bot.slack.gallery` writes the golden files anew; look at the difference before keeping it.
"""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

from approvers import grant as grants
from approvers import request as requests
from approvers.card import Card, render
from approvers.grant import Grant, Proof, ProofKind
from approvers.request import Request
from bot.surfaces import slack_blocks, slack_views
from tests.worlds import glass, samples
from tests.worlds.samples import NOW, approval

GOLDEN = Path(__file__).parent / "golden"
CONSOLE = "https://countersign.example.com"
READS = {"ticket": "INC-42", "undo": "none needed, read only", "data_classes": ["pii"], "project": "reports"}
EXPORTS = "arn:aws:s3:::customer-exports"
WIDE = {
    "role": "analytics",
    "actions": ["s3:GetObject", "s3:PutObject"],
    "resources": [f"{EXPORTS}/2026/07/*", f"{EXPORTS}/archive/*"],
}
LINES = (
    "10:00:00 report-bot asks for s3:GetObject on arn:aws:s3:::customer-exports/2026/*.",
    "10:00:42 robin approves.",
    "10:00:42 Countersign opens the grant: a credential of role analytics may be minted.",
    "10:00:43 Countersign mints the credential ASIAEXAMPLE; it ends 10:15:43 UTC.",
)


def medium(**changes: Any) -> Request:
    """Return a request of medium risk: its data classes are not counted, nothing else is changed."""
    asked = samples.request(**{**READS, "data_classes": None, **changes})
    risk = asked.ruling.risk
    points = tuple(point for point in risk.points if point.id != "no_ticket")
    calm = risk.model_copy(update={"level": "medium", "points": points, "score": sum(point.points for point in points)})
    return asked.model_copy(update={"ruling": asked.ruling.model_copy(update={"risk": calm})})


def denied() -> Request:
    """Return a request that somebody denied with a reason."""
    no = approval("robin", verdict="deny", at=NOW + timedelta(seconds=42)).model_copy(
        update={"reason": "Too broad, ask narrower."}
    )
    return requests.review(samples.request(**READS), no, shown=None, current="")


def approved() -> Request:
    """Return an approved request."""
    return requests.review(medium(), approval("robin", at=NOW + timedelta(seconds=42)), shown=None, current="")


def ended() -> Card:
    """Return the card of a grant that was revoked, with its proof."""
    begun = grants.end(samples.grant("ACTIVE"), "revoke", NOW + timedelta(seconds=300), by="user:kim", reason="enough")
    at = NOW + timedelta(seconds=302)
    proof = Proof(kind=ProofKind.PROBE_DENIED, at=at, seconds="2.134", refused=3, asked=3, detail="AccessDenied")
    return render(approved(), grants.proven(begun, proof, deny_written=True))


def half() -> Card:
    """Return the card of a request that one of two people has approved."""
    two = samples.request(**READS, seats={"dba": 1, "sre": 1})
    once = requests.review(
        two, approval("kim", at=NOW + timedelta(seconds=20), groups=("dba",)), shown=None, current=""
    )
    return render(once, None, stand_ins=("bob answers for ana until 23 Nov",))


def broken() -> Grant:
    """Return the live grant of a use of break-glass."""
    return samples.grant("ACTIVE").model_copy(update={"approved_by": (), "break_glass": True, "principal": "user:dana"})


def long() -> Request:
    """Return a request with far more text than a card holds."""
    reason = "\n".join(f"{n}. The job failed at 02:{n % 60:02d}, see the log of that run." for n in range(1, 600))
    many = {
        "role": "analytics",
        "actions": ["s3:GetObject"],
        "resources": [f"{EXPORTS}/2026/{n:03d}/*" for n in range(20)],
    }
    return samples.request(reason=reason, access=many, parameters={"batch": ["row"] * 2_000})


def lasting(live: Grant) -> tuple[Request, Grant]:
    """Return a request and its live grant, which nothing can end before its time."""
    asked = approved()
    assert asked.plan is not None
    plan = asked.plan.model_copy(update={"ends_early": False})
    return asked.model_copy(update={"plan": plan}), live.model_copy(update={"plan": plan})


def flagged(live: Grant) -> Grant:
    """Return a live grant whose session was seen doing what it was not granted for."""
    call = "s3:DeleteBucket on arn:aws:s3:::payroll, refused (AccessDenied), from 203.0.113.7 in eu-central-1"
    flags = "actions that were not granted, refused (10); resources that were not granted, refused (10)"
    saw = f"20 points: {flags}. First: 10:03:07 {call}."
    return live.model_copy(update={"flagged": saw, "flag_points": 20})


def cards() -> dict[str, Card]:
    """Return a card for each state that people see."""
    live = samples.grant("ACTIVE")
    return {
        "medium": render(medium(), None),
        "high": render(samples.request(**READS), None),
        "half": half(),
        "mismatch": render(samples.request(action="s3:GetObject", access=WIDE, resource=WIDE["resources"][0]), None),
        "hostile": render(
            samples.request(
                reason="*Risk:* low <!here> <https://evil.example|click>\n> `ok` :white_check_mark: \u202egnp.exe",
                ticket="INC-42\nRole  admin",
            ),
            None,
        ),
        "cut": render(long(), None),
        "approval": render(samples.request(access=None, action="deploy:Release", resource="shop/42", **READS), None),
        "minting": render(approved(), samples.grant("MINTING")),
        "live": render(approved(), live),
        "flagged": render(approved(), flagged(live)),
        "lasting": render(*lasting(live)),
        "revoking": render(
            approved(), grants.end(live, "revoke", NOW + timedelta(seconds=300), by="user:kim", reason="enough")
        ),
        "ended": ended(),
        "failed": render(approved(), samples.grant("FAILED")),
        "break-glass": render(glass.used(), broken()),
        "break-glass-found": render(glass.found("unjustified", "There was time to ask."), broken()),
        "denied": render(denied(), None),
        "expired": render(requests.expire(samples.request(**READS), NOW + timedelta(minutes=30)), None),
        "withdrawn": render(requests.cancel(samples.request(**READS), NOW, samples.CALLER), None),
    }


def messages() -> dict[str, dict[str, Any]]:
    """Return the message of each card."""
    return {name: slack_blocks.message(card, console=CONSOLE) for name, card in cards().items()}


def views() -> dict[str, dict[str, Any]]:
    """Return each dialog, and Home."""
    made = cards()
    return {
        "view-review": slack_views.review(made["mismatch"], CONSOLE),
        "view-review-decided": slack_views.review(made["denied"], CONSOLE),
        "view-details": slack_views.details(made["live"], LINES, CONSOLE),
        "view-deny": slack_views.deny_words(made["high"]),
        "view-request": slack_views.request_form(["analytics", "reporting"], ["prod", "staging", "dev"]),
        "view-break-glass": slack_views.request_form(
            ["analytics"], ["prod", "dev"], break_glass=True, require=("reason", "ticket")
        ),
        "view-unjustified": slack_views.unjustified_words(made["break-glass"]),
        "view-notice": slack_views.notice("Approved", "You approved it, and that was enough."),
        "view-loading": slack_views.loading(),
        "view-home": slack_views.home(
            [made["high"], made["mismatch"], made["medium"]],
            [made["live"], made["revoking"]],
            [made["ended"], made["denied"]],
            as_of=NOW,
            note="You approved it, and that was enough.",
            console=CONSOLE,
        ),
    }


def spelled(made: dict[str, Any]) -> str:
    """Return a message or view as its golden file has it."""
    return json.dumps(made, indent=1, ensure_ascii=False) + "\n"


def write() -> None:
    """Write every golden file, and remove those that nothing makes any more."""
    GOLDEN.mkdir(exist_ok=True)
    made = {f"{name}.json": spelled(one) for name, one in {**messages(), **views()}.items()}
    for old in GOLDEN.glob("*.json"):
        if old.name not in made:
            old.unlink()
    for name, text in made.items():
        (GOLDEN / name).write_text(text)


if __name__ == "__main__":
    write()
