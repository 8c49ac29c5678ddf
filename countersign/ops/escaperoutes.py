"""List the ways out of a minted session that can be tried without harm, and judge what AWS answers to each.

Every call is harmless even where it is let through: it reads, or issues something that is dropped at once, or is for a
thing that does not exist. So a way out is known to be open without anything having gone out by it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from approvers.grant import Plan
from countersign.ops.findings import Finding
from workers.providers.aws_sdk import Sdk, code, trouble
from workers.providers.port import ProviderError

NOBODY = "countersign-doctor"
"""The name of everything that is asked for and does not exist."""
BOUNDARY_REMEDY = "give the role the boundary of docs/aws.md, with its Deny whole"
DENIED = frozenset({"AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "Client.UnauthorizedOperation"})
_NOT_FOR_SESSIONS = "session credentials"
"""AWS's words where an operation takes no session at all, whatever policies say."""


@dataclass(frozen=True)
class Route:
    """One way out.

    Attributes:
        allowed: codes that AWS answers only to somebody who may: there was just nothing to do it to.
        local: whether the local AWS decides this call by policies; else its answer says nothing.
        region: where it must be asked, if not in the region of the settings.
    """

    what: str
    service: str
    call: Callable[[Sdk, Plan], Sdk]
    allowed: frozenset[str] = frozenset()
    local: bool = False
    region: str | None = None


def role_name(plan: Plan) -> str:
    """Return the name of the plan's base role, without its path."""
    return plan.role_arn.rpartition("/")[2]


def _chain(sts: Sdk, plan: Plan) -> Sdk:
    return sts.assume_role(RoleArn=plan.role_arn, RoleSessionName=f"grant-{NOBODY}", DurationSeconds=900)


def _lift(iam: Sdk, plan: Plan) -> Sdk:
    """Ask for what would bring a revoked session back to life, of a Deny that is not there."""
    return iam.delete_role_policy(RoleName=role_name(plan), PolicyName=NOBODY)


def _detach(iam: Sdk, plan: Plan) -> Sdk:
    arn = f"arn:{plan.role_arn.split(':')[1]}:iam::{plan.account_id}:policy/{NOBODY}"
    return iam.detach_role_policy(RoleName=role_name(plan), PolicyArn=arn)


def _web_identity(sts: Sdk, _: Plan) -> Sdk:
    return sts.get_web_identity_token(Audience=[NOBODY], SigningAlgorithm="RS256", DurationSeconds=60)


def _warehouse(redshift: Sdk, _: Plan) -> Sdk:
    return redshift.get_cluster_credentials(DbUser="nobody", ClusterIdentifier=NOBODY)


_NONE = frozenset({"NoSuchEntity"})
ROUTES = (
    Route("chaining", "sts", _chain, local=True),
    Route("iam reads", "iam", lambda iam, _: iam.list_roles(MaxItems=1), local=True),
    Route("lifting a Deny", "iam", _lift, _NONE, local=True),
    Route("iam writes", "iam", _detach, _NONE, local=True),
    Route("session token", "sts", lambda sts, _: sts.get_session_token(), local=True),
    Route("federation token", "sts", lambda sts, _: sts.get_federation_token(Name=NOBODY), local=True),
    Route("web identity token", "sts", _web_identity),
    Route("registry login", "ecr", lambda ecr, _: ecr.get_authorization_token(), local=True),
    Route("public registry login", "ecr-public", lambda ecr, _: ecr.get_authorization_token(), region="us-east-1"),
    Route("bearer token", "codeartifact", lambda it, _: it.get_authorization_token(domain=NOBODY),
          frozenset({"ResourceNotFoundException"})),
    Route("warehouse login", "redshift", _warehouse, frozenset({"ClusterNotFound", "ClusterNotFoundFault"})),
    Route("shell", "ssm", lambda ssm, _: ssm.start_session(Target="i-00000000000000000"),
          frozenset({"TargetNotConnected", "InvalidTarget"})),
    Route("organization", "organizations", lambda it, _: it.describe_organization(),
          frozenset({"AWSOrganizationsNotInUseException"})),
    Route("account", "account", lambda it, _: it.get_contact_information(), frozenset({"ResourceNotFoundException"})),
    Route("identity center", "sso-admin", lambda it, _: it.list_instances()),
    Route("roles anywhere", "rolesanywhere", lambda it, _: it.list_trust_anchors()),
)  # fmt: skip
"""Not all that the boundary denies, but one call at least of each kind that a session could leave by."""


def judge(what: str, error: Exception | None, route: Route, *, local: bool) -> Finding:
    """Say what AWS's answer to a way out means: only an explicit denial closes it.

    A refusal that is no explicit one is a gap: a resource's own policy that names the session gets round it.
    """
    told = words_of(error)
    if code(error) in DENIED and "explicit deny" in told:
        return Finding("ok", what, "explicitly denied")
    if code(error) in DENIED and _NOT_FOR_SESSIONS in told:
        return Finding("ok", what, "AWS refuses it to every session")
    if local and not route.local:
        return Finding("unknown", what, "the local AWS does not decide this by policies; try it on the real one")
    if error is None or code(error) in route.allowed:
        return Finding("fail", what, f"a session gets through ({told or 'it was done'})", BOUNDARY_REMEDY)
    if code(error) in DENIED:
        return Finding("fail", what, f"refused, but by no explicit denial ({told})", BOUNDARY_REMEDY)
    return Finding("unknown", what, f"neither done nor denied ({told})", "try again; if it stays, ask AWS by hand")


def refused(what: str, error: Exception | None, allowed: frozenset[str], remedy: str) -> Finding:
    """Say what an answer means where any refusal will do: of an identity that simply has no right to it."""
    if error is None or code(error) in allowed:
        return Finding("fail", what, f"it was let through ({words_of(error) or 'done'})", remedy)
    if code(error) in DENIED:
        return Finding("ok", what, "refused")
    return Finding("unknown", what, f"neither done nor refused ({words_of(error)})", "try again")


def words_of(error: Exception | None) -> str:
    """Return what an error said, without anything secret; empty where there was none."""
    if error is None:
        return ""
    return str(error if isinstance(error, ProviderError) else trouble(error))
