"""Rule on a change of the files: `[apply]` of the policy in force names the quorum, and no rule is asked."""

from __future__ import annotations

import json

from approvers.action import Action
from approvers.barring import barred_by
from approvers.errors import Inadmissible
from approvers.facts import Facts
from approvers.policy_models import Policy
from approvers.quick import made
from approvers.risk import Risk
from approvers.ruling_models import Ruling

OWN = "countersign:"
"""The service of our own actions; letter case is none of it."""
APPLY = f"{OWN}ApplyPolicy"


def is_apply(facts: Facts) -> bool:
    """Tell whether a person asks for a change of the files; break-glass opens none."""
    return (
        facts.actions == (APPLY,)
        and facts.principal_kind == "person"
        and not facts.has_access
        and not facts.break_glass
    )  # fmt: skip


def check_not_ours(action: Action) -> None:
    """Check that an ask from outside names no action of our own: who approves one sees a change that nobody worked out.

    Raises:
        Inadmissible: naming the field, and how a change of the files is asked for.
    """
    named = {"action": action.action}
    if action.access:
        named |= {f"access.actions[{number}]": name for number, name in enumerate(action.access.actions)}
    for field, name in named.items():
        if name.lower().startswith(OWN):
            detail = f"{name} is Countersign's own action, which only `countersign apply` asks for"
            raise Inadmissible(f"{detail}; name what you are about to do yourself, such as s3:GetObject.",
                               field=field, rule="action.reserved")  # fmt: skip


def changes_of(action: Action) -> tuple[str, ...]:
    """Return what an ask for a change says that it changes; any other ask says nothing of the kind.

    What a hand-made ask claims here is only its word: the change itself is worked out again before it is stored.
    """
    if action.action != APPLY or not action.parameters:
        return ()
    told = json.loads(action.parameters).get("changes")
    return tuple(map(str, told)) if isinstance(told, list) else ()


def apply_ruling(policy: Policy, facts: Facts, risk: Risk, *, sha256: str) -> Ruling:
    """Return the ruling on a change: the quorum of `[apply]`, exactly, whatever the rules say."""
    assert policy.apply is not None
    quorum = policy.quorums[policy.apply.quorum]
    barred = barred_by(facts)
    return made(
        Ruling,
        barred=tuple(barred),
        barred_as=barred,
        because=f"A change of the policy's files needs {policy.apply.quorum}: [apply] in policy.toml says so.",
        effect="review",
        expires_after_seconds=int(policy.ladders[quorum.ladder].expires_after.total_seconds()),
        narrow=(),
        near_misses=(),
        notes=(),
        policy_sha256=sha256,
        quorums=(policy.apply.quorum,),
        risk=risk,
        rules=(),
        seats=dict(quorum.seats),
    )
