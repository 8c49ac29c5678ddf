"""Check that what is asked exists, lies within the role's resources, and fits together. Pure.

A credential that could do nothing is refused as well: whoever approves it would think that it does what it says.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from approvers.errors import Inadmissible
from approvers.patterns import Patterns
from approvers.roster_models import Role
from workers.data.levels import UNKNOWN, Levels

EVERYTHING = "*"


def check_known(actions: Sequence[str], role: Role, levels: Levels) -> None:
    """Refuse an action that AWS does not have, and say which one was meant.

    The table can be older than AWS: what the role's ceiling names in full, somebody has looked up, so it passes. An
    action of a whole new service that fits only a pattern does not.
    """
    for number, name in enumerate(actions):
        if levels.level(name) != UNKNOWN or name.lower() in map(str.lower, role.ceiling):
            continue
        meant = levels.nearest(name)
        detail = (
            f"{name} is no action of AWS that is known here ({levels.version}); "
            + (f"did you mean {meant}? " if meant else "")
            + f"If it is newer than that, have an operator name it in full in the ceiling of role {role.name}"
        )
        raise Inadmissible(detail, field=f"access.actions[{number}]", rule="plan.action_unknown")


def check_within(resources: Sequence[str], role: Role) -> None:
    """Refuse a resource outside those that the role is for; a role that names none is for whatever it reaches."""
    if not role.resources:
        return
    allowed = _patterns(role.resources)
    for number, arn in enumerate(resources):
        if not allowed.covers(arn):
            detail = (
                f"{arn} is outside the resources that role {role.name} may be asked for ({', '.join(role.resources)}); "
                "ask for another role, or have an operator widen `resources` of this one"
            )
            raise Inadmissible(detail, field=f"access.resources[{number}]", rule="plan.resource_ceiling")


def check_fit(actions: Sequence[str], resources: Sequence[str], levels: Levels) -> None:
    """Refuse actions and resources that have nothing to do with each other, by the service that an ARN is of.

    An action that takes no resource (`ec2:DescribeRegions`) is allowed by AWS on `*` alone, and `*` stands for
    everything to any other action: so such actions are asked for by themselves, with `*` as the one resource.
    """
    wide = EVERYTHING in resources
    for number, name in enumerate(actions):
        field = f"access.actions[{number}]"
        bare = levels.bare(name)
        if wide and not bare:
            detail = f"{name} can be limited to resources, so '*' is too wide for it; name the ARNs that it is for"
            raise Inadmissible(detail, field=field, rule="plan.mismatch")
        if bare and not wide:
            detail = (
                f"AWS knows no resources for {name}: with an ARN it would be refused at every call; "
                "ask for such actions in a request of their own, with '*' as its one resource"
            )
            raise Inadmissible(detail, field=field, rule="plan.mismatch")
        if not wide and not any(levels.takes(name, arn.split(":", 3)[2]) for arn in resources):
            detail = f"none of the resources is one that {name} takes; name the ARN that it is for, or leave it out"
            raise Inadmissible(detail, field=field, rule="plan.mismatch")
    for number, arn in enumerate(() if wide else resources):
        if not any(levels.takes(name, arn.split(":", 3)[2]) for name in actions):
            detail = f"{arn!r} is nothing that any of the actions takes; leave it out, or name an action for it"
            raise Inadmissible(detail, field=f"access.resources[{number}]", rule="plan.mismatch")


@lru_cache(maxsize=1024)
def _patterns(resources: tuple[str, ...]) -> Patterns:
    return Patterns(resources)
