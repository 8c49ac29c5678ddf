"""Plant one skipped check at a time in a copy of the product, and let the machine look for it.

Every path on which something is let through has at least one. An edit names the exact text that it takes away, which
must stand there exactly once; which rules of the machine are used is a matter of time only: the oracle is the same.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.story.removed import Removal, copied

EXAMPLES = 40
ASK, TURNS = "changed_then_asked", "clicked_by_one_after_the_other"
CLICK = "looked_at_then_changed_then_clicked"
MINT = "approved_then_changed_then_minted"
GLASS = "used_then_reviewed_then_used"
EXTEND = "minted_then_extended_then_minted"


@dataclass(frozen=True)
class Skip(Removal):
    """One check that is skipped; `rules` of the machine lead to it sooner than all of them would."""

    tests: tuple[str, ...] = ()
    rules: tuple[str, ...] = ()


SKIPS = (
    Skip(
        "intake: the ruling",
        "bot/asking.py",
        "        ruling = ruled(book, facts)\n        request =",
        '        ruling = ruled(book, facts)\n        ruling = ruling.model_copy(update={"effect": "allow"})\n'
        "        request =",
        rules=(ASK,),
    ),
    Skip(
        "intake: for whom a caller may speak",
        "bot/asking.py",
        "        check_claims(book.roster, who.principal, action.actor.id, action.actor.on_behalf_of)\n",
        "",
        rules=(ASK,),
    ),
    Skip("intake: caps", "bot/asking.py", "        check_limits(book.policy, facts)\n", "", rules=(ASK,)),
    Skip(
        "intake: the freeze",
        "bot/desk.py",
        'if book.frozen is not None and request.ruling.effect == "allow":',
        "if False:",
        rules=(ASK,),
    ),
    Skip(
        "intake: the default, where no rule speaks for all of the ask",
        "approvers/ruling.py",
        'return "review" if found.review or not found.covered else "allow"',
        'return "review" if found.review else "allow"',
        rules=(ASK,),
    ),
    Skip(
        "API review: four-eyes",
        "approvers/seating.py",
        "    _check_four_eyes(ruling, answer, standing)\n    open_to",
        '    if answer.via != "api":\n        _check_four_eyes(ruling, answer, standing)\n    open_to',
        rules=(TURNS,),
    ),
    Skip(
        "API review: one person, one voice",
        "approvers/seating.py",
        "    if (mine := spoken.get(answer.reviewer)) is not None:",
        '    if (mine := spoken.get(answer.reviewer)) is not None and answer.via != "api":',
        rules=(TURNS,),
    ),
    Skip(
        "Slack click: what was shown",
        "bot/deciding.py",
        "Click(who, request, verdict, reason, shown, whole=press.whole, narrow=narrow)",
        "Click(who, request, verdict, reason, None, whole=press.whole, narrow=narrow)",
        rules=(CLICK,),
    ),
    Skip(
        "Slack click: high risk is read whole first",
        "bot/surfaces/slack_deciding.py",
        "whole=in_review(call),",
        "whole=True,",
        rules=(TURNS,),
    ),
    Skip(
        "Slack click: four-eyes",
        "approvers/seating.py",
        "    _check_four_eyes(ruling, answer, standing)\n    open_to",
        '    if answer.via != "slack":\n        _check_four_eyes(ruling, answer, standing)\n    open_to',
        rules=(TURNS,),
    ),
    Skip(
        "console click: what was shown",
        "bot/surfaces/console_actions.py",
        "Click(who.identity, request_id, verdict, reason_of(request), shown, whole=_whole(form))",
        "Click(who.identity, request_id, verdict, reason_of(request), None, whole=_whole(form))",
        rules=(CLICK,),
    ),
    Skip(
        "console click: four-eyes",
        "approvers/seating.py",
        "    _check_four_eyes(ruling, answer, standing)\n    open_to",
        '    if answer.via != "console":\n        _check_four_eyes(ruling, answer, standing)\n    open_to',
        rules=(TURNS,),
    ),
    Skip(
        "any click: time is over",
        "approvers/request.py",
        "    if now >= request.expires_at:\n        raise Expired(",
        "    if False:\n        raise Expired(",
        rules=(CLICK,),
    ),
    Skip(
        "any click: policy rules again",
        "bot/standing.py",
        "    if ruling is request.ruling:\n",
        "    if ruling is not None:\n",
        rules=(CLICK,),
    ),
    Skip(
        "any click: caller and role are still there",
        "bot/standing.py",
        "    if why := gone(request, book.roster):\n        raise Forbidden(",
        "    if (why := gone(request, book.roster)) and not why:\n        raise Forbidden(",
        rules=(CLICK,),
    ),
    Skip(
        "any click: whoever is barred by now keeps no seat",
        "approvers/reruling.py",
        "    reviews = tuple(_seated(one, ruling, roster) for one in request.reviews)\n",
        "    reviews = request.reviews\n",
        rules=(CLICK,),
    ),
    Skip(
        "any click: caps",
        "bot/standing.py",
        "    if over := over_caps(book.policy, after, facts):",
        "    if (over := over_caps(book.policy, after, facts)) and not over:",
        rules=(CLICK,),
    ),
    Skip(
        "any click: the freeze",
        "bot/standing.py",
        "    if book.frozen is not None and not (book.policy.apply",
        "    if book.frozen == () and not (book.policy.apply",
        rules=(CLICK,),
    ),
    Skip(
        "seats: all of them are filled",
        "approvers/quorum.py",
        "satisfied=bool(places) and not missing",
        "satisfied=bool(places and taken)",
        rules=(TURNS,),
    ),
    Skip(
        "seats: each by somebody of its group",
        "approvers/quorum.py",
        "if place[0] in groups[person] and place not in tried:",
        "if place not in tried:",
        rules=(TURNS,),
    ),
    Skip(
        "narrowing: only where the rules let it",
        "approvers/narrowing.py",
        "    if part in may:\n",
        "    if may or not may:\n",
        rules=(TURNS,),
    ),
    Skip(
        "mint: policy rules again",
        "workers/leasing.py",
        "return overtaken_by(request, now) or over",
        "return over",
        rules=(MINT,),
    ),
    Skip(
        "mint: caps",
        "workers/leasing.py",
        "return overtaken_by(request, now) or over",
        "return overtaken_by(request, now)",
        rules=(MINT,),
    ),
    Skip(
        "mint: the freeze",
        "workers/leasing.py",
        "if book.frozen is not None and not grant.break_glass:",
        "if book.frozen == ():",
        rules=(MINT,),
    ),
    Skip(
        "mint: caller and role are still there",
        "workers/leasing.py",
        "    if why := gone(request, book.roster):",
        "    if (why := gone(request, book.roster)) and not why:",
        rules=(MINT,),
    ),
    Skip(
        "mint: in time",
        "workers/leasing.py",
        "    if seen.now >= grant.mint_by:",
        "    if not grant.mint_by:",
        rules=(MINT,),
    ),
    Skip(
        "extension: of one's own grant",
        "bot/extending.py",
        "if (grant.principal, grant.actor) != (who.principal, action.actor.id):",
        "if not grant.principal:",
        rules=(EXTEND,),
    ),
    Skip(
        "extension: of a live grant",
        "bot/extending.py",
        "if grant.state is not GrantState.ACTIVE or grant.ends_at is None:",
        "if grant.ends_at is None:",
        rules=(EXTEND,),
    ),
    Skip(
        "extension: within the grant",
        "bot/extending.py",
        "        _check_within(plan, grant)\n",
        "",
        rules=(EXTEND,),
    ),
    Skip(
        "extension: not minted once the grant was taken away",
        "workers/leasing.py",
        "    if grant.extends and (why := ended_early(_extended(grant, seen))):",
        "    if not grant.id and (why := ended_early(_extended(grant, seen))):",
        rules=(EXTEND,),
    ),
    Skip(
        "break-glass: whom the policy names",
        "approvers/glass.py",
        '    if not {facts.principal, *(f"group:{name}" for name in facts.groups)}.intersection(terms.who):',
        "    if not terms.who:",
        rules=(GLASS, "break_glass"),
    ),
    Skip(
        "break-glass: until the last use is reviewed",
        "approvers/glass.py",
        "    if facts.owed >= terms.open_max:",
        "    if terms.open_max < 1:",
        rules=(GLASS, "break_glass"),
    ),
    Skip(
        "after-review: by somebody else",
        "approvers/after_review.py",
        "    if (why := barred_as(request.ruling, found.by, found.groups)) is not None:",
        "    if (why := barred_as(request.ruling, found.by, found.groups)) == ():",
        rules=(GLASS,),
    ),
    Skip(
        "after-review: by somebody who is asked",
        "approvers/after_review.py",
        "    if found.groups & may:\n",
        "    if may:\n",
        rules=(GLASS,),
    ),
)


@dataclass(frozen=True)
class Told:
    """What a run of the machine says: whether it found a difference, which, and after how many steps."""

    code: int
    found: str
    steps: int
    words: str


def run(root: Path, examples: int = EXAMPLES, rules: tuple[str, ...] = (), *, keep_compiled: bool = False) -> Told:
    """Run the machine on the copy at `root`, in a process of its own."""
    ours = ("PYTHON", "PYTEST", "COUNTERSIGN_", "HYPOTHESIS")
    env = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    env |= {"PYTHONPATH": str(root)} | ({} if keep_compiled else {"PYTHONDONTWRITEBYTECODE": "1"})
    words = [sys.executable, "-m", "tests.oracle", str(examples), *rules]
    done = subprocess.run(words, cwd=root, env=env, capture_output=True, text=True, timeout=120, check=False)
    last = done.stdout.strip().rpartition("\n")[2]
    told: dict[str, Any] = json.loads(last) if last.startswith('{"found"') else {"found": "", "steps": 0}
    return Told(done.returncode, told["found"], told["steps"], (done.stdout + done.stderr)[-4000:])


def original(root: Path) -> Path:
    """Copy product and tests; what is compiled there serves every copy of this copy."""
    return copied(root)


def planted(skip: Skip, original_root: Path, root: Path) -> Path:
    """Copy the original with one check skipped."""
    shutil.copytree(original_root, root)
    skip.apply(root)
    return root
