"""Look at AWS for the doctor: a local one must refuse what it should; on the real one the revoker must see every role.

Nothing is minted on the real AWS, and nothing is changed there; whether the minter may mint shows at the first mint.
"""

from __future__ import annotations

from approvers.errors import CountersignError
from approvers.roster import Roster
from countersign.ops.ministack import Prepared, check_enforced
from workers.clock.reconcile import base_plans
from workers.providers.access import AwsAccess
from workers.providers.aws import AwsProvider


class OneIdentity(CountersignError):
    """Minter and revoker are the same."""

    code = "one_identity"


def enforced(access: AwsAccess) -> str:
    """See a local AWS refuse a write outside a grant. Raises NotEnforced, or what minting raises."""
    assert access.endpoint_url is not None
    words = check_enforced(access.endpoint_url, Prepared(access.minter, access.revoker))
    return f"the local AWS enforces IAM: {words}"


def roles_seen(access: AwsAccess, roster: Roster | None) -> str:
    """Read the revocations on every role, as the revoker. Raises OneIdentity, or what reading raises."""
    if access.minter == access.revoker:
        raise OneIdentity("minter and revoker are the same identity: whoever mints must not be able to undo a Deny")
    plans = base_plans(roster) if roster else []
    provider = AwsProvider(access)
    counts = {plan.role_arn.rpartition("/")[2]: len(provider.leftovers(plan)) for plan in plans}
    standing = ", ".join(f"{name} ({count} revocations)" for name, count in sorted(counts.items()))
    return f"the revoker sees {standing or 'no role, as none is applied'}"
